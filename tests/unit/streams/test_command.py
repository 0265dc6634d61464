import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.device.streams.base import Result
from edgewright.device.streams.command import CommandOrder, command_for

BY_STATE = CommandOrder(values={"walk": 4.0, "run": 5.0}, safe=1.0, low=0.0, high=5.0)
BY_OUTPUT = CommandOrder(output="speed", safe=1.0, low=0.0, high=5.0)


def result(**fields: object) -> Result:
    return Result(model="m", start_s=0.0, end_s=1.0, **fields)  # type: ignore[arg-type]  # of each case


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"state": "walk"}, 4.0),
        ({"state": "run", "label": "walk"}, 5.0),
        ({"state": "fall"}, 1.0),
        ({}, 1.0),
        ({"state": "walk", "refused": "out of range"}, 1.0),
    ],
)
def test_a_state_has_its_value_and_all_else_is_safe(
    fields: dict[str, object], expected: float
) -> None:
    assert command_for(result(**fields), BY_STATE) == expected


@given(
    st.one_of(
        st.floats(), st.integers(), st.booleans(), st.text(), st.none(), st.lists(st.floats())
    )
)
def test_whatever_a_model_says_the_command_is_inside_the_limits(value: object) -> None:
    sent = command_for(result(outputs={"speed": value}), BY_OUTPUT)
    assert 0.0 <= sent <= 5.0
    assert math.isfinite(sent)


def test_a_number_inside_the_limits_is_sent_as_it_is() -> None:
    assert command_for(result(outputs={"speed": [2.25]}), BY_OUTPUT) == 2.25


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"values": {"walk": 6.0}}, "value 6 of 'walk' is outside 0 to 5"),
        ({"values": {"walk": 1.0}, "safe": -1.0}, "value -1 of 'safe' is outside"),
        ({"values": {"walk": math.nan}}, "of 'walk' is outside"),
        ({}, "either `values` for states or an `output`"),
        ({"values": {"walk": 1.0}, "output": "speed"}, "either"),
        ({"values": {"walk": 1.0}, "low": 9.0}, "are no range"),
        ({"values": {"walk": 1.0}, "high": math.inf}, "are no range"),
        ({"values": {"walk": 1.0}, "stale_s": 0.0}, "stale_s is 0"),
        ({"values": {"walk": 1.0}, "stale_s": math.inf}, "stale_s is inf"),
        ({"values": {"walk": 1.0}, "max_age_s": 0.0}, "max_age_s is 0"),
    ],
)
def test_an_order_that_is_not_safe_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CommandOrder(**{"safe": 0.0, "low": 0.0, "high": 5.0, **fields})  # type: ignore[arg-type]  # of each case
