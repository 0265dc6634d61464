"""Where variants are timed and weighed: here (`here.py`), or on a machine that `chain` reaches.

A place that cannot measure a variant says why. It never measures it somewhere else instead.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from edgewright.evidence.interval import Interval
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
