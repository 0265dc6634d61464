"""A candidate in a child process, real processes and all: mirrored, asked first, let go."""

import asyncio
import json
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.bundle import unpack
from edgewright.chain.serving import open_candidate, open_servable
from edgewright.clock import SystemClock
from edgewright.contract import Contract, Tensor
from edgewright.device.serve import InferenceServer, ServeOptions
from edgewright.device.serve.child_model import CandidateError, ChildModel, ChildOrder
from edgewright.device.serve.refusal import RefusalError
from edgewright.device.serve.shadow import agreeing_rows, agrees, is_compatible
from edgewright.testing.bundles import MODEL, build_tiny
from edgewright.transports.http1 import Client
from edgewright.wire.admin import TryOrder

pytestmark = pytest.mark.timeout(120)

CONTRACT = Contract(
    inputs=(Tensor(name="x", dtype="float32", shape=("batch", 2)),),
    outputs=(Tensor(name="y", dtype="float32", shape=("batch", 2)),),
)
# A child that speaks the frames and does to each request what its folder's name says.
CHILD = """
import os, socket, sys, time
import numpy as np
from edgewright.device.serve.child_model import pack, unpack
from edgewright.wire.candidate import *
channel = socket.socket(fileno=int(sys.argv[1]))
deed = os.path.basename(sys.argv[2])
if deed == "unready":
    channel.sendall(encode_frame(Reply(error="no engine")))
    sys.exit()
channel.sendall(encode_frame(Reply()))
kept = []
while head := channel.recv(4, socket.MSG_WAITALL):
    ask = decode_frame(head + channel.recv(frame_size(head), socket.MSG_WAITALL), Ask)
    x = unpack(ask.arrays)["x"]
    if deed == "crash": os.abort()
    if deed == "hang": time.sleep(60)
    if deed == "garbage": channel.sendall(b"\\0\\0\\0\\3abc"); continue
    if deed == "huge": channel.sendall(b"\\xff\\xff\\xff\\xff"); continue
    y = x * (np.float32("nan") if deed == "nan" else np.float32(2))
    if deed == "leak": kept.append(bytes(bytearray(b"x") * (200 << 20)))
    if deed == "double": y = y.astype(np.float64)
    arrays = pack({"z" if deed == "other" else "y": y})
    channel.sendall(encode_frame(Reply(arrays=arrays, run_s=0.001)))
"""


@pytest.mark.parametrize(
    ("deed", "kind"),
    [
        ("crash", "crash"),
        ("hang", "hang"),
        ("nan", "nan"),
        ("leak", "memory"),
        ("other", "contract"),
        ("double", "contract"),
    ],
)
def test_whatever_a_child_does_is_a_reason(tmp_path: Path, deed: str, kind: str) -> None:
    with pytest.raises(CandidateError) as caught:
        _asked(tmp_path / deed)
    assert caught.value.kind == kind


@pytest.mark.parametrize("deed", ["garbage", "huge"])
def test_a_child_that_speaks_nonsense_is_no_answer(tmp_path: Path, deed: str) -> None:
    from edgewright.errors import EdgewrightError

    with pytest.raises(EdgewrightError, match="frame"):
        _asked(tmp_path / deed)


def test_a_child_that_cannot_load_says_why(tmp_path: Path) -> None:
    with pytest.raises(CandidateError, match="no engine"):
        _asked(tmp_path / "unready")


def test_a_good_child_answers_and_a_broken_one_is_asked_no_more(tmp_path: Path) -> None:
    answer = _asked(tmp_path / "good")
    assert answer["y"].tolist() == [[2.0, 4.0]]


def _asked(folder: Path) -> dict[str, Any]:
    child = ChildModel(
        ChildOrder(command=(sys.executable, "-c", CHILD)), CONTRACT, folder, time.perf_counter
    )
    try:
        child.greet()
        child.patience_s = 1.0 if folder.name == "hang" else 30.0
        child._watched_s = -1.0
        return child.predict_checked({"x": np.array([[1, 2]], np.float32)})
    finally:
        child.close()
        assert child.broken


def test_two_models_agree_when_their_best_scores_lie_at_the_same_place() -> None:
    scores = np.array([[0.1, 0.9]], np.float32)
    assert agrees(CONTRACT, {"y": scores}, {"y": scores * 3})
    assert not agrees(CONTRACT, {"y": scores}, {"y": scores[:, ::-1]})
    assert not agrees(CONTRACT, {"y": scores}, {"y": scores[:, :1]})


def test_rows_of_one_number_have_no_best_place() -> None:
    outputs = (
        Tensor(name="y", dtype="float32", shape=("batch",)),
        Tensor(name="label", dtype="int64", shape=("batch",)),
    )
    contract = Contract(inputs=CONTRACT.inputs, outputs=outputs)
    old = {"y": np.array([1, 2, 3], np.float32), "label": np.array([4, 5, 6])}
    new = {"y": np.array([1, 50, 90], np.float32), "label": np.array([4, 5, 6])}
    assert agreeing_rows(contract, old, old) == (3, 3)
    assert agreeing_rows(contract, old, new) == (1, 3)


def test_models_with_other_tensors_are_not_compatible() -> None:
    other = Contract(
        inputs=(Tensor(name="x", dtype="float32", shape=("batch", 3)),), outputs=CONTRACT.outputs
    )
    assert is_compatible(CONTRACT, CONTRACT)
    assert not is_compatible(CONTRACT, other)


@asynccontextmanager
async def _served(folder: Path) -> AsyncIterator[tuple[InferenceServer, Client]]:
    unpack_tiny(folder, "1")
    server = InferenceServer(
        open_servable,
        ServeOptions(uds=folder / "s.sock"),
        clock=SystemClock(),
        timer=time.perf_counter,
        open_candidate=open_candidate,
    )
    await server.start([folder / "1"])
    async with Client(uds=folder / "s.sock", timeout_s=30) as client:
        yield server, client
    await server.close(0.5)


def unpack_tiny(folder: Path, version: str) -> Path:
    build_tiny(folder / f"{version}.ewb", version=version)
    unpack(folder / f"{version}.ewb", folder / version)
    return folder / version


async def _version(client: Client) -> str:
    body = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
    path = f"/v2/models/{MODEL}/infer"
    answer = await client.request("POST", path, body=json.dumps(body).encode())
    assert answer.status == 200, answer.body
    return str(json.loads(answer.body)["model_version"])


def test_a_candidate_is_mirrored_then_leads_then_is_replaced(tmp_path: Path) -> None:
    async def scene() -> None:
        async with _served(tmp_path) as (server, client):
            path = str(unpack_tiny(tmp_path, "2"))
            await server.models.try_out(MODEL, TryOrder(path=path))
            figures = server.models.candidate(MODEL)
            while not figures.compared:
                assert await _version(client) == "1"
                await asyncio.sleep(0.01)
                figures = server.models.candidate(MODEL)
            assert figures.failures == {}
            await server.models.try_out(MODEL, TryOrder(path=path, mode="lead"))
            assert await _version(client) == "2"
            assert server.models.candidate(MODEL).answered == 1
            candidate = server.models._trials._candidates[MODEL][0]
            candidate.model.child._process.kill()
            assert [await _version(client) for _ in range(3)] == ["1", "1", "1"]
            figures = server.models.candidate(MODEL)
            assert figures.failures["crash"] == 1
            assert "SIGKILL" in figures.broken
            await server.models.dismiss(MODEL)
            assert await _version(client) == "1"
            await server.models.load(Path(path), name=MODEL)
            assert await _version(client) == "2"
            with pytest.raises(RefusalError):
                server.models.candidate(MODEL)

    asyncio.run(scene())


async def _status(client: Client, name: str) -> int:
    body = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
    path = f"/v2/models/{name}/infer"
    return (await client.request("POST", path, body=json.dumps(body).encode())).status


def test_the_first_of_a_name_leads_alone_and_its_faults_are_its_own(tmp_path: Path) -> None:
    async def scene() -> None:
        async with _served(tmp_path) as (server, client):
            models = server.models
            path = tmp_path / "first"
            build_tiny(tmp_path / "first.ewb", version="7", name="first")
            unpack(tmp_path / "first.ewb", path)
            with pytest.raises(RefusalError, match="unknown"):
                await models.try_out("first", TryOrder(path=str(path)))
            await models.try_out("first", TryOrder(path=str(path), mode="lead"))
            assert [await _status(client, name) for name in ("first", MODEL)] == [200, 200]
            models._trials._candidates["first"][0].model.child._process.kill()
            assert [await _status(client, name) for name in ("first", MODEL)] == [500, 200]
            assert models.candidate("first").failures["crash"] == 1
            await models.dismiss("first")
            assert [await _status(client, name) for name in ("first", MODEL)] == [404, 200]
            await models.try_out("first", TryOrder(path=str(path), mode="lead"))
            await models.unload("first")
            assert await _status(client, "first") == 404
            await models.try_out("first", TryOrder(path=str(path), mode="lead"))
            await models.load(path, name="first")
            assert await _status(client, "first") == 200
            assert {model.name for model in models} == {"first", MODEL}

    asyncio.run(scene())


def test_one_of_other_tensors_leads_alone_and_the_old_one_comes_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with _served(tmp_path) as (server, client):
            path = tmp_path / "named"
            build_tiny(tmp_path / "named.ewb", version="2", output="z")
            unpack(tmp_path / "named.ewb", path)
            with pytest.raises(RefusalError, match="other tensors"):
                await server.models.try_out(MODEL, TryOrder(path=str(path)))
            assert await _version(client) == "1"
            await server.models.try_out(MODEL, TryOrder(path=str(path), mode="lead"))
            assert await _version(client) == "2"
            server.models._trials._candidates[MODEL][0].model.child._process.kill()
            assert await _status(client, MODEL) == 500
            await server.models.dismiss(MODEL)
            assert await _version(client) == "1"

    asyncio.run(scene())


def test_a_candidate_is_not_tried_beside_several_versions(tmp_path: Path) -> None:
    async def scene() -> None:
        async with _served(tmp_path) as (server, client):
            two, order = unpack_tiny(tmp_path, "2"), TryOrder(path=str(tmp_path / "2"), mode="lead")
            await server.models.load(two, name=MODEL, keep=True)
            with pytest.raises(
                RefusalError, match=r"versions 1, 2, .* unload the others"
            ) as caught:
                await server.models.try_out(MODEL, order)
            assert (caught.value.status, server.models.versions(MODEL)) == (409, ("1", "2"))
            await server.models.unload(MODEL, "1")
            await server.models.try_out(MODEL, order)
            await server.models.try_out(MODEL, order)
            await server.models.dismiss(MODEL)
            assert server.models.versions(MODEL) == ("2",)
            assert await _version(client) == "2"

    asyncio.run(scene())


def test_a_candidate_that_hangs_at_its_start_keeps_no_other_name_waiting(tmp_path: Path) -> None:
    async def scene() -> None:
        async with _served(tmp_path) as (server, client):
            stuck, two = tmp_path / "stuck", unpack_tiny(tmp_path, "2")
            opening, let_go = threading.Event(), threading.Event()
            really_open = server.models._trials._open_candidate
            assert really_open is not None

            def open_one(path: Path, memory_mb: float) -> Any:
                if path == stuck:
                    opening.set()
                    let_go.wait(30)
                    raise CandidateError("it hung", kind="hang")
                return really_open(path, memory_mb)

            server.models._trials._open_candidate = open_one
            order = TryOrder(path=str(stuck), mode="lead")
            hanging = asyncio.create_task(server.models.try_out("first", order))
            await asyncio.to_thread(opening.wait, 10)
            await server.models.try_out(MODEL, TryOrder(path=str(two), mode="lead"))
            assert await _version(client) == "2"
            await server.models.dismiss(MODEL)
            assert await _version(client) == "1"
            let_go.set()
            with pytest.raises(CandidateError):
                await hanging

    asyncio.run(scene())


async def _encoded_by(client: Client) -> str:
    answer = await client.request("POST", "/encode", body=b'{"x": [1, 2, 3, 4]}')
    assert answer.status == 200, answer.body
    return str(json.loads(answer.body)["model_version"])


def test_an_answer_of_the_old_model_is_told_as_its_own_on_every_route(tmp_path: Path) -> None:
    async def scene() -> None:
        async with _served(tmp_path) as (server, client):
            order = TryOrder(path=str(unpack_tiny(tmp_path, "2")), mode="lead")
            await server.models.try_out(MODEL, order)
            assert [await _version(client), await _encoded_by(client)] == ["2", "2"]
            server.models._trials._candidates[MODEL][0].model.child._process.kill()
            assert [await _encoded_by(client), await _version(client)] == ["1", "1"]

    asyncio.run(scene())


def test_what_a_candidate_leaves_is_answered_though_it_was_replaced_meanwhile(
    tmp_path: Path,
) -> None:
    """The old model is closed after the last request that it has to stand in for."""

    async def scene() -> None:
        async with _served(tmp_path) as (server, client):
            path = unpack_tiny(tmp_path, "2")
            await server.models.try_out(MODEL, TryOrder(path=str(path), mode="lead"))
            child = server.models._trials._candidates[MODEL][0].model.child
            child._process.send_signal(signal.SIGSTOP)
            asked = asyncio.create_task(_version(client))
            in_flight = 0
            while not in_flight:
                await asyncio.sleep(0.001)
                in_flight = server.models.find(MODEL).in_flight
            await server.models.load(path, name=MODEL)
            os.killpg(child.pid, signal.SIGKILL)
            assert await asked == "1"
            assert await _version(client) == "2"

    asyncio.run(scene())
