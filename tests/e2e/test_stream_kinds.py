"""Stream files with sources and sinks of other kinds: a serial line, a film, CoAP, SQLite, HTTP."""

import asyncio
import json
import os
import pty
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.streams import stop, streaming, updown_bundle, wait_for

from edgewright.bundle import Draft, build_bundle
from edgewright.chain.processes import free_port
from edgewright.clock import SystemClock
from edgewright.contract import Contract, Softmax, Tensor
from edgewright.runtimes.base import EngineTensor
from edgewright.runtimes.reference import Graph, Layer, write_reference
from edgewright.transports.http1 import Client, Request, Response, start_server


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return updown_bundle(tmp_path_factory.mktemp("bundle"))


def rows_of(database: Path) -> list[tuple[str, str]]:
    if not database.is_file():
        return []
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT label, state FROM results ORDER BY end_s").fetchall()
    except sqlite3.OperationalError:  # the table is not made yet
        return []
    finally:
        connection.close()


@pytest.fixture
def serial_line() -> Iterator[str]:
    """A device that says its acceleration in m/s2, fifty times a second."""
    pytest.importorskip("serial", reason="absent: pyserial (extra serial)")
    ours, theirs = pty.openpty()
    is_over = threading.Event()

    def speak() -> None:
        while not is_over.wait(0.02):
            os.write(ours, b"0.01,-9.81\r\n")

    speaker = threading.Thread(target=speak, daemon=True)
    speaker.start()
    yield os.ttyname(theirs)
    is_over.set()
    speaker.join()
    os.close(ours)
    os.close(theirs)


def test_a_serial_line_becomes_rows_of_a_database(
    bundle: Path, serial_line: str, tmp_path: Path
) -> None:
    file = tmp_path / "serial.toml"
    file.write_text(f"""
[[stream]]
model = "{bundle}"

[stream.source]
kind = "serial"
port = "{serial_line}"
columns = {{ax = "1"}}
units = {{ax = "m/s2"}}

[[stream.sinks]]
kind = "sqlite"
path = "results.db"
""")
    database = tmp_path / "results.db"
    with streaming(file) as process:
        wait_for(lambda: len(rows_of(database)) >= 3, "three rows")
        _, stderr = stop(process)
    assert process.returncode == 0, stderr
    assert ("down", "down") in rows_of(database)
    assert {label for label, _ in rows_of(database)} == {"down"}


def bright_bundle(folder: Path) -> Path:
    """Says "red" or "blue", from the mean colour of pictures of 16 x 16."""
    graph = Graph(
        inputs=(EngineTensor(name="image", dtype="uint8", shape=(None, 16, 16, 3)),),
        outputs=(EngineTensor(name="p", dtype="float32", shape=(None, 2)),),
        layers=(
            Layer(op="mean", inputs=("image",), output="rows", numbers={"axis": 1}),
            Layer(op="mean", inputs=("rows",), output="m", numbers={"axis": 1}),
            Layer(op="linear", inputs=("m",), output="p", weights={"weight": "w"}),
        ),
    )
    weights = np.array([[0.1, 0, -0.1], [-0.1, 0, 0.1]], np.float32)
    write_reference(folder / "m.npz", graph, {"w": weights})
    contract = Contract(
        inputs=(Tensor(name="image", dtype="uint8", shape=("batch", 16, 16, 3)),),
        outputs=(Tensor(name="p", dtype="float32", shape=("batch", 2)),),
        postprocess=(Softmax(tensor="p"),),
        labels=("red", "blue"),
    )
    draft = Draft(
        name="colour", version="1", format="reference", precision="fp32", contract=contract
    )
    path = folder / "colour.ewb"
    build_bundle(path, draft, [("model", "m.npz", (folder / "m.npz").read_bytes())])
    return path


def test_a_film_becomes_a_debounced_result_a_picture(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="absent: opencv-python-headless (extra camera)")
    film = cv2.VideoWriter(
        str(tmp_path / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48)
    )
    for number in range(20):
        frame = np.zeros((48, 64, 3), np.uint8)
        frame[:, :, 2 if number < 10 else 0] = 200  # OpenCV writes BGR: red, then blue
        film.write(frame)
    film.release()
    file = tmp_path / "film.toml"
    file.write_text(f"""
[[stream]]
model = "{bright_bundle(tmp_path)}"
source = {{kind = "camera", device = "film.avi", every = 2}}
""")
    done = subprocess.run(
        [sys.executable, "-m", "edgewright", "stream", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [r["label"] for r in results] == ["red"] * 5 + ["blue"] * 5
    assert [r.get("state", "") for r in results] == ["", *["red"] * 5, *["blue"] * 4]
    assert results[1]["end_s"] == pytest.approx(0.2, abs=0.11)


def test_a_model_of_samples_does_not_take_a_camera(bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="absent: opencv-python-headless (extra camera)")
    file = tmp_path / "film.toml"
    file.write_text(f'[[stream]]\nmodel = "{bundle}"\nsource = {{kind = "camera", device = "0"}}\n')
    done = subprocess.run(
        [sys.executable, "-m", "edgewright", "stream", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "a camera gives pictures, the model takes samples" in done.stderr


@pytest.fixture
def coap_server() -> Iterator[int]:
    """libcoap's server, in which resources are made by PUT and can be observed."""
    program = shutil.which("coap-server-notls") or shutil.which("coap-server")
    if program is None:
        pytest.skip("absent: coap-server (Debian package libcoap3-bin)")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen(
        [program, "-A", "127.0.0.1", "-p", str(port), "-d", "10"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        yield port
        process.terminate()


def put(port: int, path: str, payload: str) -> None:
    client = shutil.which("coap-client-notls") or shutil.which("coap-client")
    assert client is not None
    subprocess.run(
        [client, "-m", "put", "-e", payload, f"coap://127.0.0.1:{port}/{path}"],
        check=True,
        timeout=20,
        stdout=subprocess.DEVNULL,
    )


def test_an_observed_coap_resource_is_a_source(
    bundle: Path, coap_server: int, tmp_path: Path
) -> None:
    pytest.importorskip("aiocoap", reason="absent: aiocoap (extra coap)")
    file = tmp_path / "coap.toml"
    file.write_text(f"""
[[stream]]
model = "{bundle}"
rule = {{confirm = 1}}

[stream.source]
kind = "coap"
url = "coap://127.0.0.1:{coap_server}/imu"
columns = {{ax = "0"}}
rate_hz = 20

[[stream.sinks]]
kind = "sqlite"
path = "results.db"
""")
    database = tmp_path / "results.db"
    put(coap_server, "imu", "0.5")
    with streaming(file) as process:

        def notified() -> bool:
            put(coap_server, "imu", json.dumps([[1.0]] * 12))
            time.sleep(0.3)
            return bool(rows_of(database))

        wait_for(notified, "a result")
        _, stderr = stop(process)
    assert process.returncode == 0, stderr
    assert rows_of(database)[0] == ("up", "up")


def test_one_process_serves_and_streams_and_a_time_series_database_gets_lines(
    bundle: Path, tmp_path: Path
) -> None:
    rows = "".join(f"{n * 50},{1 if n < 20 else -1}\n" for n in range(40))
    (tmp_path / "imu.csv").write_text("t,ax\n" + rows)
    (tmp_path / "token").write_text("sesame\n")
    taken: list[tuple[str, bytes]] = []

    async def handle(request: Request) -> Response:
        taken.append((request.headers.get("authorization", ""), request.body))
        return Response(status=204)

    async def run() -> tuple[int, str, str]:
        database = await start_server(handle, clock=SystemClock())
        port = free_port()
        file = tmp_path / "both.toml"
        file.write_text(f"""
[serve]
http = "127.0.0.1:{port}"

[[stream]]
model = "{bundle}"
hop = 10
source = {{kind = "file", path = "imu.csv", time = "t", time_unit = "ms", speed = 0.2}}
sinks = [{{kind = "influx", url = "{database.address}/write?db=x", token_file = "token"}}]
""")
        try:
            with streaming(file) as process:
                async with Client(f"http://127.0.0.1:{port}") as client:
                    window = {"x": [[1.0]] * 10}
                    answer = await client.request(
                        "POST", "/infer", body=json.dumps(window).encode()
                    )
                while len(taken) < 1:  # noqa: ASYNC110 - another process is waited for
                    await asyncio.sleep(0.05)
                async with Client(f"http://127.0.0.1:{port}") as client:
                    page = (await client.request("GET", "/metrics")).body.decode()
                process.send_signal(signal.SIGTERM)
                _, stderr = await asyncio.to_thread(process.communicate)
                assert process.returncode == 0, stderr
        finally:
            await database.close()
        return answer.status, json.dumps(json.loads(answer.body)), page

    status, body, page = asyncio.run(asyncio.wait_for(run(), 60))
    assert status == 200
    assert 'edgewright_requests_total{model="updown",version="1"} 1\n' in page
    assert 'edgewright_stream_answers_total{stream="0",model="updown"} ' in page
    assert 'edgewright_stream_sink_delivered_total{stream="0",model="updown",sink="0"} ' in page
    assert json.loads(body)["p"][1] > 0.99
    authorization, lines = taken[0]
    assert authorization == "Token sesame"
    assert lines.startswith(b'edgewright,model=updown label="up",')
    assert lines.splitlines()[0].endswith(b" 450000000")


def test_each_stream_runs_the_version_that_it_names_when_one_process_serves_both(
    bundle: Path, tmp_path: Path
) -> None:
    other = updown_bundle(tmp_path, version="2", gain=-9)
    (tmp_path / "imu.csv").write_text("t,ax\n" + "".join(f"{n / 20},1\n" for n in range(20)))
    text = '[serve]\nhttp = "127.0.0.1:0"\n'
    for place, model in enumerate((bundle, other)):
        text += f"""
[[stream]]
model = "{model}"
source = {{kind = "file", path = "imu.csv"}}
sinks = [{{kind = "file", path = "{place}.jsonl"}}]
"""
    file = tmp_path / "versions.toml"
    file.write_text(text)
    with streaming(file) as process:
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    for place, label in enumerate(("up", "down")):
        lines = (tmp_path / f"{place}.jsonl").read_text().splitlines()
        assert {json.loads(line)["label"] for line in lines} == {label}

    (tmp_path / "twin").mkdir()
    twin = updown_bundle(tmp_path / "twin", gain=-9)
    file.write_text(text.replace(str(other), str(twin)))
    done = subprocess.run(
        [sys.executable, "-m", "edgewright", "stream", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "are both version '1' of 'updown'" in done.stderr
