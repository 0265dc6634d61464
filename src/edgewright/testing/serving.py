"""A server of function models on a free port, with a client beside it."""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edgewright.device.serve import InferenceServer, Servable, ServeOptions
from edgewright.testing.clock import FakeClock
from edgewright.testing.models import FunctionSession, open_doubler, servable
from edgewright.transports.http1 import Client


@asynccontextmanager
async def running(
    open_model: Callable[[Path], Servable] = open_doubler, *paths: str, **options: Any
) -> AsyncIterator[tuple[InferenceServer, Client]]:
    """The server with these models loaded, and a client that is connected to it."""
    server = InferenceServer(
        open_model, ServeOptions(**options), clock=FakeClock(), timer=time.perf_counter
    )
    await server.start([Path(path) for path in paths])
    try:
        uds = options.get("uds")
        async with Client("" if uds else server.addresses[0], uds=uds) as client:
            yield server, client
    finally:
        await server.close(drain_s=1)


def open_multiplier(path: Path) -> Servable:
    """Version N of a model that multiplies its input by N, from a path of that name."""
    factor = np.float32(path.name)
    return servable(FunctionSession(lambda x: factor * x), version=path.name)


def request(value: float = 1.0, **members: Any) -> bytes:
    """A V2 request of one row for a function model."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [value, 2]}
    return json.dumps({"inputs": [tensor], **members}).encode()


async def get(client: Client, path: str) -> tuple[int, Any]:
    """Status and document."""
    answer = await client.request("GET", path)
    return answer.status, json.loads(answer.body)


async def post(
    client: Client, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """Status and document."""
    answer = await client.request("POST", path, headers=headers or {}, body=body)
    return answer.status, json.loads(answer.body)
