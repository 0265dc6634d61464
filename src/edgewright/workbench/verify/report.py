"""What a parity check found, as values that are written as JSON."""

import msgspec

from edgewright.evidence.parity import OutputComparison

SCHEMA_VERSION = 1


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One set of inputs: golden data or an edge."""

    name: str
    rows: int
    ok: bool
    outputs: tuple[OutputComparison, ...] = ()
    reasons: tuple[str, ...] = ()


class MetricChange(msgspec.Struct, frozen=True, kw_only=True):
    """The task metric of both sides, in points."""

    name: str
    reference: float
    candidate: float
    drop: float
    limit: float


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """Where two models part: the first node, in the order of execution, that turns equal inputs
    into unequal outputs. `missing` are nodes of the reference just before it that the candidate
    does not have; `suspects` are the candidate's nodes that could be the cause.
    """

    node: str
    operator: str
    tensor: str
    max_abs: float
    max_rel: float
    suspects: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """One sentence for people."""
        gone = f"; the reference has {', '.join(self.missing)} before it" if self.missing else ""
        return (
            f"first diverging node: {self.node} ({self.operator}), tensor {self.tensor!r}, "
            f"largest difference {self.max_abs:.3g} ({self.max_rel:.2g} of its scale){gone}"
        )


class ParityReport(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict with all numbers behind it."""

    ok: bool
    cases: tuple[Case, ...]
    reasons: tuple[str, ...]
    metric: MetricChange | None = None
    divergence: Divergence | None = None
    notes: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION
