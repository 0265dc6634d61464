"""What a request costs, counted: the interpreter's instructions of our own code, with metrics,
limits, range check and drift tap on. No clock, so the count is the same on every machine; a change
that adds 15 % fails here. If it is worth it, write the new count down.
"""

import asyncio
import itertools
import json
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from edgewright import _native
from edgewright.device.serve import InferenceServer, ServeOptions
from edgewright.testing import FakeClock
from edgewright.testing.models import BindableFunctionSession, servable
from edgewright.transports._http1_connection import Connection

TURNS = 20
MARGIN = 1.15
COUNTED = {
    "python": {(3, 11): {32: 288.0, 1: 724.0}},
    "native": {(3, 11): {32: 16.7, 1: 447.0}},
}
"""Instructions per request, by hot path, Python version and connections."""


class Wire:
    """A transport that takes everything; its methods are C functions, which are not counted."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.write = self.sent.append
        self.is_closing = bool

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else None


class Counter:
    """Counts the interpreter's instructions in files of the project."""

    def __init__(self) -> None:
        self.instructions = 0

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        if event == "call" and "/edgewright/" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        self.instructions += event == "opcode"
        return self


async def instructions_per_request(peers: int) -> float:
    timer = itertools.count(0.0, 1e-6).__next__
    server = InferenceServer(
        lambda _: servable(BindableFunctionSession(lambda x: np.float32(2) * x)),
        ServeOptions(port=0),
        clock=FakeClock(),
        timer=timer,
    )
    await server.start([Path("doubler")])
    house = server._servers[0]
    connections = [Connection(house) for _ in range(peers)]
    wires = [Wire() for _ in connections]
    for connection, wire in zip(connections, wires, strict=True):
        connection.connection_made(wire)  # type: ignore[arg-type]
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0.5, 1.25]}
    body = json.dumps({"inputs": [tensor]}).encode()
    head = b"POST /v2/models/doubler/infer HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n"
    request = head % len(body) + body

    async def turn() -> None:
        for connection in connections:
            connection.data_received(request)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    for _ in range(5):
        await turn()
    before = sum(len(wire.sent) for wire in wires)
    counter = Counter()
    previous = sys.gettrace()
    sys.settrace(counter)
    try:
        for _ in range(TURNS):
            await turn()
    finally:
        sys.settrace(previous)
    answers = [answer for wire in wires for answer in wire.sent]
    assert len(answers) - before == TURNS * peers
    assert all(b'"data":[1.0,2.5]' in answer for answer in answers)
    for connection in connections:
        connection.connection_lost(None)
    await server.close(drain_s=0)
    return counter.instructions / (TURNS * peers)


@pytest.mark.parametrize("peers", [32, 1])
def test_request_costs_no_more_than_was_written_down(peers: int) -> None:
    count = asyncio.run(instructions_per_request(peers))
    by_version = COUNTED[_native.name()]
    known = by_version.get(sys.version_info[:2], by_version[3, 11])[peers]
    margin = MARGIN if sys.version_info[:2] in by_version else 1.5
    assert count <= known * margin, f"{count:.1f} instructions per request, written down: {known}"
