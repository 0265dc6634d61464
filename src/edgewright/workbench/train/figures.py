"""A score as people read it."""

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A name for people, a value, and its 95 % interval over groups where one is known."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
