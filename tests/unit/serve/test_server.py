import asyncio
import gc
import json
import os
import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edgewright.contract import Evidence
from edgewright.device.serve import InferenceServer, Servable, ServeOptions
from edgewright.device.serve.refusal import RefusalError
from edgewright.errors import DeviceError, InputError, TransportError
from edgewright.runtimes.base import Array
from edgewright.testing import FakeClock
from edgewright.testing.models import FunctionSession, open_doubler, servable
from edgewright.testing.serving import get, open_multiplier, post, request, running
from edgewright.transports.http1 import Client, Limits


def test_metadata_config_statistics_and_index_describe_the_model() -> None:
    async def case() -> None:
        async with running(open_doubler, "doubler") as (_, client):
            assert (await get(client, "/v2"))[1]["name"] == "edgewright"
            _, metadata = await get(client, "/v2/models/doubler")
            assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
            assert metadata["versions"] == ["1"]
            _, config = await get(client, "/v2/models/doubler/config")
            assert config["max_batch_size"] > 1
            assert config["input"] == [{"name": "x", "data_type": "TYPE_FP32", "dims": [2]}]
            assert (await post(client, "/v2/models/doubler/infer", request()))[0] == 200
            _, stats = await get(client, "/v2/models/doubler/versions/1/stats")
            (one,) = stats["model_stats"]
            assert (one["inference_count"], one["execution_count"]) == (1, 1)
            assert one["inference_stats"]["success"]["count"] == 1
            assert one["latency_ms"]["p95"] > 0
            assert (await get(client, "/v2/models/stats"))[1] == stats
            assert await post(client, "/v2/repository/index") == (
                200,
                [{"name": "doubler", "version": "1", "state": "READY"}],
            )
            assert (await get(client, "/v2/models/doubler/ready"))[0] == 200

    asyncio.run(case())


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "complaint"),
    [
        ("GET", "/nothing", b"", 404, "there is nothing at /nothing"),
        ("GET", "/v2/models/doubler/infer", b"", 405, "use POST"),
        ("POST", "/v2/models/other/infer", b"{}", 404, "model 'other' is unknown"),
        ("POST", "/v2/models/doubler%2Finfer", b"{}", 404, "there is nothing at"),
        ("POST", "/v2%2fmodels/doubler/infer?a=1", b"{}", 404, "there is nothing at"),
        ("POST", "/v1/models/doubler:predict", b'{"instances":[[true,false]]}', 400, "true and"),
        (
            "POST",
            "/v1/models/doubler:classify",
            b'{"instances":[[1,2]' + b",[1,2]" * 25_000 + b"]}",
            400,
            "at most 50000",
        ),
        ("POST", "/v2/models/doubler/versions/9/infer", b"{}", 404, "version '9' is unknown"),
        ("POST", "/v2/models/doubler/infer", b"{}", 400, "not a valid V2 message"),
        ("POST", "/v2/models/doubler/infer", request(5000), 400, "expected -1000 to 1000"),
    ],
)
def test_wrong_request_gets_its_status_and_a_sentence(
    method: str, path: str, body: bytes, status: int, complaint: str
) -> None:
    async def case() -> None:
        async with running(open_doubler, "doubler") as (_, client):
            answer = await client.request(method, path, body=body)
            assert answer.status == status
            assert complaint in json.loads(answer.body)["error"]

    asyncio.run(case())


def test_wrong_headers_are_refused() -> None:
    async def case() -> None:
        async with running(open_doubler, "doubler") as (_, client):
            for header, value, status in (
                ("inference-header-content-length", "x", 400),
                ("inference-header-content-length", "9999", 400),
                ("content-encoding", "gzip", 415),
            ):
                answer = await client.request(
                    "POST", "/v2/models/doubler/infer", headers={header: value}, body=request()
                )
                assert answer.status == status

    asyncio.run(case())


def test_without_a_model_everything_is_a_503_but_life(tmp_path: Path) -> None:
    async def case() -> None:
        async with running(open_doubler) as (_, client):
            assert (await get(client, "/livez"))[0] == 200
            assert (await get(client, "/readyz"))[0] == 503
            assert (await post(client, "/v2/models/m/infer", request()))[0] == 503
            assert (await post(client, "/infer", b'{"x": [1, 2]}'))[0] == 503
            status, health = await get(client, "/healthz")
            assert (status, health["ok"], health["latency_ms"]) == (503, False, None)

    asyncio.run(case())


def test_metrics_page_is_valid_and_counts(tmp_path: Path) -> None:
    async def case() -> None:
        async with running(open_doubler, "doubler") as (_, client):
            await post(client, "/v2/models/doubler/infer", request())
            await post(client, "/v2/models/doubler/infer", request(5000))
            page = (await client.request("GET", "/metrics")).body.decode()
            line = r'(# (HELP|TYPE) .*|[a-z_]+(\{([a-z_]+="[^"]*",?)+\})? [0-9.e+-]+)\n'
            assert re.fullmatch(f"({line})+", page)
            assert 'edgewright_requests_total{model="doubler",version="1"} 1\n' in page
            assert 'edgewright_errors_total{model="doubler",version="1",reason="input"} 1\n' in page
            assert "edgewright_ready 1\n" in page

    asyncio.run(case())


def test_sidecar_routes_answer_from_the_model() -> None:
    def open_encoder(path: Path) -> Servable:
        import msgspec

        accuracy = Evidence(
            name="accuracy", value=0.9, unit="", how="test", where="", when="", on="test split"
        )
        return msgspec.structs.replace(open_doubler(path), evidence=(accuracy,))

    async def case() -> None:
        async with running(open_encoder, "doubler") as (_, client):
            assert await post(client, "/infer", b'{"x": [1, 2.1]}') == (200, {"y": [2, 4.2]})
            assert await post(client, "/infer", b'{"x": [[1, 2], [3, 4]]}') == (
                200,
                {"y": [[2, 4], [6, 8]]},
            )
            assert await post(client, "/encode", b'{"imu_window": [1, 2]}') == (
                200,
                {"latent_embedding": [2, 4], "model_version": "1", "accuracy": 0.9},
            )
            status, health = await get(client, "/healthz")
            assert (status, health["ok"], health["hef_sha256"]) == (200, True, None)
            assert health["latency_ms"] > 0

    asyncio.run(case())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"x": "text"}',
        b'{"x": [1]}',
        b'{"x": [1, [2]]}',
        b'{"x": [1, null]}',
        b'{"x": [1, 5000]}',
        b'{"x": [1, 1e39]}',
        b'{"x": [1, 1e999]}',
        b'{"x": [[1, 2], [3]]}',
        b'{"x": ' + b"[" * 5000,
        b'{"\xbf": [1, 2]}',
    ],
)
def test_sidecar_route_refuses_with_422(body: bytes) -> None:
    async def case() -> None:
        async with running(open_doubler, "doubler") as (_, client):
            status, document = await post(client, "/infer", body)
            assert status == 422
            assert document["error"]

    asyncio.run(case())


def test_model_that_fails_its_trial_ends_the_start() -> None:
    def open_noisy(path: Path) -> Servable:
        generator = np.random.default_rng(1)
        return servable(
            FunctionSession(lambda x: x + generator.standard_normal(x.shape).astype(np.float32))
        )

    async def case() -> None:
        with pytest.raises(DeviceError, match="own first answers"):
            async with running(open_noisy, "noisy"):
                pass

    asyncio.run(case())


def test_same_model_twice_is_refused_at_start_and_versions_live_side_by_side() -> None:
    async def case() -> None:
        async with running(open_multiplier, "2", "3") as (_, client):
            for path, wanted in (("", 3), ("/versions/2", 2), ("/versions/3", 3)):
                answer = await post(client, f"/v2/models/doubler{path}/infer", request())
                assert answer[1]["outputs"][0]["data"][0] == wanted
        with pytest.raises(InputError, match="given twice"):
            async with running(open_multiplier, "2", "2"):
                pass

    asyncio.run(case())


def test_admin_socket_swaps_loads_and_unloads(tmp_path: Path) -> None:
    async def case() -> None:
        options = {"admin": tmp_path / "admin"}
        async with (
            running(open_doubler, "doubler", **options) as (_, client),
            Client(uds=tmp_path / "admin") as admin,
        ):
            load = "/v2/repository/models/second/load"
            assert await post(admin, load, b'{"path": "/x/doubler"}') == (200, {})
            assert (await post(client, "/v2/models/second/infer", request()))[0] == 200
            assert await post(admin, load) == (200, {})
            assert (await get(admin, "/v2/models/second/stats"))[0] == 200
            assert (await post(admin, load, b'{"path": 1}'))[0] == 400
            assert (await post(admin, "/v2/repository/models/z/load"))[0] == 404
            assert (await post(admin, "/v2/repository/models/second/unload")) == (200, {})
            assert (await post(admin, "/v2/repository/models/second/unload"))[0] == 404
            assert (await post(client, "/v2/models/second/infer", request()))[0] == 404
            assert (await post(client, load, b'{"path": "/x/doubler"}'))[0] == 404
            _, index = await post(admin, "/v2/repository/index")
            assert [line["name"] for line in index] == ["doubler"]

    asyncio.run(case())


def test_failed_load_leaves_the_old_model_answering(tmp_path: Path) -> None:
    def open_unless_bad(path: Path) -> Servable:
        if path.name == "bad":
            return servable(FunctionSession(lambda x: x * np.float32(np.nan)))
        return open_doubler(path)

    async def case() -> None:
        options = {"admin": tmp_path / "admin"}
        async with (
            running(open_unless_bad, "doubler", **options) as (_, client),
            Client(uds=tmp_path / "admin") as admin,
        ):
            load = "/v2/repository/models/doubler/load"
            status, document = await post(admin, load, b'{"path": "bad"}')
            assert (status, "NaN" in document["error"]) == (500, True)
            assert (await post(client, "/v2/models/doubler/infer", request()))[0] == 200
            assert (await get(client, "/readyz"))[0] == 200
            _, index = await post(admin, "/v2/repository/index")
            assert index[0]["state"] == "READY"
            assert "NaN" in index[0]["reason"]

    asyncio.run(case())


@pytest.mark.parametrize("limited", ["har", "har-v2"])
def test_model_under_another_name_keeps_its_limit_of_memory_or_is_refused(limited: str) -> None:
    async def case() -> None:
        server = InferenceServer(
            open_doubler,
            ServeOptions(),
            clock=FakeClock(),
            timer=time.perf_counter,
            memory_limited={limited},
        )
        await server.start([Path("doubler")])
        try:
            with pytest.raises(InputError, match=f"as 'har': memory_mb limits '{limited}'"):
                await server.models.load(Path("har-v2"), name="har")
            assert server.models.directory.names == ("doubler",)
            await server.models.load(Path(limited), name=limited)
            await server.models.load(Path("other"), name="another")
            assert server.models.directory.names == ("doubler", limited, "another")
        finally:
            await server.close(drain_s=0)

    asyncio.run(case())


def test_no_request_fails_while_models_are_swapped() -> None:
    sessions: list[FunctionSession] = []

    def open_counted(path: Path) -> Servable:
        def double(x: Array) -> Array:
            return np.float32(2) * x

        sessions.append(FunctionSession(double))
        return servable(sessions[-1])

    async def case() -> None:
        async with running(open_counted, "doubler") as (server, _):
            stop = False
            answered = 0

            async def ask() -> None:
                nonlocal answered
                async with Client(server.addresses[0]) as client:
                    while not stop:
                        status, document = await post(
                            client, "/v2/models/doubler/infer", request(float(answered % 100))
                        )
                        assert (status, document["outputs"][0]["shape"]) == (200, [1, 2])
                        answered += 1

            clients = [asyncio.create_task(ask()) for _ in range(4)]
            for _ in range(20):
                await server.models.load(Path("doubler"))
            stop = True
            await asyncio.gather(*clients)
            assert answered > 20
            assert server.models.swaps == 20
        assert all(session.is_closed for session in sessions)

    asyncio.run(case())


def test_unix_socket_answers_like_tcp(tmp_path: Path) -> None:
    async def case() -> None:
        path = tmp_path / "serve"
        async with running(open_doubler, "doubler", uds=path) as (server, client):
            assert server.addresses == (f"unix:{path}",)
            assert (await post(client, "/v2/models/doubler/infer", request()))[0] == 200

    asyncio.run(case())


def test_requests_in_flight_are_answered_when_the_server_closes() -> None:
    def open_slow(path: Path) -> Servable:
        return servable(FunctionSession(lambda x: np.float32(2) * x, seconds=0.05))

    async def case() -> None:
        async with running(open_slow, "slow", threads=2) as (server, client):
            waiting = [
                asyncio.create_task(post(client, "/v2/models/doubler/infer", request()))
                for _ in range(4)
            ]
            while server.models.find("doubler").in_flight < 4:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0)
            await server.close(drain_s=5)
            assert [answer[0] for answer in await asyncio.gather(*waiting)] == [200] * 4

    asyncio.run(case())


def test_a_pass_that_outlives_its_peer_ends_before_its_model_is_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    session = FunctionSession(lambda x: np.float32(2) * x, seconds=0.3)

    async def case() -> None:
        async with running(lambda _: servable(session), "slow") as (server, client):
            path = "/v2/models/doubler/infer"
            waiting = [asyncio.create_task(post(client, path, request())) for _ in range(2)]
            while server.models.find("doubler").in_flight < 2:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0)
            await server.close(drain_s=0.01)
            cut_off = await asyncio.gather(*waiting, return_exceptions=True)
            assert all(isinstance(one, TransportError) for one in cut_off)

    asyncio.run(case())
    gc.collect()
    assert session.is_closed
    assert not caplog.records


def test_body_beyond_the_limit_is_refused() -> None:
    async def case() -> None:
        limits = Limits(body_bytes=1000)
        async with running(open_doubler, "doubler", limits=limits) as (_, client):
            answer = await client.request("POST", "/v2/models/doubler/infer", body=b"x" * 2000)
            assert answer.status == 413

    asyncio.run(case())


def test_loading_is_of_the_same_priority_as_serving() -> None:
    """A nicer thread that holds the interpreter's lock would hold up those that it should not."""
    seen: list[int] = []

    def open_noting(path: Path) -> Servable:
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return open_doubler(path)

    async def case() -> None:
        async with running(open_noting, "doubler"):
            pass

    asyncio.run(case())
    assert seen == [os.getpriority(os.PRIO_PROCESS, 0)]


def test_a_name_that_never_loaded_keeps_the_server_unready_until_it_is_given_up() -> None:
    def open_some(path: Path) -> Servable:
        if path.stem == "absent":
            raise InputError("no such file")
        return open_doubler(path)

    async def case() -> None:
        async with running(open_some, "doubler") as (server, client):
            with pytest.raises(InputError):
                await server.models.load(Path("absent"), name="absent")
            status, told = await get(client, "/readyz")
            assert (status, told["faults"]) == (503, {"absent": "no such file"})
            await server.models.unload("absent")
            assert (await get(client, "/readyz"))[0] == 200
            with pytest.raises(RefusalError, match="unknown"):
                await server.models.unload("absent")

    asyncio.run(case())
