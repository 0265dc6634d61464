"""Which alerts began and which ended since somebody was told. Values in, values out.

An alert that flutters is told once: it has ended only when it was absent for `CALM_S`. Alerts of a
kind that begin together become one piece of news, so that a site that loses its line is one message
and not one for each of its devices.

>>> first = compare({}, {("d1", "silence", ""): "900 s"}, now_s=0.0)
>>> [(each.subject, each.text) for each in first.fresh]
[('silence', 'd1: 900 s')]
>>> compare(first.told, {}, now_s=60.0).fresh
()
>>> compare(first.told, {}, now_s=CALM_S).fresh[0].text
'over on d1'
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from edgewright.fleet.alerts import Alert

CALM_S = 300.0
NAMED = 20

Key = tuple[str, str, str]
"""Device, what, model."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts of one kind that began or ended together."""

    subject: str
    text: str
    devices: tuple[str, ...]


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """What is told now, and since when each was last seen."""

    told: dict[Key, float]
    fresh: tuple[Change, ...]


def keyed(alerts: Iterable[Alert]) -> dict[Key, str]:
    """Alerts by what makes them the same."""
    return {(each.device, each.what, each.model): _measured(each) for each in alerts}


def compare(told: Mapping[Key, float], now: Mapping[Key, str], *, now_s: float) -> Compared:
    """What to tell, given what was told before and what holds now."""
    begun = {key: text for key, text in now.items() if key not in told}
    over = {key: "" for key, seen_s in told.items() if key not in now and now_s - seen_s >= CALM_S}
    kept = {key: seen_s for key, seen_s in told.items() if key not in now and key not in over}
    return Compared(
        told=kept | dict.fromkeys(now, now_s),
        fresh=(*_changes(begun, ""), *_changes(over, "over on ")),
    )


def _changes(keys: Mapping[Key, str], before: str) -> Iterable[Change]:
    groups: dict[tuple[str, str], list[Key]] = defaultdict(list)
    for key in sorted(keys):
        groups[key[1], key[2]].append(key)
    for (what, model), group in groups.items():
        devices = tuple(key[0] for key in group)
        if len(group) == 1:
            measured = f": {keys[group[0]]}" if keys[group[0]] else ""
            text = f"{before}{devices[0]}{measured}"
        else:
            text = f"{before}{len(group)} devices, {devices[0]} first"
        yield Change(
            subject=f"{what} of {model}" if model else what, text=text, devices=devices[:NAMED]
        )


def _measured(alert: Alert) -> str:
    unit = f" {alert.unit}" if alert.unit else ""
    text = f" ({alert.text})" if alert.text else ""
    return f"{alert.measured:.4g}{unit}, limit {alert.limit:.4g}{unit}{text}"
