"""EdgeInfer's routes over HTTP, on a model whose embedding is the mean of a window."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.contract import Channel, Contract, Tensor
from edgewright.device.serve import InferenceServer, Servable, ServeOptions
from edgewright.device.serve.edgeinfer import SENSORS, read_samples
from edgewright.device.serve.motifs import Learning, Motifs, learn_motifs
from edgewright.device.serve.sessions import MOST_SESSIONS, Session
from edgewright.errors import DeviceError
from edgewright.runtimes.base import Array
from edgewright.runtimes.model import LoadedModel
from edgewright.testing import FakeClock
from edgewright.testing.models import FunctionSession
from edgewright.transports.http1 import Client

CHANNELS = tuple(
    Channel(name=f"{kind}_{axis}", unit=unit, low=-50.0, high=50.0)
    for kind, unit in (("acc", "g"), ("gyro", "rad/s"))
    for axis in "xyz"
)
CONTRACT = Contract(
    inputs=(Tensor(name="x", dtype="float32", shape=("batch", 20, 6), channels=CHANNELS),),
    outputs=(Tensor(name="y", dtype="float32", shape=("batch", 6)),),
    rate_hz=50.0,
)
IDENTITY = "a" * 64


FASTER = Contract(inputs=CONTRACT.inputs, outputs=CONTRACT.outputs, rate_hz=100.0)


def open_mean(path: Path) -> Servable:
    return opened(lambda x: x.mean(axis=1), name=path.stem)


def opened(function: Any, *, name: str = "mean", contract: Contract = CONTRACT) -> Servable:
    session = FunctionSession(function)
    return Servable(
        name=name,
        version="1",
        platform="numpy",
        identity=IDENTITY,
        model=LoadedModel(contract, session),
    )


def motifs(identity: str = IDENTITY) -> Motifs:
    """Standing still (all zero) and walking (one everywhere), as they were learnt."""
    rng = np.random.default_rng(3)
    still, walk = rng.normal(0, 0.05, (60, 6)), rng.normal(1, 0.05, (60, 6))
    return learn_motifs(
        np.concatenate([still, walk]), Learning(count=2, output="y", identity=identity)
    )


@asynccontextmanager
async def serving(
    *paths: str, learnt: Motifs | None = None, open_model: Any = open_mean
) -> AsyncIterator[Client]:
    async with at_work(*paths, learnt=learnt, open_model=open_model) as (_, client):
        yield client


@asynccontextmanager
async def at_work(
    *paths: str, learnt: Motifs | None = None, open_model: Any = open_mean
) -> AsyncIterator[tuple[InferenceServer, Client]]:
    server = InferenceServer(
        open_model, ServeOptions(), clock=FakeClock(), timer=time.perf_counter, motifs=learnt
    )
    await server.start([Path(path) for path in paths])
    try:
        async with Client(server.addresses[0]) as client:
            yield server, client
    finally:
        await server.close(drain_s=1)


async def ask(
    client: Client, method: str, path: str, document: object = None, **headers: str
) -> tuple[int, Any]:
    body = b"" if document is None else json.dumps(document).encode()
    answer = await client.request(method, path, headers=headers, body=body)
    is_json = "json" in answer.headers["content-type"]
    return answer.status, json.loads(answer.body) if is_json else answer.body.decode()


def samples(values: Array, *, start_s: float = 0.0) -> list[dict[str, float]]:
    names = ("ax", "ay", "az", "gx", "gy", "gz")
    return [
        {"t": start_s + at / 50, **dict(zip(names, map(float, row), strict=True))}
        for at, row in enumerate(values)
    ]


API = "/api/v1/analysis"


async def started(client: Client) -> str:
    status, document = await ask(client, "POST", f"{API}/start")
    assert (status, document["status"]) == (200, "started")
    assert document["timestamp"].startswith("2023-11-14T")
    return str(document["sessionId"])


async def stream(client: Client, session: str, values: Array, **more: Any) -> tuple[int, Any]:
    body = {"sessionId": session, "samples": samples(values, **more)}
    return await ask(client, "PUT", f"{API}/stream", body)


def test_windows_of_a_session_are_told_by_their_motifs() -> None:
    async def case() -> None:
        learnt = motifs()
        still = int(np.abs(learnt.prototypes).sum(axis=1).argmin())
        async with serving("mean", learnt=learnt) as client:
            session = await started(client)
            status, told = await stream(client, session, np.zeros((40, 6)))
            assert (status, told["accepted"]) == (202, 40)
            await stream(client, session, np.ones((40, 6)), start_s=0.8)
            await stream(client, session, np.full((40, 6), 30.0), start_s=1.6)
            status, told = await ask(client, "GET", f"{API}/motifs?sessionId={session}")
            assert status == 200
            places = [each["motif"] for each in told["windows"]]
            assert places[:3] == [still] * 3
            assert places[4:7] == [1 - still] * 3
            assert places[-3:] == [None] * 3
            assert told["windows"][-1]["distance"] > 50
            assert told["unknown"] == sum(place is None for place in places)
            status, told = await ask(client, "POST", f"{API}/stop", {"sessionId": session})
            assert (told["status"], told["samples"]) == ("stopped", 120)
            assert (await stream(client, session, np.zeros((5, 6))))[0] == 409

    asyncio.run(case())


def test_sensors_and_sessions_are_in_synchrony_as_measured() -> None:
    async def case() -> None:
        async with serving("mean") as client:
            time_s = np.arange(300) / 50
            beat = 2 + np.sin(2 * np.pi * 1.1 * time_s)
            late = 2 + np.sin(2 * np.pi * 1.1 * (time_s - 0.1))
            values = np.zeros((300, 6))
            values[:, 0], values[:, 4] = beat, late
            first = await started(client)
            await stream(client, first, values)
            _, told = await ask(client, "GET", f"{API}/synchrony?sessionId={first}")
            assert told["signals"] == ["acceleration", "rotation"]
            assert told["lag_s"] == pytest.approx(0.1)
            assert told["coefficient"] == pytest.approx(1.0, abs=1e-6)

            second = await started(client)
            opposite = np.zeros((300, 6))
            opposite[:, 2] = 4 - beat
            await stream(client, second, opposite)
            path = f"{API}/synchrony?sessionId={first}&with={second}"
            _, told = await ask(client, "GET", path)
            assert abs(told["coefficient"]) == pytest.approx(1.0, abs=1e-6)
            assert told["status"] == "measured"

    asyncio.run(case())


def test_too_little_gives_no_number() -> None:
    async def case() -> None:
        async with serving("mean") as client:
            session = await started(client)
            for values, reason in (
                (np.random.default_rng(0).normal(size=(50, 6)), "fewer than 100 samples together"),
                (np.zeros((400, 6)), "a signal is still"),
            ):
                session = await started(client)
                await stream(client, session, values)
                status, told = await ask(client, "GET", f"{API}/synchrony?sessionId={session}")
                assert (status, told["coefficient"], told["lag_s"]) == (200, None, None)
                assert told["reason"] == reason

    asyncio.run(case())


def test_without_a_model_everything_is_a_503() -> None:
    async def case() -> None:
        async with serving(learnt=motifs()) as client:
            for method, path in (
                ("POST", f"{API}/start"),
                ("PUT", f"{API}/stream"),
                ("GET", f"{API}/motifs?sessionId=x"),
                ("GET", f"{API}/synchrony?sessionId=x"),
                ("POST", f"{API}/infer"),
                ("GET", "/health/detailed"),
                ("GET", "/status"),
                ("GET", "/healthz"),
            ):
                status, _ = await ask(client, method, path, {} if method != "GET" else None)
                assert status == 503, path

    asyncio.run(case())


@pytest.mark.parametrize(
    ("learnt", "words"),
    [
        (None, "no motifs were learnt"),
        (motifs("b" * 64), "the motifs were learnt with another model"),
    ],
)
def test_without_motifs_of_this_model_they_are_a_503(learnt: Motifs | None, words: str) -> None:
    async def case() -> None:
        async with serving("mean", learnt=learnt) as client:
            session = await started(client)
            assert (await stream(client, session, np.zeros((40, 6))))[0] == 202
            status, told = await ask(client, "GET", f"{API}/motifs?sessionId={session}")
            assert (status, told["error"]) == (503, words)

    asyncio.run(case())


def test_a_model_that_fails_is_told_and_no_motif_is_made_up() -> None:
    def fail(x: Array) -> Array:
        if (x == 2.0).all():
            raise DeviceError("the engine is gone")
        return x.mean(axis=1)

    async def case() -> None:
        async with serving("mean", learnt=motifs(), open_model=lambda _: opened(fail)) as client:
            session = await started(client)
            await stream(client, session, np.full((60, 6), 2.0))
            status, told = await ask(client, "GET", f"{API}/motifs?sessionId={session}")
            assert (status, told["error"]) == (500, "the engine is gone")
            status, told = await ask(client, "GET", f"{API}/motifs?sessionId={session}")
            assert (status, told["windows"]) == (200, [])

    asyncio.run(case())


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "'samples' is no list"),
        ({"samples": []}, "'samples' is no list"),
        ({"samples": [{"t": 0, "ax": 1}]}, "a sample has no 'ay'"),
        ({"samples": [5]}, "something else than numbers"),
        (
            {"samples": [dict.fromkeys(("t", "ax", "ay", "az", "gx", "gy", "gz"), "1")]},
            "something else than numbers",
        ),
        (
            {"samples": [{**dict.fromkeys(("ax", "ay", "az", "gx", "gy", "gz"), 0), "t": None}]},
            "something else than numbers",
        ),
        (
            {"samples": [dict.fromkeys(("ax", "ay", "az", "gx", "gy", "gz"), 0)]},
            "a sample has no 'windowStart'",
        ),
        (
            {"samples": [dict.fromkeys(("t", "ax", "ay", "az", "gx", "gy", "gz"), 600)]},
            "acc_x is 600 g, expected -50 to 50",
        ),
    ],
)
def test_a_wrong_sample_is_a_422_that_names_it(body: dict[str, Any], words: str) -> None:
    async def case() -> None:
        async with serving("mean") as client:
            session = await started(client)
            status, told = await ask(client, "PUT", f"{API}/stream", {"sessionId": session, **body})
            assert status == 422
            assert words in told["error"]

    asyncio.run(case())


def test_times_may_be_milliseconds_or_left_to_the_window() -> None:
    async def case() -> None:
        async with serving("mean", learnt=motifs()) as client:
            session = await started(client)
            rows = samples(np.zeros((40, 6)))
            bare = [{name: value for name, value in row.items() if name != "t"} for row in rows]
            body = {"sessionId": session, "samples": bare, "windowStart": 10, "windowEnd": 10.8}
            assert (await ask(client, "PUT", f"{API}/stream", body))[0] == 202
            _, told = await ask(client, "GET", f"{API}/motifs?sessionId={session}")
            assert [round(each["start"], 2) for each in told["windows"]] == [10.0, 10.2, 10.4]
            session = await started(client)
            start_ms = 1.7e12
            rows = [{**row, "t": start_ms + row["t"] * 1000} for row in rows]
            await ask(client, "PUT", f"{API}/stream", {"sessionId": session, "samples": rows})
            _, told = await ask(client, "GET", f"{API}/motifs?sessionId={session}")
            assert [round(each["end"] - 1.7e9, 2) for each in told["windows"]] == [0.38, 0.58]

    asyncio.run(case())


def test_sessions_are_bounded_and_unknown_ones_are_a_404() -> None:
    async def case() -> None:
        async with serving("mean") as client:
            assert (await stream(client, "nobody", np.zeros((1, 6))))[0] == 404
            first = await started(client)
            for _ in range(MOST_SESSIONS - 1):
                await started(client)
            assert (await ask(client, "POST", f"{API}/start"))[0] == 429
            await ask(client, "POST", f"{API}/stop", {"sessionId": first})
            await started(client)
            status, _ = await ask(client, "GET", f"{API}/synchrony?sessionId={first}")
            assert status == 404

    asyncio.run(case())


def test_health_is_text_or_json_and_metrics_have_their_names() -> None:
    async def case() -> None:
        async with serving("mean", learnt=motifs()) as client:
            assert await ask(client, "GET", "/healthz", accept="text/plain") == (200, "ok\n")
            assert (await ask(client, "GET", "/healthz"))[1]["ok"] is True
            _, told = await ask(client, "GET", "/health/detailed")
            assert (told["status"], told["model"]["name"], told["motifs"]) == ("ok", "mean", 2)
            window = {"x": np.zeros((20, 6)).tolist()}
            assert (await ask(client, "POST", f"{API}/infer", window))[0] == 200
            assert (await ask(client, "POST", f"{API}/infer", {"x": [1]}))[0] == 422
            session = await started(client)
            await ask(client, "POST", f"{API}/stop", {"sessionId": session})
            _, page = await ask(client, "GET", "/metrics")
            lines = page.splitlines()
            infer = 'edgeinfer_http_requests_total{method="POST",route="/api/v1/analysis/infer"'
            for line in (
                f'{infer},status="200"}} 1',
                f'{infer},status="422"}} 1',
                'edgeinfer_sessions_total{stage="start"} 1',
                'edgeinfer_sessions_total{stage="stop"} 1',
                'edgeinfer_http_request_duration_seconds_count{method="GET",route="/healthz"} 2',
            ):
                assert line in lines

    asyncio.run(case())


def test_windows_that_are_looked_at_keep_their_model_open() -> None:
    """Unloaded meanwhile, it answers them first; a closed session would refuse to run."""
    looking, go_on = threading.Event(), threading.Event()

    def slow(x: Array) -> Array:
        assert not looking.is_set() or go_on.wait(10)
        return x.mean(axis=1)

    async def case() -> None:
        functions = iter((slow, lambda x: x.mean(axis=1)))
        open_next = at_work("mean", learnt=motifs(), open_model=lambda _: opened(next(functions)))
        async with open_next as (server, client):
            session = await started(client)
            looking.set()
            # Two passes of the one worker: the second begins when its model is replaced already.
            assert (await stream(client, session, np.zeros((40, 6))))[0] == 202
            assert (await stream(client, session, np.zeros((20, 6)), start_s=0.8))[0] == 202
            await server.models.load(Path("mean"))
            for _ in range(2):  # what was replaced would be closed by now
                await server.models._loader(lambda: None)
            go_on.set()
            status, told = await ask(client, "GET", f"{API}/motifs?sessionId={session}")
            assert (status, len(told.get("windows", ()))) == (200, 5), told

    asyncio.run(case())


def test_a_session_ends_with_a_model_of_another_rate() -> None:
    """The same channels, but windows of another length in seconds."""

    async def case() -> None:
        contracts = {"mean": CONTRACT, "same": CONTRACT, "faster": FASTER}

        def open_one(path: Path) -> Servable:
            return opened(lambda x: x.mean(axis=1), contract=contracts[path.name])

        async with at_work("mean", open_model=open_one) as (server, client):
            session = await started(client)
            assert (await stream(client, session, np.zeros((40, 6))))[0] == 202
            await server.models.load(Path("same"))
            assert (await stream(client, session, np.zeros((40, 6)), start_s=0.8))[0] == 202
            await server.models.load(Path("faster"))
            status, told = await stream(client, session, np.zeros((40, 6)), start_s=1.6)
            assert (status, told["error"]) == (409, "the model was replaced; start again")

    asyncio.run(case())


@pytest.mark.parametrize(
    ("units", "names"),
    [
        (("deg/s", "m/s2"), ("gx", "gy", "gz", "ax", "ay", "az")),
        (("m/s2", "rad/s"), ("ax", "ay", "az", "gx", "gy", "gz")),
        (("uT",), ("mx", "my", "mz")),
        (("furlong", "rad/s"), ("ax", "ay", "az", "gx", "gy", "gz")),
        (("g", "g"), ("ax", "ay", "az", "gx", "gy", "gz")),
    ],
)
def test_samples_go_to_the_channels_of_their_unit(
    units: tuple[str, ...], names: tuple[str, ...]
) -> None:
    channels = tuple(
        Channel(name=f"c{3 * place + axis}", unit=unit)
        for place, unit in enumerate(units)
        for axis in range(3)
    )
    x = Tensor(name="x", dtype="float32", shape=("batch", 20, len(channels)), channels=channels)
    session = Session(Contract(inputs=(x,), outputs=CONTRACT.outputs, rate_hz=50.0), 0.0)
    body = {"samples": [{"t": 0.0, **{name: SENSORS.index(name) for name in SENSORS}}]}
    assert read_samples(body, session).values.tolist() == [[SENSORS.index(n) for n in names]]
