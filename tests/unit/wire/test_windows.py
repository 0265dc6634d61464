import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.errors import InputError
from edgewright.wire.windows import check_timezone, is_open, parse_window


def at(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("window", "when", "timezone", "expected"),
    [
        ("02:00-04:00", "2026-07-01T03:00+00:00", "UTC", True),
        ("02:00-04:00", "2026-07-01T04:00+00:00", "UTC", False),
        ("02:00-04:00", "2026-07-01T01:00+00:00", "Europe/Berlin", True),  # 03:00 summer time
        ("02:00-04:00", "2026-01-01T00:30+00:00", "Europe/Berlin", False),  # 01:30 winter time
        ("fri 22:00-04:00", "2026-07-04T03:00+00:00", "UTC", True),  # the night to Saturday
        ("fri 22:00-04:00", "2026-07-03T03:00+00:00", "UTC", False),  # the night to Friday
        ("sat-sun 00:00-24:00", "2026-07-05T23:59+00:00", "UTC", True),
        ("sat-sun 00:00-24:00", "2026-07-06T00:00+00:00", "UTC", False),
        ("sun-mon 10:00-11:00", "2026-07-06T10:30+00:00", "UTC", True),
    ],
)
def test_a_window_is_open_in_the_devices_own_time(
    window: str, when: str, timezone: str, expected: bool
) -> None:
    assert is_open(parse_window(window), at_s=at(when), timezone=timezone) is expected


@given(start=st.integers(0, 1439), length=st.integers(1, 1439), at_s=st.integers(0, 4_000_000_000))
def test_a_daily_window_is_open_for_its_length(start: int, length: int, at_s: int) -> None:
    end = (start + length) % 1440
    text = f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"
    minute = at_s // 60 % 1440
    inside = (minute - start) % 1440 < length
    assert is_open(parse_window(text), at_s=float(at_s), timezone="UTC") is inside


@pytest.mark.parametrize("text", ["", "22:00", "25:00-26:00", "22:61-23:00", "10:00-10:00", "x"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="maintenance window"):
        parse_window(text)


@pytest.mark.parametrize("name", ["", "Moon/Base", "../../etc/passwd", "/etc/localtime"])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="time zone"):
        check_timezone(name)
