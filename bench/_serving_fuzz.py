"""Mutated requests against the whole HTTP side of a server, in process and without sockets.

The bytes go where a socket's bytes go, in pieces; what comes back must be whole HTTP answers, none
of them a 500, and nothing may be raised. An input is a function of its number, so that a finding
can be repeated: `python bench/serving_fuzz.py --first N --inputs 1`. What an input costs is counted
in CPU seconds of this process: other work on the machine is no fault of the server. Waits cost no
CPU, so an input that takes far longer by the clock than a busy machine explains is a finding too.
"""

import asyncio
import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgewright.clock import SystemClock
from edgewright.device.serve import InferenceServer, ServeOptions
from edgewright.testing.models import FunctionSession, servable
from edgewright.transports._http1_connection import Connection

SLOW_S = 1.0
STUCK_S = 30.0
_ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)")
_TENSOR = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0.5, -1.25]}
_TOKENS = (
    *(b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\0", b":", b" ", b"\t", b",", b'"', b"\\", b"{", b"}"),
    *(b"[", b"]", b"null", b"true", b"NaN", b"Infinity", b"1e999", b"-1", b"1e-400", b"9" * 40),
    *(b"4294967296", b"-0", b"0x10", b"\\u0000", b"\\ud800", b"\xff\xfe", b"\xc3\x28", b"[" * 2000),
    *(b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Content-Length: -1\r\n"),
    *(b"Content-Length: 99999999999999999999\r\n", b"Expect: 100-continue\r\n", b"HTTP/2.0"),
    *(b"Upgrade: websocket\r\nConnection: upgrade\r\n", b"0\r\n\r\n", b"ffffffffffffffff\r\n"),
    *(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"%00", b"%ff", b"../", b"/v2/models/", b"?k=5", b"#"),
    *(b'"shape"', b'"data"', b'"datatype"', b'"BYTES"', b'"binary_data_size"', b'"shared_memory"'),
)


class Wire:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.is_closed = False

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else None

    def write(self, data: bytes) -> None:
        self.sent.append(bytes(data))

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        """There is nothing more to read."""

    resume_reading = pause_reading


def corpus() -> list[tuple[bytes, bytes]]:
    """Good requests: what stands before the body's length, and the body."""
    infer = "POST /v2/models/doubler/infer"
    plain = json.dumps({"inputs": [_TENSOR]}).encode()
    options = {
        "id": "7",
        "parameters": {"timeout": 5000000, "binary_data_output": True},
        "outputs": [{"name": "y", "parameters": {"binary_data": True, "classification": 2}}],
    }
    declared = {**_TENSOR, "parameters": {"binary_data_size": 8}}
    del declared["data"]
    header = json.dumps({"inputs": [declared]}).encode()
    binary = header + np.array([0.5, -1.25], "<f4").tobytes()
    lines = [
        (infer, plain),
        (infer, json.dumps({"inputs": [_TENSOR], **options}).encode()),
        (infer, json.dumps({"inputs": [{**_TENSOR, "data": [[1, 2]]}]}).encode()),
        (f"{infer}|inference-header-content-length: {len(header)}", binary),
        ("POST /v1/models/doubler:predict", b'{"instances":[[1,2],[3,4]]}'),
        ("POST /v1/models/doubler:classify?k=2", b'{"inputs":{"x":[[1,2]]}}'),
        ("POST /predictions/doubler", b"[[1,2]]"),
        ("POST /invocations", b'{"dataframe_split":{"columns":["a","b"],"data":[[1,2]]}}'),
        ("POST /infer", b'{"x":[1,2]}'),
        ("POST /encode", b'{"imu_window":[[1,2]]}'),
        ("POST /v2/repository/index", b"{}"),
        *((f"GET {path}", b"") for path in ("/v2", "/readyz", "/v2/models/doubler/config", "/")),
    ]
    found = []
    for line, body in lines:
        target, *headers = line.split("|")
        head = "".join(f"{each}\r\n" for each in (f"{target} HTTP/1.1", "host: h", *headers))
        found.append((head.encode(), body))
    return found


def make_input(number: int, seeds: list[tuple[bytes, bytes]]) -> list[bytes]:
    """The pieces of one input."""
    chance = random.Random(number)
    messages = []
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        head, body = chance.choice(seeds)
        place = chance.random()
        if place < 0.55:
            body = _mutate(body, chance, seeds)
        framed = _framed(head, body, chance)
        messages.append(framed if place < 0.5 else _mutate(framed, chance, seeds))
    content = b"".join(messages)
    cuts = sorted(chance.randrange(len(content) + 1) for _ in range(chance.choice((0, 0, 1, 3))))
    return [
        content[first:last] for first, last in zip([0, *cuts], [*cuts, len(content)], strict=True)
    ]


def _framed(head: bytes, body: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.15:
        half = len(body) // 2
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in (body[:half], body[half:]) if c)
        return head + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


def _mutate(content: bytes, chance: random.Random, seeds: list[tuple[bytes, bytes]]) -> bytes:
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        at = chance.randrange(len(data) + 1)
        to = min(len(data), at + chance.choice((1, 2, 8, 64)))
        match chance.randrange(6):
            case 0:
                data[at:at] = chance.choice(_TOKENS)
            case 1:
                data[at:to] = chance.choice(_TOKENS)
            case 2:
                del data[at:to]
            case 3:
                data[at:at] = data[at:to] * chance.choice((1, 2, 30))
            case 4:
                data[at:to] = chance.randbytes(to - at)
            case _:
                other = b"".join(chance.choice(seeds))
                start = chance.randrange(len(other) + 1)
                data[at:to] = other[start : start + 40]
    return bytes(data)


class Findings:
    """What many inputs led to."""

    def __init__(self) -> None:
        self.inputs = 0
        self.statuses = Counter[int]()
        self.slowest_s = 0.0
        self.faults: list[str] = []

    def note(self, number: int, fault: str) -> None:
        self.faults.append(f"input {number}: {fault}")


async def drive(numbers: Iterator[int], findings: Findings) -> Findings:
    """Send every input to one server, and a good request after every hundredth."""
    seeds = corpus()
    server = InferenceServer(
        lambda _: servable(FunctionSession(lambda x: np.float32(2) * x)),
        ServeOptions(port=0),
        clock=SystemClock(),
        timer=time.perf_counter,
    )
    await server.start([Path("doubler")])
    house: Any = server._servers[0]  # noqa: SLF001 - where its sockets bring their bytes
    good = [_framed(*seeds[0], random.Random(1))]
    try:
        for number in numbers:
            started_s, began_s = time.process_time(), time.monotonic()
            await _send(house, number, make_input(number, seeds), findings)
            taken_s = time.process_time() - started_s
            findings.inputs += 1
            findings.slowest_s = max(findings.slowest_s, taken_s)
            if taken_s > SLOW_S:
                findings.note(number, f"took {taken_s:.2f} s of CPU")
            waited_s = time.monotonic() - began_s
            if waited_s > STUCK_S:
                findings.note(number, f"took {waited_s:.0f} s by the clock, at most {STUCK_S:g}")
            if number % 100 == 0:
                sent = await _send(house, number, good, findings)
                if b'"data":[1.0,-2.5]' not in sent:
                    findings.note(number, f"a good request after it got {sent[:200]!r}")
    finally:
        await server.close(drain_s=0)
    return findings


async def _send(house: Any, number: int, pieces: list[bytes], findings: Findings) -> bytes:
    connection, wire = Connection(house), Wire()
    try:
        connection.connection_made(wire)  # type: ignore[arg-type]
        for piece in pieces:
            if piece and not wire.is_closed:
                connection.data_received(piece)
                await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
            if connection.head is None:
                break
        else:
            findings.note(number, "no answer")
        connection.connection_lost(None)
    except Exception as error:  # noqa: BLE001 - it is what is looked for
        findings.note(number, f"raised {error!r}")
    sent = b"".join(wire.sent)
    _judge(number, sent, findings)
    return sent


def _judge(number: int, sent: bytes, findings: Findings) -> None:
    """Whole answers, one behind the other, and none of them a 500."""
    at = 0
    while at < len(sent):
        head = _ANSWER.match(sent, at)
        if head is None:
            findings.note(number, f"not an HTTP answer: {sent[at : at + 80]!r}")
            return
        status = int(head[1])
        findings.statuses[status] += 1
        if status == 500:
            findings.note(number, f"500: {sent[at : at + 300]!r}")
        length = _LENGTH.search(sent, at, head.end())
        body = int(length[1]) if length and status != 100 else 0
        if b"\r\n\r\n" in sent[at : head.end() - 4] or head.end() + body > len(sent):
            body = 0  # the answer to a HEAD request has a length and no body
        if sent[head.end() : head.end() + 5] == b"HTTP/":
            body = 0
        at = head.end() + body
