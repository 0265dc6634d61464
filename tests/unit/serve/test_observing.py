import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgewright.device.serve import InferenceServer, ServeOptions, access_log
from edgewright.device.serve.access import Access
from edgewright.device.serve.access_log import AccessLog, line_of
from edgewright.device.serve.application import InferenceApplication
from edgewright.device.serve.observing import Seen
from edgewright.errors import EdgewrightError
from edgewright.testing import FakeClock
from edgewright.testing.models import open_doubler
from edgewright.testing.serving import get, post, request
from edgewright.transports.http1 import Client, Limits


def seen(**fields: Any) -> Seen:
    known: dict[str, Any] = {
        "wall_s": 1.5,
        "took_s": 0.002,
        "peer": "127.0.0.1:9",
        "method": "POST",
        "path": "/infer",
        "headers": {},
        "status": 200,
        "request_bytes": 3,
        "response_bytes": 4,
    }
    return Seen(**{**known, **fields})


def test_every_request_is_seen_once_whatever_answers_it() -> None:
    found: list[Seen] = []

    async def case() -> None:
        server = InferenceServer(
            open_doubler,
            ServeOptions(),
            clock=FakeClock(),
            timer=time.perf_counter,
            observers=[found.append],
        )
        await server.start([Path("doubler")])
        async with Client(server.addresses[0]) as client:
            infer = "/v2/models/doubler/infer"
            for _ in range(3):  # the last ones take the quick lane
                assert (await post(client, infer, request(), {"x-request-id": "r"}))[0] == 200
            body = request(id="1")
            assert (await post(client, infer, body))[0] == 200
            assert (await post(client, infer, request(5000)))[0] == 400
            assert (await post(client, "/infer?token=secret", b'{"x": [1, 2]}'))[0] == 200
            assert (await get(client, "/nothing"))[0] == 404
        await server.close(drain_s=1)

    asyncio.run(case())
    assert [(one.path.rpartition("/")[2], one.status) for one in found] == [
        *[("infer", 200)] * 4,
        ("infer", 400),
        ("infer", 200),
        ("nothing", 404),
    ]
    assert found[0].headers["x-request-id"] == "r"
    assert found[3].request_bytes == len(request(id="1"))
    assert all(one.took_s > 0 and one.response_bytes > 10 for one in found)
    assert not any("secret" in str(one.path) for one in found)


def test_every_grpc_call_is_seen_once_whatever_answers_it() -> None:
    grpc = pytest.importorskip("grpc", reason="absent: grpcio (extra grpc)")
    from edgewright.chain.serving_grpc import grpc_listener
    from edgewright.wire.v2_grpc import MESSAGES, SERVICE

    found: list[Seen] = []
    access = Access.of_keys(["0123456789abcdef"])
    metadata = (("x-api-key", "0123456789abcdef"), ("x-request-id", "r"))

    def asked(value: float, model: str = "doubler") -> bytes:
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2]}
        tensor["contents"] = {"fp32_contents": [value, 1]}
        message = MESSAGES["ModelInferRequest"](model_name=model, inputs=[tensor])
        return bytes(message.SerializeToString())

    async def case() -> None:
        server = InferenceServer(
            open_doubler,
            ServeOptions(),
            clock=FakeClock(),
            timer=time.perf_counter,
            observers=[found.append],
            listen_also=grpc_listener(("127.0.0.1", 0), Limits(), access=access),
        )
        await server.start([Path("doubler")])
        address = server.addresses[-1].removeprefix("grpc://")
        async with grpc.aio.insecure_channel(address) as channel:
            infer = channel.unary_unary(f"/{SERVICE}/ModelInfer")
            assert await infer(asked(1), metadata=metadata)
            for content, keys in ((asked(5000), metadata), (asked(1, "no"), metadata),
                                  (asked(1), ())):  # fmt: skip
                with pytest.raises(grpc.aio.AioRpcError):
                    await infer(content, metadata=keys)
            stream = channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")
            answers = stream(iter([asked(1), asked(5000), b"garbage", asked(2)]), metadata=metadata)
            assert len([answer async for answer in answers]) == 4
            with pytest.raises(grpc.aio.AioRpcError):
                await anext(aiter(stream(iter([asked(1)]))))
            live = channel.unary_unary(f"/{SERVICE}/ServerLive")
            assert await live(b"")
        await server.close(drain_s=1)

    asyncio.run(case())
    method = f"/{SERVICE}/ModelInfer"
    assert [(one.method, one.grpc_status, one.model) for one in found] == [
        ("ModelInfer", "OK", "doubler"),
        ("ModelInfer", "INVALID_ARGUMENT", "doubler"),
        ("ModelInfer", "NOT_FOUND", "no"),
        ("ModelInfer", "UNAUTHENTICATED", ""),
        ("ModelStreamInfer", "OK", "doubler"),
        ("ModelStreamInfer", "INVALID_ARGUMENT", "doubler"),
        ("ModelStreamInfer", "INVALID_ARGUMENT", ""),
        ("ModelStreamInfer", "OK", "doubler"),
        ("ModelStreamInfer", "UNAUTHENTICATED", ""),
        ("ServerLive", "OK", ""),
    ]
    assert found[0].peer.startswith("127.0.0.1:")
    assert (found[0].path, found[0].request_bytes) == (method, len(asked(1)))
    assert found[0].response_bytes > 10
    line = json.loads(line_of(found[2]))
    assert (line["grpc_status"], line["model"], line["request_id"]) == ("NOT_FOUND", "no", "r")
    assert "status" not in line
    assert not any("0123456789" in line_of(one).decode() for one in found)


def test_a_server_without_observers_is_not_wrapped() -> None:
    async def case() -> None:
        server = InferenceServer(
            open_doubler, ServeOptions(), clock=FakeClock(), timer=time.perf_counter
        )
        assert isinstance(server._front, InferenceApplication)
        await server.start([Path("doubler")])
        await server.close(drain_s=0)

    asyncio.run(case())


def test_a_line_holds_what_is_asked_for_and_no_secret() -> None:
    headers = {
        "authorization": "Bearer a-secret-key",
        "x-request-id": "r7",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    line = line_of(seen(headers=headers, path="/" + "p" * 999))
    told = json.loads(line)
    assert line.endswith(b"}\n")
    assert b"secret" not in line
    assert told["time"] == "1970-01-01T00:00:01.500000Z"
    assert (told["ms"], told["status"], len(told["path"])) == (2.0, 200, 256)
    assert (told["request_id"], told["trace_id"]) == ("r7", "0af7651916cd43dd8448eb211c80319c")
    assert "trace_id" not in json.loads(line_of(seen(headers={"traceparent": "nonsense"})))


def test_log_is_written_in_order_and_turned_over_when_large(tmp_path: Path) -> None:
    later: list[Callable[[], None]] = []
    path = tmp_path / "access.log"
    path.write_text("an earlier line\n", encoding="ascii")
    size = len(line_of(seen()))
    log = AccessLog(path, call_later=lambda _, act: later.append(act), limit_bytes=5 * size)
    for turn in range(4):
        for number in range(2):
            log(seen(status=200 + 2 * turn + number))
        later[turn]()
    log(seen(status=300))
    log.close()
    old, new = (tmp_path / "access.log.1").read_text(), path.read_text()
    lines = (old + new).splitlines()
    assert lines[0] == "an earlier line"
    assert [json.loads(line)["status"] for line in lines[1:]] == [*range(200, 208), 300]
    assert max(len(old), len(new)) <= 5 * size
    assert log.lost == 0


def test_log_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EdgewrightError, match="opening"):
        AccessLog(tmp_path / "absent" / "log", call_later=lambda *_: None)


def test_lines_that_the_disk_has_no_place_for_are_counted(caplog: Any) -> None:
    log = AccessLog(Path("/dev/full"), call_later=lambda *_: None)
    log(seen())
    log.close()
    assert log.lost == 1
    assert "access log cannot be written" in caplog.text


def test_log_that_cannot_be_turned_over_grows_on_until_it_can(tmp_path: Path, caplog: Any) -> None:
    path, taken = tmp_path / "access.log", tmp_path / "access.log.1"
    taken.mkdir()
    size = len(line_of(seen()))
    log = AccessLog(path, call_later=lambda *_: None, limit_bytes=2 * size)

    def write(status: int) -> None:
        log(seen(status=status))
        log.flush()
        end_s = time.monotonic() + 10
        while not is_written(status):
            assert time.monotonic() < end_s
            time.sleep(0.001)

    def is_written(status: int) -> bool:
        try:
            return str(status) in path.read_text()
        except FileNotFoundError:  # it was turned over, and a new one is begun meanwhile
            return False

    for status in range(200, 206):
        write(status)
    assert caplog.text.count("cannot be turned over") == 1
    taken.rmdir()
    write(206)
    log.close()
    assert [len(file.read_text().splitlines()) for file in (taken, path)] == [6, 1]
    assert log.lost == 0


@pytest.mark.timeout(20)
def test_log_of_a_reader_that_hangs_is_ended_all_the_same(monkeypatch: Any, caplog: Any) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr(access_log, "_CLOSE_S", 0.05)
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=os.fdopen(writing, "wb", 0)))
    log = AccessLog(None, call_later=lambda *_: None)
    try:
        for number in range(access_log._WAITING_MOST + 2):  # the first is being written
            for _ in range(1000):
                log(seen())
            log.flush()
            while number == 0 and not log._blocks.empty():
                time.sleep(0.001)
        log.close()
        assert "access log cannot be ended" in caplog.text
        assert log.lost == 1000
    finally:
        os.close(reading)
        log._thread.join(0.05)


def test_log_goes_on_after_its_file_was_closed(caplog: Any, tmp_path: Path) -> None:
    log = AccessLog(tmp_path / "log", call_later=lambda *_: None)
    log._file.close()
    log(seen())
    log.close()
    assert "access log cannot be written" in caplog.text
    assert log.lost == 1
