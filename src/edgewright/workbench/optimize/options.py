"""What `optimize` is asked for."""

from typing import Literal

import msgspec

from edgewright.errors import InputError
from edgewright.workbench.optimize.chain import parse_chain
from edgewright.workbench.optimize.variants import FORMATS

Objective = Literal["latency", "size", "energy"]


class OptimizeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`max_drop` is the accuracy budget in points of the task metric; the chosen variant's 95 %
    upper bound on the drop stays below it. No `formats` are all that can be searched;
    `chains` are compressions for a model that comes with its training recipe.
    """

    max_drop: float
    metric: str | None = None
    target: str | None = None
    objective: Objective = "latency"
    seed: int = 0
    threads: int = 1
    exhaustive: bool = False
    formats: tuple[str, ...] = ()
    chains: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop <= 100:
            raise InputError(
                f"max-drop is {self.max_drop:g} points, expected 0 to 100",
                hint="0.5 means that the metric may fall by half a point",
            )
        if self.threads < 1:
            raise InputError(f"threads is {self.threads}, expected 1 or more")
        for chain in self.chains:
            parse_chain(chain)
        for name in self.formats:
            if name not in FORMATS:
                raise InputError(
                    f"format {name!r} is not searched", hint=f"known: {', '.join(FORMATS)}"
                )


class Progress(msgspec.Struct, frozen=True):
    """How far a search is: `done` of `total` steps, and what it does now."""

    done: float
    total: float
    text: str
