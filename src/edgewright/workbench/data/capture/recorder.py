"""The loop of a capture: receive, write down, watch."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from edgewright._fs import appended_file
from edgewright.clock import Clock
from edgewright.errors import InputError
from edgewright.wire.samples import samples_in
from edgewright.workbench.data.capture.base import CaptureSource, Message
from edgewright.workbench.data.capture.live import CaptureStatus, LiveCheck

_STATUS_EVERY_S = 1.0


class CaptureOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Where to write, for how long, and what to write into every sample (subject, label,
    recording).
    """

    path: Path
    facts: dict[str, str] = {}
    seconds: float | None = None
    columns: tuple[str, ...] = ()


async def record(
    source: CaptureSource,
    order: CaptureOrder,
    check: LiveCheck,
    *,
    clock: Clock,
    on_status: Callable[[CaptureStatus, tuple[str, ...]], None],
) -> CaptureStatus:
    """Write what arrives until the source ends, the time is up, or the task is cancelled. There is
    no file when nothing arrived.

    Raises:
        InputError: the file is there already.
        UnavailableError: the source needs a package or a device that is absent.
        TransportError: the source is gone; what was recorded stays.
    """
    if order.path.exists():
        raise InputError(f"{order.path}: it is there already", hint="choose another name")
    try:
        await _written(source, order, check, clock=clock, on_status=on_status)
    finally:
        if order.path.exists() and order.path.stat().st_size == 0:
            order.path.unlink()
    return check.status()


async def _written(
    source: CaptureSource,
    order: CaptureOrder,
    check: LiveCheck,
    *,
    clock: Clock,
    on_status: Callable[[CaptureStatus, tuple[str, ...]], None],
) -> None:
    told_s = clock.monotonic_s()
    with appended_file(order.path) as file, contextlib.suppress(TimeoutError):
        async with asyncio.timeout(order.seconds):
            async with contextlib.aclosing(source.messages()) as messages:
                async for message in messages:
                    taken_s = message.taken_s
                    line = _line(message, order, clock.wall_s() if taken_s is None else taken_s)
                    file.write(msgspec.json.encode(line) + b"\n")
                    for row in samples_in(line):
                        check.add(clock.monotonic_s() if taken_s is None else taken_s, row)
                    if clock.monotonic_s() - told_s >= _STATUS_EVERY_S:
                        told_s = clock.monotonic_s()
                        on_status(check.status(), check.warnings())


def _line(message: Message, order: CaptureOrder, wall_s: float) -> dict[str, object]:
    """A message as it is kept: named columns, and the facts of this recording."""
    payload: object = message.payload
    if isinstance(payload, str):
        rows = list(samples_in({"topic": "", "payload": payload.replace("\t", ",")}))
        named = [{**_named(row, order.columns), **order.facts} for row in rows]
        payload = named[0] if len(named) == 1 else named
    elif isinstance(payload, dict):
        payload = {**payload, **order.facts}
    return {"tst": wall_s, "topic": message.topic, "payload": payload}


def _named(row: dict[str, float | str], columns: tuple[str, ...]) -> dict[str, float | str]:
    """Numbers without names get those of `columns`; a topic's parts are kept elsewhere."""
    return {
        columns[int(key)] if key.isdigit() and int(key) < len(columns) else key: value
        for key, value in row.items()
        if not key.startswith("topic.")
    }
