"""Where variants are timed and weighed: here (`here.py`), or on a machine that `chain` reaches.

A place that cannot measure a variant says why. It never measures it somewhere else instead.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np

from edgewright.evidence.interval import Interval
from edgewright.evidence.intervals import bootstrap_interval
from edgewright.measure import Machine
from edgewright.runtimes.base import Array, Session


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A variant that is to be measured: its engine and file, and the session in which it is open
    here.
    """

    engine: str
    path: Path
    session: Session


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What a place found of a subject: ratios are to the first one of the call. What was not asked
    for is None; where it could not be measured, `reason` says why.
    """

    ratio: Interval | None = None
    latency_ms: float | None = None
    rounds: int = 0
    energy_ratio: Interval | None = None
    memory_bytes: int | None = None
    reason: str = ""


def together(sittings: Sequence[Measured], *, rng: np.random.Generator) -> Measured:
    """One finding of several sittings: the geometric mean of their ratios, with an interval from
    how much they differ; the first one's energy. One that could not be measured in a sitting was
    not measured.
    """
    first = sittings[0]
    if len(sittings) == 1:
        return first
    if failed := [one for one in sittings if one.reason or one.ratio is None]:
        return failed[0]
    logs = np.log([one.ratio.value for one in sittings if one.ratio])
    found = bootstrap_interval(logs, statistic=lambda drawn: float(np.mean(drawn)), rng=rng)
    low, high = (None if at is None else math.exp(at) for at in (found.low, found.high))
    latencies_ms = [one.latency_ms for one in sittings if one.latency_ms is not None]
    return msgspec.structs.replace(
        first,
        ratio=Interval(math.exp(found.value), low, high, found.confidence),
        latency_ms=float(np.median(latencies_ms)) if latencies_ms else None,
        rounds=sum(one.rounds for one in sittings),
    )


class Place(Protocol):
    """A machine that measures variants. `name` is its address, empty for this one."""

    @property
    def name(self) -> str: ...

    @property
    def machine(self) -> Machine:
        """What it is."""

    @property
    def notes(self) -> Sequence[str]:
        """How it measured, where that is not obvious."""

    def time(
        self,
        subjects: Sequence[Subject],
        inputs: Mapping[str, Array],
        *,
        rounds: int,
        seconds: float,
        with_energy: bool,
    ) -> list[Measured]:
        """Latency, and energy if asked for, of each in rounds that take turns."""

    def weigh(self, subjects: Sequence[Subject], inputs: Mapping[str, Array]) -> list[Measured]:
        """The memory that each needs in a process of its own."""
