"""Maintenance windows in the local time of each device: when a device may be given an order.

>>> window = parse_window("mon-fri 22:00-04:30")
>>> window.text
'mon-fri 22:00-04:30'
>>> is_open(window, at_s=0.0, timezone="Asia/Tokyo")  # 1970-01-01, a Thursday, 09:00 in Tokyo
False
"""

import datetime as dt
import re
import zoneinfo

import msgspec

from edgewright.errors import InputError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_DAY = "|".join(DAYS)
_WINDOW = re.compile(
    rf"(?:(?P<first>{_DAY})(?:-(?P<last>{_DAY}))?\s+)?"
    r"(?P<from>\d{2}:\d{2})-(?P<to>\d{2}:\d{2})"
)
_HINT = "write it like 22:00-04:00 or mon-fri 22:00-04:00"
_MINUTES_A_DAY = 24 * 60


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Days on which it begins, and minutes of the day; one that ends before it began ends on the
    next day.
    """

    text: str
    days: tuple[int, ...]
    from_min: int
    to_min: int


def parse_window(text: str) -> Window:
    """A window as people write it.

    Raises:
        InputError: it is none.
    """
    found = _WINDOW.fullmatch(text.strip().lower())
    if found is None:
        raise InputError(f"maintenance window {text[:40]!r}: not a window", hint=_HINT)
    first = DAYS.index(found["first"]) if found["first"] else 0
    last = DAYS.index(found["last"]) if found["last"] else (first if found["first"] else 6)
    days = tuple((first + step) % 7 for step in range((last - first) % 7 + 1))
    from_min, to_min = _minutes(found["from"]), _minutes(found["to"])
    if from_min == to_min:
        raise InputError(f"maintenance window {text[:40]!r} begins when it ends", hint=_HINT)
    return Window(text=text.strip().lower(), days=days, from_min=from_min, to_min=to_min)


def is_open(window: Window, *, at_s: float, timezone: str) -> bool:
    """Whether a device in this time zone is inside the window at this moment."""
    local = dt.datetime.fromtimestamp(at_s, zoneinfo.ZoneInfo(timezone))
    minute, day = local.hour * 60 + local.minute, local.weekday()
    if window.from_min < window.to_min:
        return day in window.days and window.from_min <= minute < window.to_min
    if minute >= window.from_min:
        return day in window.days
    return minute < window.to_min and (day - 1) % 7 in window.days


def check_timezone(name: str) -> str:
    """The name of a time zone that this machine knows.

    Raises:
        InputError: it is none.
    """
    if not knows_timezone(name):
        raise InputError(
            f"time zone {name[:60]!r} is not known here", hint="like Europe/Berlin or UTC"
        )
    return name


def knows_timezone(name: str) -> bool:
    """Whether this machine knows a time zone of that name."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _minutes(text: str) -> int:
    hours, minutes = int(text[:2]), int(text[3:])
    total = hours * 60 + minutes
    if minutes > 59 or total > _MINUTES_A_DAY:
        raise InputError(f"maintenance window: {text} is no time of the day", hint=_HINT)
    return total % _MINUTES_A_DAY if text != "24:00" else _MINUTES_A_DAY
