"""From what a model says about single windows to what is held to be true: hysteresis and
debouncing.

The rule is the table below: what the newest window says (the held label or another one, with a
high, middle or low score) decides between three moves. `keep`: the held label is confirmed.
`challenge`: another label counts towards replacing it after `confirm` such windows in a row.
`doubt`: the held label goes without support; after `release` windows of doubt or challenge nothing
is held.

    >>> rule = Rule(enter=0.6, leave=0.4, confirm=2, release=3)
    >>> held = Held()
    >>> for label, score in [("walk", 0.9), ("walk", 0.8), ("sit", 0.7), ("walk", 0.5)]:
    ...     held = advance(held, label=label, score=score, rule=rule)
    ...     print(label, "->", held.label or "-")
    walk -> -
    walk -> walk
    sit -> walk
    walk -> walk
"""

from typing import Literal

import msgspec

Move = Literal["keep", "challenge", "doubt"]
Level = Literal["high", "middle", "low"]

TABLE: dict[tuple[bool, Level], Move] = {
    # (is the held label, score): move
    (True, "high"): "keep",
    (True, "middle"): "keep",
    (True, "low"): "doubt",
    (False, "high"): "challenge",
    (False, "middle"): "doubt",
    (False, "low"): "doubt",
}


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A label is taken up at `enter` for `confirm` windows in a row, and let go after `release`
    windows in a row without its score reaching `leave`.
    """

    enter: float = 0.5
    leave: float = 0.3
    confirm: int = 2
    release: int = 3

    def __post_init__(self) -> None:
        if not 0 <= self.leave <= self.enter <= 1:
            raise ValueError(
                f"0 <= leave <= enter <= 1 must hold, got {self.leave:g} and {self.enter:g}"
            )
        if self.confirm < 1 or self.release < 1:
            raise ValueError("confirm and release count windows, at least 1")


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What is held to be true (nothing: ""), who challenges it, and for how many windows."""

    label: str = ""
    challenger: str = ""
    challenges: int = 0
    unsupported: int = 0


def advance(held: Held, *, label: str, score: float, rule: Rule) -> Held:
    """What is held after one more window; a window without an answer has the label ""."""
    move = TABLE[(bool(label) and label == held.label, _level(score if label else 0.0, rule))]
    if move == "keep":
        return Held(label=held.label)
    unsupported = held.unsupported + 1 if held.label else 0
    challenger = label if move == "challenge" else ""
    challenges = 0
    if challenger:
        challenges = held.challenges + 1 if challenger == held.challenger else 1
    if challenges >= rule.confirm:
        return Held(label=challenger)
    is_released = unsupported >= rule.release
    return Held(
        label="" if is_released else held.label,
        challenger=challenger,
        challenges=challenges,
        unsupported=0 if is_released else unsupported,
    )


def _level(score: float, rule: Rule) -> Level:
    if score >= rule.enter:
        return "high"
    return "middle" if score >= rule.leave else "low"
