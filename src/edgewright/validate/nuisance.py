"""Other clients as bad as they come: slow ones, ones that die, ones that talk garbage.

Each is a coroutine that goes on until it is cancelled and counts what it did in `Tally`. None of
them floods: what is tried is the server's care, overload is another phase.
"""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from edgewright.measure.load import LoadTarget, encode_request

_SLOW_CLIENTS = 50
_SLOW_PAUSE_S = 0.2
_KILL_PAUSE_S = 0.005
_GARBAGE_PAUSE_S = 0.1
_ANSWER_S = 2.0
_HEAD_BYTES = 64
_CHUNKED = b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Tally:
    """What a nuisance did, and which answers to garbage were no refusals."""

    def __init__(self) -> None:
        self.done = 0
        self.accepted: dict[str, int] = {}
        """Garbage that was answered with success, by what it was."""
        self.crashed: dict[str, int] = {}
        """Garbage that made the server answer 5xx."""


Nuisance = Callable[[LoadTarget, bytes, Tally], Awaitable[None]]


async def slow_clients(target: LoadTarget, request: bytes, tally: Tally) -> None:
    """Clients that send a byte now and then, and never finish."""
    async with asyncio.TaskGroup() as group:
        for _ in range(_SLOW_CLIENTS):
            group.create_task(_dribble(target, request, tally), name="slow client")


async def killed_clients(target: LoadTarget, request: bytes, tally: Tally) -> None:
    """Clients that die: in the middle of a request, and before they read their answer."""
    while True:
        part = request if tally.done % 2 else request[: len(request) // 2]
        with contextlib.suppress(OSError):
            _, writer = await _connected(target)
            writer.write(part)
            with contextlib.suppress(OSError):
                await writer.drain()
            _kill(writer)
        tally.done += 1
        await asyncio.sleep(_KILL_PAUSE_S)


async def garbling_clients(target: LoadTarget, request: bytes, tally: Tally) -> None:
    """Clients that send what is no request for this model, one client for every kind."""
    async with asyncio.TaskGroup() as group:
        for name, message in garbage(target, request):
            group.create_task(_garble(target, name, message, tally), name=f"garbage: {name}")


async def _garble(target: LoadTarget, name: str, message: bytes, tally: Tally) -> None:
    while True:
        status = await _status_of(target, message)
        if 200 <= status < 300:
            tally.accepted[name] = tally.accepted.get(name, 0) + 1
        elif status >= 500:
            tally.crashed[name] = tally.crashed.get(name, 0) + 1
        tally.done += 1
        await asyncio.sleep(_GARBAGE_PAUSE_S)


def garbage(target: LoadTarget, request: bytes) -> list[tuple[str, bytes]]:
    """Messages that deserve a refusal or a closed connection, with what is wrong with them."""
    head, _, body = request.partition(b"\r\n\r\n")
    path = head.split(b" ", 2)[1].removeprefix(target.path.encode()).decode()

    def posted(content: bytes) -> bytes:
        headers = {"content-type": "application/json"}
        return encode_request("POST", path, target=target, body=content, headers=headers)

    broken = [
        ("not HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64))),
        ("zeros", bytes(200)),
        ("a request line without a version", b"GET\r\n\r\n"),
        ("a negative content-length", head + b"\r\ncontent-length: -5\r\n\r\n"),
        (
            "length and chunks at once",
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n" + _CHUNKED,
        ),
        ("an endless header", b"GET / HTTP/1.1\r\nx: " + b"a" * 200_000 + b"\r\n\r\n"),
        ("a path out of the tree", b"GET /../../etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("no JSON", posted(b"{")),
        ("another document", posted(b'{"hello": [1, 2, 3]}')),
        ("deep nesting", posted(b"[" * 50_000)),
    ]
    return broken + [(name, posted(content)) for name, content in _wrong_requests(body)]


def _wrong_requests(body: bytes) -> list[tuple[str, bytes]]:
    """The request with one thing wrong; nothing where its body is not JSON."""
    try:
        document = json.loads(body)
    except ValueError:
        return []

    def changed(**fields: Any) -> bytes:
        first, *others = document["inputs"]
        return json.dumps({**document, "inputs": [{**first, **fields}, *others]}).encode()

    tensor = document["inputs"][0]
    data = list(tensor["data"])
    found = [
        ("an unknown input", changed(name="nobody")),
        ("an unknown type", changed(datatype="FP99")),
        ("a shape that its data do not fill", changed(data=data[:-1])),
        ("a negative shape", changed(shape=[-size for size in tensor["shape"]])),
        ("text for numbers", changed(data=["NaN"] * len(data))),
    ]
    if str(tensor["datatype"]).startswith("FP"):
        found.append(("a number that is not finite", changed(data=[float("nan"), *data[1:]])))
    return found


async def _dribble(target: LoadTarget, request: bytes, tally: Tally) -> None:
    while True:
        with contextlib.suppress(OSError):
            _, writer = await _connected(target)
            tally.done += 1
            try:
                for place in range(len(request) - 1):
                    writer.write(request[place : place + 1])
                    await writer.drain()
                    await asyncio.sleep(_SLOW_PAUSE_S)
            finally:
                _kill(writer)
        await asyncio.sleep(_SLOW_PAUSE_S)


async def _status_of(target: LoadTarget, message: bytes) -> int:
    """The status of the answer; 0 when the server closed or said nothing, which is its right."""
    try:
        reader, writer = await _connected(target)
    except OSError:
        return 0
    try:
        writer.write(message)
        async with asyncio.timeout(_ANSWER_S):
            line = await reader.read(_HEAD_BYTES)
    except (OSError, TimeoutError):
        return 0
    finally:
        _kill(writer)
    words = line.split(b" ", 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


async def _connected(target: LoadTarget) -> Streams:
    if target.uds:
        return await asyncio.open_unix_connection(target.uds)
    return await asyncio.open_connection(target.host, target.port)


def _kill(writer: asyncio.StreamWriter) -> None:
    """Close as a process does that was killed: reset, nothing flushed."""
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
