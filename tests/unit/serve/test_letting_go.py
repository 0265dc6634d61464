"""What was replaced is gone when its last request is answered, whether or not the collector of
cycles comes by: in a process that only serves it may not for hours.
"""

import asyncio
import gc
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edgewright.device.serve import InferenceServer, Servable
from edgewright.testing.models import BindableFunctionSession, FunctionSession, servable
from edgewright.testing.serving import post, request, running
from edgewright.transports.http1 import Client
from edgewright.wire.admin import SplitOrder

INFER = "/v2/models/doubler/infer"
PATIENCE_S = 20.0


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def open_quick(path: Path) -> Servable:
    """Its requests are answered in the event loop, one of them in tensors that stay."""
    return servable(BindableFunctionSession(lambda x: np.float32(2) * x), version=path.name)


def open_slow(path: Path) -> Servable:
    """Its requests are answered by workers."""
    session = FunctionSession(lambda x: np.float32(2) * x, seconds=2e-3)
    return servable(session, version=path.name)


def watched(server: InferenceServer) -> list[weakref.ref[object]]:
    """The model that answers now, its counts and its engine."""
    model = server.models.find("doubler")
    parts = (model, model.queue, model.queue.tally, model.servable.model)
    return [weakref.ref(part) for part in parts]


async def gone(parts: list[weakref.ref[object]]) -> bool:
    """Whether nothing holds them any more, once the loader's thread has closed the model."""
    deadline_s = time.monotonic() + PATIENCE_S
    while any(part() is not None for part in parts):
        if time.monotonic() > deadline_s:
            return False
        await asyncio.sleep(1e-3)
    return True


async def ask(client: Client, count: int = 4) -> None:
    for _ in range(count):
        assert (await post(client, INFER, request()))[0] == 200


@pytest.mark.parametrize("open_model", [open_quick, open_slow])
def test_replaced_and_unloaded_models_are_let_go(open_model: Callable[[Path], Servable]) -> None:
    async def case() -> None:
        async with running(open_model, "1") as (server, client):
            await ask(client)
            first = watched(server)
            await server.models.load(Path("2"))
            await ask(client)
            assert await gone(first)
            second = watched(server)
            await server.models.unload("doubler")
            assert await gone(second)

    asyncio.run(case())


def test_version_that_was_a_shadow_is_let_go() -> None:
    async def case() -> None:
        async with running(open_quick, "1") as (server, client):
            await server.models.load(Path("2"), keep=True)
            await server.models.arrange("doubler", SplitOrder(weights={"1": 1.0}, shadows=("2",)))
            await ask(client)
            shadow = server.models.directory.find("doubler", "2")
            parts: list[weakref.ref[object]] = [weakref.ref(shadow), weakref.ref(shadow.queue)]
            del shadow
            await server.models.arrange("doubler", SplitOrder())
            await server.models.load(Path("3"))
            assert await gone(parts)

    asyncio.run(case())
