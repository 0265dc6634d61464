"""What a validation is asked for, as values that were checked once."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, get_args

import msgspec

from edgewright.contract import Budgets, Contract, Tolerances
from edgewright.contract.decoding import suggestion
from edgewright.errors import InputError
from edgewright.measure.load import LoadTarget
from edgewright.validate.soundness import SoundnessLimits

ScenarioName = Literal[
    "single-stream",
    "multi-stream",
    "server",
    "offline",
    "find-peak",
    "cold-start",
    "soak",
    "stream",
    "swap",
    "faults",
    "replay",
]

SCENARIO_NAMES: tuple[str, ...] = get_args(ScenarioName)

DEFAULT_SECONDS = 8.0
SOAK_SECONDS = 300.0


class Served(msgspec.Struct, frozen=True):
    """A server that answers: where, and as which process when it runs on this machine. `admin` is
    its administrator's socket, `source` the file that it serves, both only where known.
    """

    target: LoadTarget
    pid: int | None = None
    admin: Path | None = None
    source: Path | None = None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario against one served model.

    `subject` says what is measured (a bundle's id or a URL), `bundle_id` whole where it is known.
    `contract` comes with a bundle; a bare URL has none. `attempts` is how often a run is repeated
    that the machine's noise has spoilt. `swap_to` is a second version to swap with, `speed` how
    much faster a recording is replayed. With `stops_early` a run may end before its time
    (`validate.early`).
    """

    model: str
    scenario: ScenarioName
    subject: str
    bundle_id: str = ""
    seconds: float = DEFAULT_SECONDS
    rate_rps: float | None = None
    connections: int | None = None
    budgets: Budgets = Budgets()
    tolerances: Tolerances = Tolerances()
    contract: Contract | None = None
    swap_to: Path | None = None
    speed: float = 1.0
    min_accuracy: float | None = None
    max_drop: float | None = None
    label_output: str = ""
    attempts: int = 3
    stops_early: bool = False
    limits: SoundnessLimits = SoundnessLimits()
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.1 <= self.seconds <= 86_400:
            raise InputError(f"{self.seconds:g} seconds", hint="give 0.1 to 86400")
        if self.rate_rps is not None and not 0 < self.rate_rps <= 200_000:
            raise InputError(
                f"a rate of {self.rate_rps:g} requests a second",
                hint="give above 0, at most 200000",
            )


Spawn = Callable[[], AbstractContextManager[Served]]
"""Starts a new server process, gives it at once (not yet ready), stops it when the block ends."""


def scenario_named(name: str) -> ScenarioName:
    """The scenario of that name.

    >>> scenario_named("ofline")
    Traceback (most recent call last):
    ...
    edgewright.errors.InputError: there is no scenario 'ofline'; did you mean 'offline'?

    Raises:
        InputError: there is none.
    """
    for known in get_args(ScenarioName):
        if known == name:
            return known  # type: ignore[no-any-return] # get_args loses the literal's type
    raise InputError(f"there is no scenario {name!r}", hint=suggestion(name, list(SCENARIO_NAMES)))
