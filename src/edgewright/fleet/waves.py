"""Waves: which devices of a rollout come when. Values in, values out.

A wave is written as how far the rollout has come when the wave has passed: a number of devices or a
percentage of all of them. Or it is a label, and those of the devices that have it come next.

>>> [wave.text for wave in parse_waves("1, 10%, 100%")]
['1', '10%', '100%']
>>> split(["a", "b", "c", "d"], parse_waves("1,50%,100%"))
(('a',), ('b',), ('c', 'd'))
>>> split(["a", "b", "c"], parse_waves("ring=canary,100%"), {"c": {"ring": "canary"}})
(('c',), ('a', 'b'))
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from edgewright.errors import InputError

WAVE_LIMIT = 100

_WAVE = re.compile(r"(?P<number>\d{1,7}(?:\.\d{1,4})?)(?P<percent>%?)")
_LABEL = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,62})=([A-Za-z0-9][A-Za-z0-9._-]{0,62})")
_HINT = "write them like 1,10%,100% or ring=canary,10%,100%"


class Wave(msgspec.Struct, frozen=True, kw_only=True):
    """How far a rollout has come at the end of a wave: `reach` devices, or percent of all; or the
    label of the devices that come next.
    """

    reach: float = 0.0
    is_percent: bool = False
    label: tuple[str, str] | None = None

    @property
    def text(self) -> str:
        """As people write it."""
        if self.label is not None:
            return "=".join(self.label)
        return f"{self.reach:g}{'%' if self.is_percent else ''}"

    def count_of(self, total: int) -> int:
        """How many of `total` devices that is, rounded up, so that no percentage is nobody."""
        if self.is_percent:
            return min(total, -int(-total * self.reach // 100))
        return min(total, int(self.reach))


def parse_waves(text: str) -> tuple[Wave, ...]:
    """The waves of a comma-separated list; the last one must reach every device that is left.

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


def split(
    devices: Sequence[str],
    waves: Sequence[Wave],
    labels: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> tuple[tuple[str, ...], ...]:
    """The devices of each wave, in their order; a wave that adds nobody is left out.

    Raises:
        InputError: a wave reaches less far than the one before it.
    """
    left, parts = list(devices), list[tuple[str, ...]]()
    total, done, before = len(left), 0, 0
    for number, wave in enumerate(waves, start=1):
        if wave.label is not None:
            key, value = wave.label
            chosen = [device for device in left if labels.get(device, {}).get(key) == value]
        else:
            reach = wave.count_of(total)
            if reach < before and not _is_cut_off(wave, total):
                raise InputError(
                    f"wave {number} ({wave.text}) reaches {reach} of {total} devices, the wave "
                    f"before it {before}",
                    hint="let every wave reach further than the one before",
                )
            before = reach
            chosen = left[: max(0, reach - done)]
        if chosen:
            parts.append(tuple(chosen))
            taken = set(chosen)
            left = [device for device in left if device not in taken]
            done += len(chosen)
    return tuple(parts)


def _is_cut_off(wave: Wave, total: int) -> bool:
    return not wave.is_percent and wave.reach >= total


def _parse_wave(text: str) -> Wave:
    label = _LABEL.fullmatch(text)
    if label is not None:
        return Wave(label=(label[1], label[2]))
    found = _WAVE.fullmatch(text)
    if found is None:
        raise InputError(f"wave {text[:40]!r}: expected a number or a percentage", hint=_HINT)
    reach = float(found["number"])
    is_percent = bool(found["percent"])
    if (
        reach in (0, float("inf"))
        or (is_percent and reach > 100)
        or (not is_percent and reach != int(reach))
    ):
        raise InputError(
            f"wave {text[:40]}: expected a whole number above 0, or above 0% and at most 100%",
            hint=_HINT,
        )
    return Wave(reach=reach, is_percent=is_percent)
