"""What a device may tell. (`device`, `sequence`) names a record once and for all: sending is
idempotent.

Names are bounded, because they become keys of a database, and a record with another one is refused.
Free text is cut to `LINE_LIMIT` and holds no NUL, which not every database stores: a long reason is
no reason to lose the record.
"""

from math import isfinite
from typing import Annotated

import msgspec

from edgewright.evidence import Outcome

FIGURES_LIMIT = 16
LINE_LIMIT = 1000
NAME_LIMIT = 128

Name = Annotated[
    str,
    msgspec.Meta(
        max_length=NAME_LIMIT,
        pattern=r"\A(?:[A-Za-z0-9][A-Za-z0-9._+-]*)?\Z",
        description="What may name a device, model, version, bundle or state; or nothing.",
    ),
]
Channel = Annotated[str, msgspec.Meta(max_length=NAME_LIMIT)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
"""What is counted stays a number that a float and every database hold exactly."""


class _Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    device: Name
    sequence: Count
    at_s: float
    schema_version: int = 1

    def __post_init__(self) -> None:
        for field in self.__struct_fields__:
            value = getattr(self, field)
            if isinstance(value, float) and not isfinite(value):
                raise ValueError(f"{field} is {value}, expected a finite number")
            if isinstance(value, str) and (len(value) > LINE_LIMIT or "\0" in value):
                text = value[:LINE_LIMIT].replace("\0", "\N{REPLACEMENT CHARACTER}")
                msgspec.structs.force_setattr(self, field, text)


class UpdateRecord(_Record, frozen=True, kw_only=True, tag="update"):
    """The agent changed state for a bundle, with the reason where there is one."""

    bundle: Name
    state: Name
    model: Name = ""
    version: Name = ""
    reason: str = ""


class HealthRecord(_Record, frozen=True, kw_only=True, tag="health"):
    """How the device itself is."""

    memory_free_mb: float
    disk_free_mb: float
    temperature_c: float | None = None


class ServingRecord(_Record, frozen=True, kw_only=True, tag="serving"):
    """What a model did since the last such record."""

    model: Name
    bundle: Name
    requests: Count
    errors: Count
    latency_p50_ms: float
    latency_p95_ms: float


class DriftRecord(_Record, frozen=True, kw_only=True, tag="drift"):
    """A channel or embedding left its reference, with the named cause and the evidence for it."""

    model: Name
    channel: Channel
    cause: str
    score: float
    limit: float


class Figure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A measured number of a validation, with its 95 % interval where there is one."""

    name: Annotated[str, msgspec.Meta(max_length=80)]
    value: float
    unit: Annotated[str, msgspec.Meta(max_length=20)]
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        for value in (self.value, self.low, self.high):
            if value is not None and not isfinite(value):
                raise ValueError(f"{self.name} is {value}, expected a finite number")


class ValidationRecord(_Record, frozen=True, kw_only=True, tag="validation"):
    """The verdict of validate's rules on a bundle on this device, and the figures it stands on."""

    model: Name
    bundle: Name
    outcome: Outcome
    version: Name = ""
    reason: str = ""
    how: str = ""
    where: str = ""
    figures: Annotated[tuple[Figure, ...], msgspec.Meta(max_length=FIGURES_LIMIT)] = ()

    def figure(self, name: str) -> Figure | None:
        """The figure of that name, if it was measured."""
        return next((figure for figure in self.figures if figure.name == name), None)


Record = UpdateRecord | HealthRecord | ServingRecord | DriftRecord | ValidationRecord
