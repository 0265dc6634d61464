"""Waves: which devices of a rollout come when. Values in, values out.

A wave is written as how far the rollout has come when the wave has passed: a number of devices or a
percentage of all of them.

>>> [wave.text for wave in parse_waves("1, 10%, 100%")]
['1', '10%', '100%']
>>> split(["a", "b", "c", "d"], parse_waves("1,50%,100%"))
(('a',), ('b',), ('c', 'd'))
"""

import re
from collections.abc import Sequence

import msgspec

from edgewright.errors import InputError

WAVE_LIMIT = 100

_WAVE = re.compile(r"(?P<number>\d{1,7}(?:\.\d{1,4})?)(?P<percent>%?)")
_HINT = "write them like 1,10%,100%"


class Wave(msgspec.Struct, frozen=True, kw_only=True):
    """How far a rollout has come at the end of a wave: `reach` devices, or percent of all."""

    reach: float
    is_percent: bool = False

    @property
    def text(self) -> str:
        """As people write it."""
        return f"{self.reach:g}{'%' if self.is_percent else ''}"

    def count_of(self, total: int) -> int:
        """How many of `total` devices that is, rounded up, so that no percentage is nobody."""
        if self.is_percent:
            return min(total, -int(-total * self.reach // 100))
        return min(total, int(self.reach))


def parse_waves(text: str) -> tuple[Wave, ...]:
    """The waves of a comma-separated list; the last one must reach every device.

    Raises:
        InputError: not such a list.
    """
    waves = tuple(_parse_wave(part.strip()) for part in text.split(","))
    if len(waves) > WAVE_LIMIT:
        raise InputError(f"{len(waves)} waves, at most {WAVE_LIMIT} are taken", hint=_HINT)
    if waves[-1] != Wave(reach=100, is_percent=True):
        raise InputError(
            f"waves {text!r} end at {waves[-1].text}, expected 100% at the end",
            hint=f"write {text},100%, or choose fewer devices by their labels",
        )
    return waves


def split(devices: Sequence[str], waves: Sequence[Wave]) -> tuple[tuple[str, ...], ...]:
    """The devices of each wave, in their order; a wave that adds nobody is left out.

    Raises:
        InputError: a wave reaches less far than the one before it.
    """
    parts = []
    before = 0
    for number, wave in enumerate(waves, start=1):
        reach = wave.count_of(len(devices))
        if reach < before and not _is_cut_off(wave, len(devices)):
            raise InputError(
                f"wave {number} ({wave.text}) reaches {reach} of {len(devices)} devices, the wave "
                f"before it {before}",
                hint="let every wave reach further than the one before",
            )
        if reach > before:
            parts.append(tuple(devices[before:reach]))
            before = reach
    return tuple(parts)


def _is_cut_off(wave: Wave, total: int) -> bool:
    return not wave.is_percent and wave.reach >= total


def _parse_wave(text: str) -> Wave:
    found = _WAVE.fullmatch(text)
    if found is None:
        raise InputError(f"wave {text[:40]!r}: expected a number or a percentage", hint=_HINT)
    reach = float(found["number"])
    is_percent = bool(found["percent"])
    if reach == 0 or (is_percent and reach > 100) or (not is_percent and reach != int(reach)):
        raise InputError(
            f"wave {text}: expected a whole number above 0, or above 0% and at most 100%",
            hint=_HINT,
        )
    return Wave(reach=reach, is_percent=is_percent)
