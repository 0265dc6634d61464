"""A measured number, with everything somebody else needs to measure it again."""

from typing import Literal

import msgspec


class Evidence(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One number: what was measured, how, where, when, on what, and its 95 % interval.

    `method` says whether a clock or counter read it or a model estimated it; what nobody measured
    carries no value of this type.
    """

    name: str
    value: float
    unit: str
    how: str
    where: str
    when: str
    on: str
    method: Literal["measured", "estimated"] = "measured"
    low: float | None = None
    high: float | None = None
