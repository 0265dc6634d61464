import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.errors import InputError
from edgewright.fleet.waves import Wave, parse_waves, split

DEVICES = [f"d{number:03}" for number in range(50)]


def test_waves_reach_further_each_time() -> None:
    sizes = [len(part) for part in split(DEVICES, parse_waves("1,10%,50%,100%"))]
    assert sizes == [1, 4, 20, 25]


def test_a_wave_that_adds_nobody_is_left_out() -> None:
    assert [len(part) for part in split(["a", "b"], parse_waves("1,10%,5,100%"))] == [1, 1]


@pytest.mark.parametrize(
    "text", ["", "0,100%", "x,100%", "1.5,100%", "101%", "1,,100%", "-1,100%", "9" * 400 + ",100%"]
)
def test_a_bad_wave_is_refused_by_name(text: str) -> None:
    with pytest.raises(InputError, match="expected"):
        parse_waves(text)


def test_waves_must_reach_everybody() -> None:
    with pytest.raises(InputError, match=r"expected 100% at the end.*1,50%,100%"):
        parse_waves("1,50%")


def test_a_wave_that_falls_back_is_refused() -> None:
    with pytest.raises(InputError, match=r"wave 2 \(2\) reaches 2 of 50"):
        split(DEVICES, parse_waves("10,2,100%"))


@given(
    total=st.integers(0, 300),
    percents=st.lists(st.integers(1, 99), max_size=6).map(sorted),
)
def test_every_device_is_in_exactly_one_wave(total: int, percents: list[int]) -> None:
    waves = [Wave(reach=percent, is_percent=True) for percent in percents]
    devices = [str(number) for number in range(total)]
    parts = split(devices, [*waves, Wave(reach=100, is_percent=True)])
    assert [device for part in parts for device in part] == devices
    assert all(parts)
