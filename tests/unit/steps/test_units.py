import math

import pytest

from edgewright.errors import InputError
from edgewright.steps.units import canonical


@pytest.mark.parametrize(
    ("unit", "expected", "value", "in_ours"),
    [
        ("m/s2", "g", 9.80665, 1.0),
        ("mg", "g", 250.0, 0.25),
        ("deg/s", "rad/s", 180.0, math.pi),
        ("gauss", "uT", 0.5, 50.0),
        ("", "", 3.0, 3.0),
    ],
)
def test_units_lead_to_the_canonical_one(
    unit: str, expected: str, value: float, in_ours: float
) -> None:
    name, factor = canonical(unit)
    assert name == expected
    assert value * factor == pytest.approx(in_ours)


def test_an_unknown_unit_is_named_with_a_suggestion() -> None:
    with pytest.raises(InputError, match="'rad/sec' is not known; did you mean 'rad/s'"):
        canonical("rad/sec")
