"""Measured values against limits, and what follows from all of them together."""

from collections.abc import Iterable
from typing import Literal, Self

import msgspec

from edgewright.errors import GateError
from edgewright.evidence.interval import Interval, number_text

Outcome = Literal["VALID-PASS", "VALID-FAIL", "INVALID"]

INVALID_EXIT_CODE = 9
"""Exit code of a measurement that is not sound: neither 0 nor the 7 of a missed limit."""


class Gate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One measured value against one limit.

    `ok` holds only when the whole interval is on the good side. An interval that has the limit
    inside decides nothing (`is_decided`). `timed` values suffer from noise on the machine; a wrong
    answer does not.
    """

    name: str
    measured: float
    limit: float
    unit: str = ""
    ok: bool
    rule: Literal["at most", "at least"] = "at most"
    low: float | None = None
    high: float | None = None
    is_decided: bool = True
    timed: bool = True

    @classmethod
    def at_most(
        cls,
        name: str,
        measured: float | Interval,
        limit: float,
        *,
        unit: str = "",
        timed: bool = True,
    ) -> Self:
        """The value must not be above the limit.

        >>> Gate.at_most("latency p95", Interval(48.0, 46.0, 51.0), 50.0, unit="ms").is_decided
        False
        """
        interval = _as_interval(measured)
        ok = interval.high is not None and interval.high <= limit
        missed = interval.low is not None and interval.low > limit
        return cls(
            name=name,
            measured=interval.value,
            limit=limit,
            unit=unit,
            ok=ok,
            low=interval.low,
            high=interval.high,
            is_decided=ok or missed,
            timed=timed,
        )

    @classmethod
    def at_least(
        cls,
        name: str,
        measured: float | Interval,
        limit: float,
        *,
        unit: str = "",
        timed: bool = True,
    ) -> Self:
        """The value must not be below the limit.

        >>> Gate.at_least("throughput", 312.0, 250.0, unit="req/s").ok
        True
        """
        interval = _as_interval(measured)
        ok = interval.low is not None and interval.low >= limit
        missed = interval.high is not None and interval.high < limit
        return cls(
            name=name,
            measured=interval.value,
            limit=limit,
            unit=unit,
            ok=ok,
            rule="at least",
            low=interval.low,
            high=interval.high,
            is_decided=ok or missed,
            timed=timed,
        )

    @property
    def has_failed(self) -> bool:
        """Whether the limit was missed beyond doubt."""
        return self.is_decided and not self.ok

    def sentence(self) -> str:
        """What a report says about it.

        >>> Gate.at_most("errors", 3, 0, timed=False).sentence()
        'errors: 3, allowed at most 0: missed'
        """
        suffix = f" {self.unit}" if self.unit else ""
        interval = Interval(self.measured, self.low, self.high)
        is_point = self.low == self.high == self.measured
        measured = f"{number_text(self.measured)}{suffix}" if is_point else interval.text(self.unit)
        end = "kept" if self.ok else "missed" if self.is_decided else "undecided"
        limit = number_text(self.limit)
        return f"{self.name}: {measured}, allowed {self.rule} {limit}{suffix}: {end}"

    def error(self) -> GateError:
        """The same as an exception, for callers that stop at the first missed limit."""
        return GateError(self.name, measured=self.measured, limit=self.limit, unit=self.unit)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What all gates together say, with the sentences that explain it."""

    outcome: Outcome
    gates: tuple[Gate, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.outcome == "VALID-PASS"

    @property
    def exit_code(self) -> int:
        """0 for a pass, `GateError`'s 7 for a miss, 9 for a measurement that is not sound."""
        return exit_code_of(self.outcome)


def exit_code_of(outcome: Outcome) -> int:
    """A process's exit code for an outcome."""
    if outcome == "INVALID":
        return INVALID_EXIT_CODE
    return 0 if outcome == "VALID-PASS" else GateError.exit_code


def decide(gates: Iterable[Gate], *, unsound: Iterable[str] = ()) -> Verdict:
    """The one rule from gates to a verdict.

    A gate that noise cannot touch (a wrong answer, an error) and that was missed decides alone.
    Otherwise an unsound measurement is INVALID whatever its numbers say, and so is one whose
    intervals are too wide to tell, or that had nothing to tell.

    >>> decide([Gate.at_most("latency p95", 61.0, 50.0, unit="ms")]).outcome
    'VALID-FAIL'
    >>> decide([Gate.at_most("latency p95", 61.0, 50.0)], unsound=["steal time 30 %"]).outcome
    'INVALID'
    """
    kept = tuple(gates)
    doubts = tuple(unsound)
    missed = tuple(gate.sentence() for gate in kept if gate.has_failed)
    hard = tuple(gate.sentence() for gate in kept if gate.has_failed and not gate.timed)
    undecided = tuple(gate.sentence() for gate in kept if not gate.is_decided)
    if hard:
        return Verdict(outcome="VALID-FAIL", gates=kept, reasons=hard + doubts)
    if doubts:
        return Verdict(outcome="INVALID", gates=kept, reasons=doubts)
    if not kept:
        return Verdict(outcome="INVALID", reasons=("no limit was given, so nothing was decided",))
    if missed:
        return Verdict(outcome="VALID-FAIL", gates=kept, reasons=missed)
    if undecided:
        return Verdict(outcome="INVALID", gates=kept, reasons=undecided)
    return Verdict(outcome="VALID-PASS", gates=kept)


def _as_interval(measured: float | Interval) -> Interval:
    if isinstance(measured, Interval):
        return measured
    return Interval(float(measured), float(measured), float(measured))
