"""Units of sensors: what each may be written in, and the one unit that datasets hold.

>>> canonical("m/s2")
('g', 0.10197162129779283)
"""

import math

from edgewright.contract.decoding import suggestion
from edgewright.errors import InputError

STANDARD_GRAVITY = 9.80665
"""Metres per second squared in one g."""

_UNITS: dict[str, tuple[str, float]] = {
    "g": ("g", 1.0),
    "mg": ("g", 1e-3),
    "m/s2": ("g", 1.0 / STANDARD_GRAVITY),
    "m/s^2": ("g", 1.0 / STANDARD_GRAVITY),
    "m/s\u00b2": ("g", 1.0 / STANDARD_GRAVITY),
    "rad/s": ("rad/s", 1.0),
    "deg/s": ("rad/s", math.pi / 180.0),
    "dps": ("rad/s", math.pi / 180.0),
    "mdps": ("rad/s", math.pi / 180e3),
    "\u00b0/s": ("rad/s", math.pi / 180.0),
    "uT": ("uT", 1.0),
    "\u00b5T": ("uT", 1.0),
    "nT": ("uT", 1e-3),
    "mT": ("uT", 1e3),
    "T": ("uT", 1e6),
    "mgauss": ("uT", 0.1),
    "gauss": ("uT", 100.0),
    "": ("", 1.0),
}


def canonical(unit: str, *, of: str = "") -> tuple[str, float]:
    """The unit that datasets hold for this kind of sensor, and the factor that leads there.

    `of` names the channel in the error.

    Raises:
        InputError: the unit is not known.
    """
    if unit not in _UNITS:
        raise InputError(
            f"{of}: unit {unit!r} is not known".removeprefix(": "),
            hint=suggestion(unit, [u for u in _UNITS if u and u.isascii()]),
        )
    return _UNITS[unit]
