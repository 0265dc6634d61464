"""`edgewright stream` and `edgewright predict` as real processes, on a model of known weights."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgewright.bundle import Draft, build_bundle, unpack
from edgewright.clock import SystemClock
from edgewright.contract import Channel, Contract, Softmax, Tensor
from edgewright.device.streams.base import Result
from edgewright.device.streams.forward import Forwarder, ForwardingSink
from edgewright.device.streams.http_delivery import HttpDelivery
from edgewright.errors import TransportError
from edgewright.runtimes.base import EngineTensor
from edgewright.runtimes.reference import Graph, Layer, write_reference
from edgewright.stores import MemoryQueue
from edgewright.testing import FakeClock
from edgewright.transports.http1 import Client, Request, Response, start_server


def edgewright(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgewright", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that says "up" where the mean of x over a window is above 0, else "down"."""
    folder = tmp_path_factory.mktemp("bundle")
    graph = Graph(
        inputs=(EngineTensor(name="imu", dtype="float32", shape=(None, 20, 2)),),
        outputs=(EngineTensor(name="p", dtype="float32", shape=(None, 2)),),
        layers=(
            Layer(op="mean", inputs=("imu",), output="m", numbers={"axis": 1}),
            Layer(op="linear", inputs=("m",), output="p", weights={"weight": "w"}),
        ),
    )
    write_reference(folder / "m.npz", graph, {"w": np.array([[-9, 0], [9, 0]], np.float32)})
    contract = Contract(
        inputs=(
            Tensor(
                name="imu",
                dtype="float32",
                shape=("batch", 20, 2),
                channels=(
                    Channel(name="ax", unit="g", low=-4.0, high=4.0),
                    Channel(name="ay", unit="g", low=-4.0, high=4.0),
                ),
            ),
        ),
        outputs=(Tensor(name="p", dtype="float32", shape=("batch", 2)),),
        postprocess=(Softmax(tensor="p"),),
        labels=("down", "up"),
        rate_hz=20.0,
    )
    draft = Draft(
        name="updown", version="1", format="reference", precision="fp32", contract=contract
    )
    path = folder / "updown.ewb"
    build_bundle(path, draft, [("model", "m.npz", (folder / "m.npz").read_bytes())])
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Four seconds of up, a hole, four seconds of down; 50 Hz with jitter, the model takes 20."""
    rng = np.random.default_rng(7)
    up = np.arange(200) / 50 + rng.uniform(-0.004, 0.004, 200)
    times = np.concatenate([up, up + 10])
    ax = np.where(times < 8, 1.0, -1.0)
    path = tmp_path / "imu.csv"
    rows = [f"{t:.4f},0.5,{x}\n" for t, x in zip(times, ax, strict=True)]
    path.write_text("time,ay,ax\n" + "".join(rows))
    return path


def test_a_recording_becomes_debounced_results(bundle: Path, recording: Path) -> None:
    done = edgewright("stream", bundle, "--source", recording, "--hop", "20")
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [r["label"] for r in results] == ["up"] * 4 + ["down"] * 4
    assert [r.get("state", "") for r in results] == ["", *["up"] * 4, *["down"] * 3]
    assert all(r["score"] > 0.99 for r in results)
    assert "1 gaps" in done.stderr
    assert "8 windows" in done.stderr


def test_results_go_to_a_file_and_only_changes_when_asked(
    bundle: Path, recording: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "results.jsonl"
    done = edgewright("stream", bundle, "--source", recording, "--sink", out, "--changes-only")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    states = [json.loads(line)["state"] for line in out.read_text().splitlines()]
    assert states == ["up", "down"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("ax", "acc_x", 1), "no column for channel(s) ['ax']"),
        (lambda text: text.replace("time", "when", 1), "no time column"),
        (lambda text: text + "9,9\n", "2 cells, expected 3"),
        (lambda _: "", "expected a header"),
    ],
)
def test_a_table_that_does_not_fit_is_one_line_and_exit_2(
    bundle: Path, recording: Path, change: Callable[[str], str], words: str
) -> None:
    recording.write_text(change(recording.read_text()))
    done = edgewright("stream", bundle, "--source", recording)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_window_out_of_range_is_refused_by_channel(bundle: Path, recording: Path) -> None:
    recording.write_text(recording.read_text().replace(",0.5,1.0", ",77,1.0"))
    done = edgewright("stream", bundle, "--source", recording)
    first = json.loads(done.stdout.splitlines()[0])
    assert "(ay) is 77 g, expected -4 to 4 g" in first["refused"]
    assert "label" not in first


def test_an_unknown_sink_is_refused_before_anything_runs(bundle: Path, recording: Path) -> None:
    done = edgewright("stream", bundle, "--source", recording, "--sink", "amqp://x/y")
    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown kind of address" in done.stderr


def test_results_are_not_appended_to_the_samples(bundle: Path, recording: Path) -> None:
    before = recording.read_bytes()
    done = edgewright("stream", bundle, "--source", recording, "--sink", recording)
    assert (done.returncode, recording.read_bytes()) == (2, before)
    assert "is read, and results would be appended to it" in done.stderr


def test_predict_takes_what_a_server_takes(bundle: Path, tmp_path: Path) -> None:
    windows = np.random.default_rng(1).uniform(-1, 1, (5, 20, 2)).astype(np.float32)
    np.savez(tmp_path / "in.npz", imu=windows)
    unpack(bundle, tmp_path / "folder")
    (tmp_path / "alone.toml").write_text(
        f"""
        name = "alone"
        [contract]
        inputs = [{{ name = "imu", dtype = "float32", shape = ["batch", 20, 2], high = 9.0 }}]
        outputs = [{{ name = "p", dtype = "float32", shape = ["batch", 2] }}]
        [[stages]]
        model = "{bundle}"
        """,
        encoding="utf-8",
    )
    ways = (bundle, tmp_path / "folder", tmp_path / "alone.toml")
    answers = [edgewright("predict", way, tmp_path / "in.npz") for way in ways]
    assert {one.returncode for one in answers} == {0}, answers
    assert len({one.stdout for one in answers}) == 1
    np.savez(tmp_path / "high.npz", imu=windows * 100)
    refused = edgewright("predict", tmp_path / "alone.toml", tmp_path / "high.npz")
    assert (refused.returncode, "9; check sensor and unit" in refused.stderr) == (2, True)


def test_predict_answers_every_row_of_an_npz(bundle: Path, tmp_path: Path) -> None:
    windows = np.random.default_rng(1).uniform(-1, 1, (150, 20, 2)).astype(np.float32)
    np.savez(tmp_path / "in.npz", imu=windows, other=np.zeros(3))
    done = edgewright("predict", bundle, tmp_path / "in.npz", "--out", tmp_path / "out.npz")
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz") as answers:
        means = windows[:, :, 0].mean(axis=1)
        np.testing.assert_allclose(answers["p"][:, 1], 1 / (1 + np.exp(-18 * means)), atol=1e-5)


def test_predict_takes_the_windows_of_a_recording(bundle: Path, recording: Path) -> None:
    done = edgewright("predict", bundle, recording, "--hop", "20")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["row"] for row in rows] == list(range(8))
    assert [row["p"][1] > 0.5 for row in rows] == [True] * 4 + [False] * 4


def test_predict_refuses_a_file_with_one_bad_row_and_writes_nothing(
    bundle: Path, tmp_path: Path
) -> None:
    windows = np.zeros((100, 20, 2), np.float32)
    windows[70, 3, 1] = np.nan
    np.savez(tmp_path / "in.npz", imu=windows)
    done = edgewright("predict", bundle, tmp_path / "in.npz", "--out", tmp_path / "out.npz")
    assert done.returncode == 2
    assert "in the rows from 64: input 'imu'[6, 3, 1] (ay) is nan" in done.stderr
    assert not (tmp_path / "out.npz").exists()


def test_predict_names_the_arrays_it_misses(bundle: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", X=np.zeros((1, 20, 2), np.float32))
    done = edgewright("predict", bundle, tmp_path / "in.npz")
    assert done.returncode == 2
    assert "no array for input(s) ['imu'], it has ['X']" in done.stderr


class Receiver:
    """A server that answers as told and keeps what it took."""

    def __init__(self, statuses: list[int]) -> None:
        self.statuses = statuses
        self.taken: list[float] = []
        self.is_asked = asyncio.Event()

    async def handle(self, request: Request) -> Response:
        self.is_asked.set()
        status = self.statuses.pop(0) if self.statuses else 204
        if status < 300:
            lines = request.body.splitlines()
            self.taken += [msgspec.json.decode(line)["start_s"] for line in lines]
        return Response(status=status)


def result(at_s: float) -> Result:
    return Result(model="m", start_s=at_s, end_s=at_s + 1)


async def post(receiver: Receiver, batches: list[list[float]], *, limit: int = 100) -> Forwarder:
    server = await start_server(receiver.handle, clock=SystemClock())
    forwarder = Forwarder(
        MemoryQueue(limit=limit),
        HttpDelivery(Client(server.address), "/results"),
        clock=FakeClock(),
        name="receiver",
    )
    sink = ForwardingSink(forwarder)
    try:
        for batch in batches:
            await sink.write([result(at_s) for at_s in batch])
            await receiver.is_asked.wait()
        await sink.close()
    finally:
        await server.close()
    return forwarder


def test_what_a_busy_server_did_not_take_is_sent_again_in_order() -> None:
    receiver = Receiver([503, 429])
    forwarder = asyncio.run(post(receiver, [[1.0], [2.0], [3.0, 4.0]]))
    assert receiver.taken == [1.0, 2.0, 3.0, 4.0]
    assert (forwarder.delivered, forwarder.dropped) == (4, 0)


def test_a_full_queue_drops_the_oldest_and_says_so() -> None:
    receiver = Receiver([503, 503])
    with pytest.raises(TransportError, match="1 of 3 messages were not delivered"):
        asyncio.run(post(receiver, [[1.0, 2.0, 3.0]], limit=2))
    assert receiver.taken == [2.0, 3.0]


def test_what_a_server_refuses_for_good_is_not_sent_again() -> None:
    receiver = Receiver([400])
    with pytest.raises(TransportError, match=r"1 of 2 messages were not delivered: .*status 400"):
        asyncio.run(post(receiver, [[1.0], [2.0]]))
    assert receiver.taken == [2.0]


@pytest.mark.parametrize("status", [401, 403, 404, 405, 500])
def test_what_is_mended_at_the_server_is_waited_for(status: int) -> None:
    receiver = Receiver([status] * 3)
    forwarder = asyncio.run(post(receiver, [[1.0], [2.0]]))
    assert receiver.taken == [1.0, 2.0]
    assert (forwarder.delivered, forwarder.refused) == (2, 0)


def test_one_message_that_a_server_refuses_takes_no_other_with_it() -> None:
    # The five together, the first two, the last three, their first alone: that one is at fault.
    receiver = Receiver([422, 204, 422, 422])
    with pytest.raises(TransportError, match=r"1 of 5 messages were not delivered: .*status 422"):
        asyncio.run(post(receiver, [[1.0, 2.0, 3.0, 4.0, 5.0]]))
    assert receiver.taken == [1.0, 2.0, 4.0, 5.0]


def test_an_absent_server_costs_exit_4_and_is_named(bundle: Path, recording: Path) -> None:
    done = edgewright("stream", bundle, "--source", recording, "--sink", "http://127.0.0.1:1/x")
    assert done.returncode == 4
    assert "messages were not delivered" in done.stderr
