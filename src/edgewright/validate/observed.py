"""Everything that one attempt at a scenario brought, before anybody judges it."""

import msgspec

from edgewright.evidence import Gate, Interval
from edgewright.measure import Noise
from edgewright.measure.load_result import LoadResult
from edgewright.validate.resources import ResourceSample


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """`doubts` are about the measurement itself, `noise_doubts` about the machine, which the next
    attempt may find quieter. `gates` are the scenario's own. `result` is the load that latencies
    come from. `has_ended`: the server's process was there at first and not at last.
    """

    how: str
    figures: dict[str, Interval]
    result: LoadResult | None = None
    answers: tuple[dict[bytes, int], ...] = ()
    unkept: int = 0
    requests: int = 0
    failed: int = 0
    errors: dict[str, int] = {}
    refusals: dict[str, bytes] = {}
    gates: tuple[Gate, ...] = ()
    doubts: tuple[str, ...] = ()
    noise_doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    samples: tuple[ResourceSample, ...] = ()
    noise: Noise | None = None
    has_ended: bool = False
    is_partial: bool = False
