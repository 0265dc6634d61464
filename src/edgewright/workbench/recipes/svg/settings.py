"""The tracer's parameters, declared once: what each may be, what it is by default, and how it looks
to a network.

>>> Settings().mode, Settings().filter_speckle
('spline', 4)
>>> parse_settings({"filter_speckel": 3}, source="request")
Traceback (most recent call last):
...
edgewright.errors.InputError: request: unknown key 'filter_speckel'; did you mean 'filter_speckle'?
>>> parse_settings({"color_precision": 9}, source="request")
Traceback (most recent call last):
...
edgewright.errors.InputError: request: color_precision is 9, expected 1 to 8; see `edgewright svg \
parameters`
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.contract import Channel
from edgewright.contract.decoding import convert
from edgewright.errors import InputError

Mode = Literal["none", "polygon", "spline"]
MODES: tuple[Mode, ...] = ("none", "polygon", "spline")


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter: its range (both ends belong to it), and what it does."""

    name: str
    low: float
    high: float
    is_whole: bool
    unit: str = ""
    meaning: str


PARAMETERS = (
    Parameter(
        name="mode",
        low=0,
        high=2,
        is_whole=True,
        meaning="outline of a region: 0 none (pixel edges), 1 polygon, 2 spline",
    ),
    Parameter(
        name="filter_speckle",
        low=0,
        high=16,
        is_whole=True,
        unit="px",
        meaning="regions below its square in area are dropped",
    ),
    Parameter(
        name="color_precision",
        low=1,
        high=8,
        is_whole=True,
        unit="bit",
        meaning="significant bits of a colour channel",
    ),
    Parameter(
        name="layer_difference",
        low=0,
        high=255,
        is_whole=True,
        meaning="colour distance between gradient layers",
    ),
    Parameter(
        name="corner_threshold",
        low=0,
        high=180,
        is_whole=True,
        unit="deg",
        meaning="smallest angle that counts as a corner",
    ),
    Parameter(
        name="length_threshold",
        low=3.5,
        high=10,
        is_whole=False,
        unit="px",
        meaning="segments are subdivided until they are shorter",
    ),
    Parameter(
        name="max_iterations",
        low=1,
        high=20,
        is_whole=True,
        meaning="rounds of subdivision",
    ),
    Parameter(
        name="splice_threshold",
        low=0,
        high=180,
        is_whole=True,
        unit="deg",
        meaning="smallest angle at which a spline is cut",
    ),
    Parameter(
        name="path_precision",
        low=1,
        high=8,
        is_whole=True,
        meaning="decimals of a coordinate in the file",
    ),
)

CLASSIC = (
    "color_precision",
    "corner_threshold",
    "length_threshold",
    "max_iterations",
    "splice_threshold",
    "path_precision",
    "layer_difference",
    "mode",
)
"""The eight that the 2056-wide network takes, in its order; `filter_speckle` is not among them."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One choice of all parameters; the defaults are the tracer's own."""

    mode: Mode = "spline"
    filter_speckle: int = 4
    color_precision: int = 6
    layer_difference: int = 16
    corner_threshold: int = 60
    length_threshold: float = 4.0
    max_iterations: int = 10
    splice_threshold: int = 45
    path_precision: int = 8

    def __post_init__(self) -> None:
        for parameter in PARAMETERS:
            value = getattr(self, parameter.name)
            if isinstance(value, str):
                continue
            if not parameter.low <= value <= parameter.high:
                raise ValueError(
                    f"{parameter.name} is {value:g}, "
                    f"expected {parameter.low:g} to {parameter.high:g}"
                )


DEFAULT = Settings()


def parse_settings(raw: Mapping[str, Any], *, source: str) -> Settings:
    """Settings from parsed JSON, TOML or a form.

    Raises:
        InputError: an unknown name, a value of the wrong kind or out of range.
    """
    try:
        return convert(dict(raw), Settings, source=source)
    except InputError as error:
        if error.hint:
            raise
        raise InputError(error.message, hint="see `edgewright svg parameters`") from error


def encode(settings: Settings) -> NDArray[np.float32]:
    """The numbers that a contract's `settings` input holds, in the order of `PARAMETERS`."""
    values = [
        MODES.index(settings.mode) if each.name == "mode" else getattr(settings, each.name)
        for each in PARAMETERS
    ]
    return np.array(values, np.float32)


def decode(values: NDArray[np.float32]) -> Settings:
    """The settings behind a row of numbers."""
    raw: dict[str, Any] = {}
    for parameter, value in zip(PARAMETERS, values.tolist(), strict=True):
        whole = round(value)
        raw[parameter.name] = (
            MODES[whole] if parameter.name == "mode" else whole if parameter.is_whole else value
        )
    return parse_settings(raw, source="settings")


def channels() -> tuple[Channel, ...]:
    """The parameters as a contract's channels: named and range-checked at the door."""
    return tuple(Channel(name=p.name, unit=p.unit, low=p.low, high=p.high) for p in PARAMETERS)


LAYER_DIFFERENCE_DRAWN = 128
"""Above it hardly a layer is left; samples are drawn up to here."""


def draw(rng: np.random.Generator, count: int) -> list[Settings]:
    """Random settings, each parameter evenly over its range."""
    drawn = []
    for _ in range(count):
        raw: dict[str, Any] = {}
        for parameter in PARAMETERS:
            high = (
                LAYER_DIFFERENCE_DRAWN if parameter.name == "layer_difference" else parameter.high
            )
            if parameter.name == "mode":
                raw["mode"] = MODES[int(rng.integers(len(MODES)))]
            elif parameter.is_whole:
                raw[parameter.name] = int(rng.integers(int(parameter.low), int(high) + 1))
            else:
                raw[parameter.name] = round(float(rng.uniform(parameter.low, high)), 2)
        drawn.append(Settings(**raw))
    return drawn


PILOTS = (
    DEFAULT,
    Settings(mode="none"),
    Settings(mode="none", filter_speckle=12),
    Settings(mode="none", color_precision=3),
    Settings(mode="none", color_precision=1),
    Settings(mode="none", layer_difference=48),
    Settings(mode="none", layer_difference=112),
    Settings(mode="polygon", filter_speckle=8),
    Settings(
        filter_speckle=8,
        corner_threshold=150,
        length_threshold=8.0,
        splice_threshold=120,
        path_precision=2,
    ),
    Settings(
        mode="none",
        filter_speckle=10,
        color_precision=2,
        layer_difference=80,
    ),
)
"""Settings that a new image is traced with before the network is asked about others: each shows one
kind of loss (colours, layers, speckles, outlines) on that very image."""
