"""What the self-test of a bundle found: its process prints it, the agent reads it, and tells the
fleet in records.
"""

from typing import Literal

import msgspec

from edgewright.evidence import Outcome
from edgewright.telemetry.records import Figure


class ProbeReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the self-test of a bundle measured, and why it failed if it did. `was_killed` says that
    a signal from outside ended it, so that nothing was learnt. `outcome` is the verdict of
    `edgewright validate`'s rules where its figures were measured: INVALID passes with its reason.
    `how` and `where` they were measured goes with them to the fleet.
    """

    passed: bool
    reason: str = ""
    outcome: Outcome | Literal[""] = ""
    cases: int = 0
    max_abs_error: float | None = None
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    memory_mb: float | None = None
    was_killed: bool = False
    how: str = ""
    where: str = ""
    figures: tuple[Figure, ...] = ()
    schema_version: int = 1
