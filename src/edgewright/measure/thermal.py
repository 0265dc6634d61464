"""How hot the machine is and whether that slowed it down, where it shows that: thermal zones, the
throttle counters of x86 cores, and the firmware's word of a Raspberry Pi.
"""

import contextlib
from pathlib import Path

import msgspec

SYS = Path("/sys")

_ZONES = "class/thermal/thermal_zone*/temp"
_COUNTERS = "devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count"
_FIRMWARE = "devices/platform/soc/soc:firmware/get_throttled"
_SLOWED_NOW = 0x6
"""Bits of the firmware's word: the frequency is capped, the core is throttled, at this moment."""
_PLAUSIBLE_C = (-40.0, 150.0)


class Thermal(msgspec.Struct, frozen=True, kw_only=True):
    """One look. `events` counts how often heat slowed a core down since boot, `is_slowed` says
    whether it does now; None where the machine does not tell.
    """

    temperatures_c: tuple[float, ...] = ()
    events: int | None = None
    is_slowed: bool | None = None


def read_thermal(*, root: Path = SYS) -> Thermal:
    """This machine now; what it does not show is left empty, nothing is guessed.

    >>> read_thermal(root=Path("/nowhere"))
    Thermal(temperatures_c=(), events=None, is_slowed=None)
    """
    temperatures = [value / 1000 for value in _numbers(root, _ZONES)]
    events = _numbers(root, _COUNTERS)
    words = _numbers(root, _FIRMWARE, base=16)
    low, high = _PLAUSIBLE_C
    return Thermal(
        temperatures_c=tuple(one for one in temperatures if low < one < high),
        events=sum(events) if events else None,
        is_slowed=any(word & _SLOWED_NOW for word in words) if words else None,
    )


def throttled_between(first: Thermal, last: Thermal) -> int | None:
    """How often heat slowed the machine down between two looks, None where it does not tell.

    >>> throttled_between(Thermal(events=3), Thermal(events=5))
    2
    """
    if first.events is not None and last.events is not None:
        return max(last.events - first.events, 0)
    if first.is_slowed is None or last.is_slowed is None:
        return None
    return int(first.is_slowed) + int(last.is_slowed)


def _numbers(root: Path, pattern: str, *, base: int = 10) -> list[int]:
    found = []
    for path in sorted(root.glob(pattern)):
        with contextlib.suppress(OSError, ValueError):
            found.append(int(path.read_text().strip(), base))
    return found
