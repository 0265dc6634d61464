"""What the demo found, as values for the table, the JSON and the page."""

from typing import Literal

import msgspec

from edgewright.workbench.pipeline.budgets import TimeBudget

Held = Literal["yes", "no", "unsound"]


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the demo set out to show, and what was measured.

    `held` is "unsound" where the machine was too noisy for the measurement to say anything.
    """

    claim: str
    measured: str
    held: Held


def held(is_true: bool) -> Held:  # noqa: FBT001 - a word for a claim
    """The word for a claim that could be measured."""
    return "yes" if is_true else "no"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A number of the run, in words."""

    name: str
    value: str


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the demo and how long it took."""

    name: str
    seconds: float


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The whole demo."""

    machine: str
    when: str
    seconds: float
    acts: tuple[Act, ...]
    figures: tuple[Figure, ...]
    claims: tuple[Claim, ...]
    budgets: tuple[TimeBudget, ...]
    folder: str
    page: str

    @property
    def is_good(self) -> bool:
        """Whether no claim failed and every budget was kept."""
        return all(c.held != "no" for c in self.claims) and all(b.is_kept for b in self.budgets)
