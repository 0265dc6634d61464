r"""What a message of a sensor holds, as columns. Pure; recordings and live streams read the same.

A payload is an object (`{"acc": {"x": 1}}` becomes the column `acc.x`), a list or comma-separated
numbers (columns `0 1 2`; a number alone is column `0`), or a list of objects or lists (several
samples).

    >>> list(samples_of('{"acc": {"x": 0.5}, "t": 3}'))
    [{'acc.x': 0.5, 't': 3}]
    >>> list(samples_of("[[0.5, 2], [0.6, 3]]"))
    [{'0': 0.5, '1': 2}, {'0': 0.6, '1': 3}]
    >>> list(samples_of("0.5"))
    [{'0': 0.5}]
"""

from collections.abc import Iterator
from typing import Any

import msgspec

ARRIVAL = "tst"
_MOST_DEPTH = 4
Row = dict[str, float | str]


def is_message(line: dict[str, Any]) -> bool:
    """Whether a line holds an MQTT message rather than a sample itself."""
    return "topic" in line and "payload" in line


def samples_in(line: dict[str, Any]) -> Iterator[Row]:
    """The samples that one line carries, as columns; those of a message know their topic's parts.

    >>> list(samples_in({"tst": 1.0, "topic": "a/b", "payload": "[0.5, 2]"}))
    [{'0': 0.5, '1': 2, 'tst': 1.0, 'topic.0': 'a', 'topic.1': 'b'}]
    """
    if not is_message(line):
        yield flat(line)
        return
    topic = str(line["topic"])
    context: Row = {ARRIVAL: line[ARRIVAL]} if ARRIVAL in line else {}
    context |= {f"topic.{at}": part for at, part in enumerate(topic.split("/"))}
    for row in samples_of(line["payload"]):
        yield {**row, **context}


def samples_of(payload: Any) -> Iterator[Row]:
    """The samples of one payload: text, or what a text was parsed to."""
    inner = _inner(payload)
    if not isinstance(inner, dict | list):
        inner = [inner]
    several = isinstance(inner, list) and inner and isinstance(inner[0], dict | list)
    for each in inner if several else [inner]:
        yield flat(each)


def flat(value: Any, prefix: str = "", depth: int = 0) -> Row:
    """Nested values as columns with dotted names; what lies too deep is left out."""
    items: Iterator[tuple[str, Any]]
    if isinstance(value, dict):
        items = ((str(key), each) for key, each in value.items())
    elif isinstance(value, list):
        items = ((str(at), each) for at, each in enumerate(value))
    else:
        return {prefix: "" if value is None else value}
    found: Row = {}
    for key, each in items:
        name = f"{prefix}.{key}" if prefix else key
        if depth < _MOST_DEPTH:
            found |= flat(each, name, depth + 1)
    return found


def _inner(payload: Any) -> Any:
    """What a payload that came as text holds: JSON, or numbers between commas."""
    if not isinstance(payload, str):
        return payload
    try:
        return msgspec.json.decode(payload.encode())
    except (msgspec.DecodeError, RecursionError):
        return payload.split(",")
