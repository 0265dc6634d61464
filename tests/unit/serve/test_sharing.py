"""Versions that share a model's requests, and shadows beside them, in a real server."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgewright.contract import Contract, Tensor
from edgewright.device.serve import InferenceServer, Servable, ServeOptions
from edgewright.errors import InputError
from edgewright.runtimes.model import LoadedModel
from edgewright.testing import FakeClock
from edgewright.testing.models import FunctionSession, servable
from edgewright.testing.serving import get, open_multiplier, post, request, running
from edgewright.transports.http1 import Client
from edgewright.wire.admin import SplitOrder

INFER = "/v2/models/doubler/infer"
HALVES = {"doubler": SplitOrder(weights={"2": 1.0, "3": 1.0})}


async def version_of(client: Client, path: str = INFER, **headers: str) -> str:
    status, document = await post(client, path, request(), headers)
    assert status == 200
    version = str(document["model_version"])
    assert document["outputs"][0]["data"] == [float(version), 2 * float(version)]
    return version


def test_a_key_gets_the_same_version_on_every_route() -> None:
    async def case() -> None:
        async with running(open_multiplier, "2", "3", splits=HALVES) as (_, client):
            chosen = set()
            for key in map(str, range(12)):
                header = {"x-sticky-key": key}
                version = await version_of(client, **header)
                chosen.add(version)
                for path in (
                    "/v1/models/doubler:predict",
                    "/predictions/doubler",
                    "/invocations",
                    "/infer",
                ):
                    key_in = "x" if path == "/infer" else "instances"
                    body = json.dumps({key_in: [[1, 2]]}).encode()
                    _, document = await post(client, path, body, header)
                    numbers = json.dumps(document)
                    assert f"[{version}.0, {2 * int(version)}.0]" in numbers, path
                body = request(parameters={"sticky_key": key})
                assert (await post(client, INFER, body))[1]["model_version"] == version
            assert chosen == {"2", "3"}
            assert await version_of(client, "/v2/models/doubler/versions/2/infer") == "2"
            body = request(parameters={"sticky_key": 1.5})
            assert (await post(client, INFER, body))[0] == 400

    asyncio.run(case())


def test_weights_change_under_load_without_a_failed_request(tmp_path: Path) -> None:
    async def case() -> None:
        admin = tmp_path / "admin"
        options: Any = {"splits": HALVES, "admin": admin}
        async with running(open_multiplier, "2", "3", **options) as (server, client):
            seen = Counter[str]()
            stop = False

            async def ask(number: int) -> None:
                async with Client(server.addresses[0]) as one:
                    while not stop:
                        seen[await version_of(one, **{"x-sticky-key": f"{number}"})] += 1

            asking = [asyncio.create_task(ask(number)) for number in range(6)]
            split = "/v2/repository/models/doubler/split"
            async with Client(uds=admin) as administrator:
                for number in range(40):
                    weights = {"2": 1 + number % 3, "3": number % 2}
                    order = json.dumps({"weights": weights}).encode()
                    status, told = await post(administrator, split, order)
                    assert status == 200, told
                    assert [one["weight"] for one in told["versions"]] == list(weights.values())
                    await asyncio.sleep(0.001)
                stop = True
                await asyncio.gather(*asking)
                assert set(seen) == {"2", "3"}
                _, told = await get(administrator, split)
                answered = {one["version"]: one["answered"] for one in told["versions"]}
                assert answered == dict(seen)
                assert (await post(administrator, split, b'{"weights": {"2": 1}}'))[0] == 200
            assert {await version_of(client) for _ in range(8)} == {"2"}
            page = (await client.request("GET", "/metrics")).body.decode()
            assert 'edgewright_version_weight{model="doubler",version="2"} 1.0\n' in page
            assert 'edgewright_version_weight{model="doubler",version="3"} 0.0\n' in page

    asyncio.run(case())


def test_one_version_alone_is_found_without_choosing() -> None:
    """So that the path of a request is the same as if there were no split."""

    async def case() -> None:
        async with running(open_multiplier, "2", "3", splits=HALVES) as (server, _):
            newest = server.models.newest("doubler")
            assert newest.model is None
            await server.models.arrange("doubler", SplitOrder(weights={"3": 1.0, "2": 0.0}))
            assert newest.model is server.models.find("doubler", "3")
            await server.models.arrange("doubler", SplitOrder())
            assert newest.model is server.models.find("doubler", "3")
            assert not server.models.directory.is_shared("doubler")

    asyncio.run(case())


def open_nearly(path: Path) -> Servable:
    """Version 1 gives back what it gets, version 2 turns a row round whose first number is above 5,
    version 3 gives NaN for a row that begins with 1; version "wide" takes three numbers.
    """
    version = path.name

    def scores(x: Any) -> Any:
        if version == "2":
            return np.where(x[:, :1] > 5, x[:, ::-1], x)
        return x * np.float32("nan") if version == "3" and x[0, 0] == 1 else x

    found = servable(FunctionSession(scores), version=version)
    if version != "wide":
        return found
    wide = Contract(
        inputs=(Tensor(name="x", dtype="float32", shape=("batch", 3)),),
        outputs=(Tensor(name="y", dtype="float32", shape=("batch", 3)),),
    )
    model = LoadedModel(wide, FunctionSession(scores))
    return msgspec.structs.replace(found, model=model)


async def compared(server: InferenceServer, version: str, rows: int) -> Any:
    """The shadow's figures once so many rows were compared or passes failed."""
    for _ in range(500):
        versions = server.models.directory.split("doubler").versions
        (found,) = [one for one in versions if one.version == version]
        if found.compared + sum(found.shadow_failed.values()) >= rows:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(found)


def test_a_shadow_answers_nobody_and_is_compared_row_by_row() -> None:
    async def case() -> None:
        order = SplitOrder(shadows=("2",))
        async with running(open_nearly, "1", "2", splits={"doubler": order}) as (server, client):
            three_rows = {"name": "x", "datatype": "FP32", "shape": [3, 2]}
            for data in ([1, 2, 3, 4, 2, 1], [9, 2, 1, 2, 7, 5]):
                body = json.dumps({"inputs": [{**three_rows, "data": data}]}).encode()
                _, document = await post(client, INFER, body)
                assert document["model_version"] == "1"
                assert document["outputs"][0]["data"] == data
            figures = await compared(server, "2", 6)
            assert (figures.compared, figures.agreed, figures.answered) == (6, 4, 0)
            assert figures.is_shadow
            page = (await client.request("GET", "/metrics")).body.decode()
            name = 'edgewright_shadow_rows_total{model="doubler",version="2",outcome='
            assert f'{name}"agreed"}} 4\n' in page
            assert f'{name}"differed"}} 2\n' in page
            found = server.models.directory.shadow(server.models.find("doubler", "2"))
            await server.models.arrange("doubler", SplitOrder(weights={"1": 3.0}, shadows=("2",)))
            assert server.models.directory.shadow(server.models.find("doubler", "2")) is found
            await server.models.arrange("doubler", SplitOrder(weights={"2": 1.0}))
            assert server.models.find("doubler", "1").queue.mirror is None
            assert server.models.directory.shadow(server.models.find("doubler", "2")) is None

    asyncio.run(case())


def test_a_shadow_that_fails_is_counted_and_several_can_be_compared() -> None:
    async def case() -> None:
        order = SplitOrder(weights={"1": 1.0}, shadows=("2", "3"))
        splits = {"doubler": order}
        async with running(open_nearly, "1", "2", "3", splits=splits) as (server, client):
            for _ in range(3):
                assert (await post(client, INFER, request()))[0] == 200
                await asyncio.sleep(0.02)
            assert (await compared(server, "3", 3)).shadow_failed == {"device": 3}
            assert (await compared(server, "2", 3)).agreed == 3

    asyncio.run(case())


def test_versions_are_loaded_beside_and_unloaded_when_nobody_is_sent_there(tmp_path: Path) -> None:
    async def case() -> None:
        admin = tmp_path / "admin"
        async with (
            running(open_multiplier, "2", admin=admin) as (_, client),
            Client(uds=admin) as administrator,
        ):
            base = "/v2/repository/models/doubler"
            keep = b'{"path": "3", "keep": true}'
            assert (await post(administrator, f"{base}/load", keep))[0] == 200
            order = b'{"weights": {"2": 1, "3": 1}}'
            assert (await post(administrator, f"{base}/split", order))[0] == 200
            status, told = await post(administrator, f"{base}/versions/2/unload")
            assert (status, "leave it out" in told["error"]) == (409, True)
            assert (await post(administrator, f"{base}/split", b'{"weights": {"3": 1}}'))[0] == 200
            assert (await post(administrator, f"{base}/versions/2/unload"))[0] == 200
            assert (await post(administrator, f"{base}/versions/2/unload"))[0] == 404
            assert (await post(administrator, f"{base}/split", order))[0] == 400
            assert (await get(administrator, "/v2/repository/models/nope/split"))[0] == 404
            status, told = await post(client, "/v2/models/doubler/versions/9/infer", request())
            assert (status, "there are ['3']" in told["error"]) == (404, True)
            candidate = b'{"path": "/x", "mode": "shadow"}'
            assert (await post(administrator, f"{base}/candidate", candidate))[0] == 409
            assert (await post(administrator, f"{base}/load", b'{"path": "4"}'))[0] == 200
            assert await version_of(client) == "4"
            _, told = await get(administrator, f"{base}/split")
            (one,) = told["versions"]
            assert (one["version"], one["weight"], one["answered"]) == ("4", 1.0, 1)

    asyncio.run(case())


def test_loading_again_takes_no_version_away(tmp_path: Path) -> None:
    async def case() -> None:
        admin = tmp_path / "admin"
        order = {"doubler": SplitOrder(shadows=("3",))}
        async with (
            running(open_multiplier, "2", "3", admin=admin, splits=order) as (_, client),
            Client(uds=admin) as administrator,
        ):
            load = "/v2/repository/models/doubler/load"
            status, told = await post(administrator, load)
            assert (status, "has versions 2, 3" in told["error"]) == (409, True)
            status, told = await post(administrator, load, b'{"path": "4", "keeps": true}')
            assert (status, "unknown key 'keeps'" in told["error"]) == (400, True)
            assert await version_of(client) == "2"

    asyncio.run(case())


def test_what_a_change_does_not_name_stays_as_it_is(tmp_path: Path) -> None:
    async def case() -> None:
        admin = tmp_path / "admin"
        order = SplitOrder(weights={"2": 1.0, "3": 1.0}, shadows=("4",), header="x-device")
        options: Any = {"splits": {"doubler": order}, "admin": admin}
        async with (
            running(open_multiplier, "2", "3", "4", **options),
            Client(uds=admin) as administrator,
        ):
            split = "/v2/repository/models/doubler/split"
            _, told = await post(administrator, split, b'{"weights": {"2": 3, "3": 1}}')
            assert told["header"] == "x-device"
            assert [one["weight"] for one in told["versions"]] == [3, 1, 0]
            assert [one["is_shadow"] for one in told["versions"]] == [False, False, True]
            _, told = await post(administrator, split, b'{"weights": {}, "shadows": []}')
            assert [one["weight"] for one in told["versions"]] == [0, 0, 1]
            assert (await post(administrator, split, b'{"weight": {}}'))[0] == 400

    asyncio.run(case())


def test_versions_with_other_tensors_are_not_put_together() -> None:
    async def case() -> None:
        order = SplitOrder(weights={"1": 1.0, "wide": 1.0})
        with pytest.raises(InputError, match="do not take and give the same tensors"):
            async with running(open_nearly, "1", "wide", splits={"doubler": order}):
                pass
        with pytest.raises(InputError, match="no version '7'; loaded are"):
            async with running(
                open_multiplier, "2", splits={"doubler": SplitOrder(weights={"7": 1.0})}
            ):
                pass

    asyncio.run(case())


def test_memory_of_replaced_models_is_given_back_now_and_then() -> None:
    now_s = 0.0
    trims: list[float] = []

    async def case() -> None:
        nonlocal now_s
        server = InferenceServer(
            open_multiplier, ServeOptions(), clock=FakeClock(), timer=lambda: now_s
        )
        await server.start([Path("1")])
        server.models._trim = lambda: trims.append(now_s)
        for moment_s in (0.0, 10.0, 59.0, 60.0, 61.0, 125.0):
            now_s = moment_s
            await server.models.load(Path("1"))
            while server.models._closing:
                await asyncio.wait(server.models._closing)
        await server.close(drain_s=1)

    asyncio.run(case())
    assert trims == [0.0, 60.0, 125.0]
