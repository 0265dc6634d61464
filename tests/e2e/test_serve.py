"""`edgewright serve` as its users meet it: processes, real sockets, signals, bad neighbours."""

import asyncio
import contextlib
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgewright.bundle import unpack
from edgewright.device.drift import build_reference
from edgewright.device.drift.files import save_reference
from edgewright.errors import InputError
from edgewright.measure.procfs import read_process
from edgewright.testing.bundles import MODEL, build_tiny, no_model, not_finite, wrong_output
from edgewright.testing.tls import certificate
from edgewright.transports.http1 import Client
from edgewright.transports.inference import InferenceClient

pytestmark = pytest.mark.timeout(180)

SERVE = [sys.executable, "-m", "edgewright", "serve"]
INFER = f"/v2/models/{MODEL}/infer"
BODY = json.dumps(
    {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}
).encode()


class Served:
    """A running `edgewright serve --json`."""

    def __init__(self, *words: str | Path, before: str = "") -> None:
        command = [*SERVE, *map(str, words), "--json"]
        if before:
            command = ["bash", "-c", f'{before} && exec "$@"', "bash", *command]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1].decode()
        self.document = json.loads(line)
        self.address = str(self.document["address"])
        self.port = int(self.address.rpartition(":")[2]) if "http" in self.address else 0

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Its exit code and what it said on stderr."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said.decode()


Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers on free ports and ends them after the test."""
    running: list[Served] = []

    def start(*words: str | Path, http: str | None = "127.0.0.1:0", before: str = "") -> Served:
        running.append(Served(*words, *(["--http", http] if http else []), before=before))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    build_tiny(tmp_path / "tiny.ewb")
    return tmp_path / "tiny.ewb"


def double_onnx(path: Path, *shape: int) -> Path:
    sizes = ["n", *(shape or (2,))]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "double",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, sizes)],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10),
        str(path),
    )
    return path


async def post(client: Client, path: str, body: bytes = BODY) -> tuple[int, Any]:
    answer = await client.request("POST", path, body=body)
    return answer.status, json.loads(answer.body)


async def one_answer(served: Served, path: str = INFER, body: bytes = BODY) -> tuple[int, Any]:
    async with Client(served.address) as client:
        return await post(client, path, body)


def test_bundle_unpacked_bundle_and_bare_model_are_served_together(
    serve: Serve, bundle: Path, tmp_path: Path
) -> None:
    build_tiny(tmp_path / "other.ewb", name="other", seed=4)
    unpack(tmp_path / "other.ewb", tmp_path / "folder")
    served = serve(bundle, tmp_path / "folder", double_onnx(tmp_path / "double.onnx"))
    assert served.document["models"] == ["tiny 1", "other 1", "double 1"]

    async def case() -> None:
        async with Client(served.address) as client:
            assert (await client.request("GET", "/readyz")).status == 200
            assert (await post(client, INFER))[0] == 200
            assert (await post(client, "/v2/models/other/infer"))[0] == 200
            tensor = {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]}
            body = json.dumps({"inputs": [tensor]}).encode()
            status, document = await post(client, "/v2/models/double/infer", body)
            assert (status, document["outputs"][0]["data"]) == (200, [2, 4, 6, 8])
            config = await client.request("GET", "/v2/models/double/config")
            assert json.loads(config.body)["parameters"]["signed"]["string_value"] == "false"

    asyncio.run(case())
    code, said = served.end()
    assert code == 0
    assert said.startswith("ready: tiny 1, other 1, double 1 on http://127.0.0.1:")


def test_unix_socket_alone_is_enough_and_is_removed_at_the_end(
    serve: Serve, bundle: Path, tmp_path: Path
) -> None:
    path = tmp_path / "serve.sock"
    served = serve(bundle, "--uds", path, http=None)
    assert served.document["addresses"] == [f"unix:{path}"]

    async def case() -> None:
        async with Client(uds=path) as client:
            assert (await post(client, INFER))[0] == 200

    asyncio.run(case())
    assert served.end(signal.SIGINT)[0] == 130
    assert not path.exists()


@pytest.mark.parametrize(
    ("change", "code", "complaint"),
    [
        (wrong_output, 6, "does not give its golden answers"),
        (not_finite, 6, "NaN or infinity"),
        (no_model, 2, "not an npz file"),
    ],
)
def test_bad_model_is_never_served(tmp_path: Path, change: Any, code: int, complaint: str) -> None:
    build_tiny(tmp_path / "bad.ewb", change=change)
    assert_refused([str(tmp_path / "bad.ewb")], code, complaint)


def test_wrong_command_lines_end_with_a_sentence_and_a_code(bundle: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.ewb"
    content = bytearray(bundle.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    (tmp_path / "model.txt").write_text("text")
    assert_refused([], 2, "nothing to serve")
    assert_refused([str(tmp_path / "absent.onnx")], 2, "no such file")
    assert_refused([str(tmp_path / "model.txt")], 2, "unknown kind of model file")
    assert_refused([str(damaged)], 5, "")
    assert_refused([str(bundle), "--http", "nowhere"], 2, "HOST:PORT")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_refused([str(bundle), "--http", f"127.0.0.1:{port}"], 8, "in use")


def assert_refused(words: list[str], code: int, complaint: str) -> None:
    if "--http" not in words:
        words = [*words, "--http", "127.0.0.1:0"]
    done = subprocess.run([*SERVE, *words], capture_output=True, check=False, timeout=60)
    said = done.stderr.decode()
    assert done.returncode == code, said
    assert said.startswith("error: ")
    assert complaint in said
    assert said.count("\n") == 1


def test_swaps_under_load_lose_no_request_and_refuse_bad_bundles(
    serve: Serve, bundle: Path, tmp_path: Path
) -> None:
    admin = tmp_path / "admin"
    build_tiny(tmp_path / "2.ewb", version="2")
    build_tiny(tmp_path / "bad.ewb", version="3", change=wrong_output)
    served = serve(bundle, "--admin", admin)
    expected = {
        version: asyncio.run(one_answer(serve(path)))[1]["outputs"][0]["data"]
        for version, path in (("1", bundle), ("2", tmp_path / "2.ewb"))
    }

    async def swap() -> None:
        load = f"/v2/repository/models/{MODEL}/load"
        async with Client(uds=admin) as client:
            for number in range(30):
                path = str(tmp_path / "2.ewb" if number % 2 == 0 else bundle)
                assert (await post(client, load, json.dumps({"path": path}).encode()))[0] == 200
            bad = json.dumps({"path": str(tmp_path / "bad.ewb")}).encode()
            status, document = await post(client, load, bad)
            assert (status, "golden answers" in document["error"]) == (500, True)

    async def ask(swapping: "asyncio.Task[None]") -> set[str]:
        seen = set()
        async with Client(served.address) as client:
            while not swapping.done():
                status, document = await post(client, INFER)
                assert status == 200
                data = document["outputs"][0]["data"]
                assert data == pytest.approx(expected[document["model_version"]], abs=1e-5)
                seen.add(document["model_version"])
        return seen

    async def case() -> None:
        swapping = asyncio.create_task(swap())
        seen = await asyncio.gather(*(ask(swapping) for _ in range(8)))
        await swapping
        assert set.union(*seen) == {"1", "2"}

    asyncio.run(case())
    assert served.end()[0] == 0


def test_bad_neighbours_do_not_keep_others_from_their_answers(serve: Serve, bundle: Path) -> None:
    served = serve(bundle)
    chance = random.Random(5)
    whole = b"POST %b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b" % (
        INFER.encode(),
        len(BODY),
        BODY,
    )
    assert asyncio.run(one_answer(served))[0] == 200
    before = read_process(served.process.pid)

    def misbehave(number: int) -> bytes:
        kinds = (
            chance.randbytes(200),
            whole[: chance.randrange(1, len(whole))],
            whole.replace(b"Content-Length: ", b"Content-Length: 9"),
            whole.replace(b"Host: h\r\n", b"Host: h\r\nTransfer-Encoding: chunked\r\n"),
            b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000,
            whole * 20,
            whole.replace(b'"FP32"', b'"\xff32"'),
        )
        return kinds[number % len(kinds)]

    async def neighbour(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(misbehave(number))
        with contextlib.suppress(OSError, TimeoutError):
            await writer.drain()
            async with asyncio.timeout(chance.random() * 0.02):
                await reader.read(1)
        writer.transport.abort()

    async def case() -> None:
        async with Client(served.address) as client:
            for _ in range(10):
                await asyncio.gather(*(neighbour(number) for number in range(50)))
                assert (await post(client, INFER))[0] == 200
            for _ in range(100):
                page = (await client.request("GET", "/metrics")).body.decode()
                if "edgewright_connections 1\n" in page:
                    return
                await asyncio.sleep(0.05)
            pytest.fail(page)

    asyncio.run(case())
    after = read_process(served.process.pid)
    assert (after.open_files or 0) <= (before.open_files or 0) + 1
    assert after.memory_bytes - before.memory_bytes < 8 << 20
    code, said = served.end()
    assert (code, said.count("\n")) == (0, 1)
    assert said.startswith(f"ready: tiny 1 on {served.address}")


def reference_file(path: Path) -> Path:
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 6, (600, 1, 1)) + np.arange(20)[:, None] * [0.5, 1.0]
    windows = np.sin(phase) + rng.normal(0, 0.1, (600, 20, 2))
    save_reference(build_reference(windows, channels=("ax", "ay"), rng=rng), path)
    return path


def test_drift_of_a_models_inputs_is_on_the_metrics_page(serve: Serve, tmp_path: Path) -> None:
    reference = reference_file(tmp_path / "reference.npz")
    model = double_onnx(tmp_path / "double.onnx", 20, 2)
    served = serve(model, "--drift", f"double={reference}")
    values = np.random.default_rng(1).normal(5, 1, (32, 20, 2)).ravel().tolist()
    tensor = {"name": "x", "datatype": "FP32", "shape": [32, 20, 2], "data": values}
    body = json.dumps({"inputs": [tensor]}).encode()

    async def case() -> None:
        async with Client(served.address) as client:
            assert (await post(client, "/v2/models/double/infer", body))[0] == 200
            for _ in range(100):
                page = (await client.request("GET", "/metrics")).body.decode()
                if 'edgewright_drift_windows_total{model="double",version="1"} 32' in page:
                    break
                await asyncio.sleep(0.1)
            mean = 'edgewright_tensor_mean{model="double",version="1",tensor="x",channel="0"} '
            assert float(page.split(mean)[1].split()[0]) == pytest.approx(5, abs=0.2)

    asyncio.run(case())


def test_reference_is_found_by_the_name_that_is_served_or_inside_the_bundle(
    serve: Serve, tmp_path: Path
) -> None:
    reference = reference_file(tmp_path / "reference.npz")
    model = double_onnx(tmp_path / "double.onnx", 20, 2)
    bundle, admin = tmp_path / "own.ewb", tmp_path / "admin.sock"
    build = [sys.executable, "-m", "edgewright", "bundle", "build", "--model", str(model),
             "--drift", str(reference), "--name", "own", "--version", "1",
             "--out", str(bundle)]  # fmt: skip
    subprocess.run(build, check=True, capture_output=True)
    words = ("--drift", f"renamed={reference}", "--admin", str(admin))
    served = serve(bundle, *words)

    async def case() -> str:
        async with Client(uds=admin) as client:
            order = json.dumps({"path": str(model)}).encode()
            for name in ("renamed", "plain"):
                assert (await post(client, f"/v2/repository/models/{name}/load", order))[0] == 200
        async with Client(served.address) as client:
            return (await client.request("GET", "/metrics")).body.decode()

    page = asyncio.run(case())
    judged = re.findall(r'^edgewright_drift_windows_total{model="(\w+)"', page, re.MULTILINE)
    assert sorted(judged) == ["own", "renamed"]


def test_reference_of_a_model_that_is_not_served_is_refused(tmp_path: Path) -> None:
    reference = reference_file(tmp_path / "reference.npz")
    model = double_onnx(tmp_path / "double.onnx", 20, 2)
    words = [*SERVE, model, "--http", "127.0.0.1:0", "--drift", f"other={reference}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "a reference names model 'other', which is not served" in done.stderr


def test_reference_of_other_windows_is_refused(tmp_path: Path) -> None:
    reference = reference_file(tmp_path / "reference.npz")
    model = double_onnx(tmp_path / "double.onnx", 30, 2)
    words = [*SERVE, model, "--http", "127.0.0.1:0", "--drift", f"double={reference}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "the reference has windows [20, 2], input 'x' of model 'double' is" in done.stderr


def test_ensemble_of_a_file_is_served_like_a_model(serve: Serve, tmp_path: Path) -> None:
    double_onnx(tmp_path / "double.onnx")
    (tmp_path / "chain.toml").write_text(
        """
        name = "fourfold"
        version = "3"
        [contract]
        inputs = [{ name = "x", dtype = "float32", shape = ["batch", 2], high = 100.0 }]
        outputs = [{ name = "y", dtype = "float32", shape = ["batch", 2] }]
        [[stages]]
        model = "double.onnx"
        outputs = { y = "twice" }
        [[stages]]
        model = "double.onnx"
        inputs = { x = "twice" }
        """,
        encoding="utf-8",
    )
    served = serve(tmp_path / "chain.toml")
    assert served.document["models"] == ["fourfold 3"]
    path = "/v2/models/fourfold/infer"
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2.5]}
    status, document = asyncio.run(
        one_answer(served, path, json.dumps({"inputs": [tensor]}).encode())
    )
    assert (status, document["outputs"][0]["data"]) == (200, [4, 10])
    tensor["data"] = [1, 101]
    assert (
        asyncio.run(one_answer(served, path, json.dumps({"inputs": [tensor]}).encode()))[0] == 400
    )


def test_typed_client_asks_over_a_socket_with_its_key(
    serve: Serve, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "keys").write_text("a-key-that-is-long-enough", encoding="ascii")
    served = serve(bundle, "--uds", tmp_path / "s", "--api-keys", tmp_path / "keys", http=None)
    with InferenceClient(f"unix:{tmp_path / 's'}") as stranger:
        assert stranger.is_ready()
        with pytest.raises(InputError, match="API key"):
            stranger.models()
    with InferenceClient(f"unix:{tmp_path / 's'}", api_key="a-key-that-is-long-enough") as client:
        assert [model.state for model in client.models()] == ["READY"]
        assert client.server().name == "edgewright"
        answer = client.infer(MODEL, {"x": [[1, 2, 3, 4]]}, version="1", request_id="r")
        again = client.infer(MODEL, {"x": np.array([[1, 2, 3, 4]])}, outputs=list(answer.outputs))
        assert (answer.model, answer.version, answer.id) == (MODEL, "1", "r")
        for name, array in answer.outputs.items():
            np.testing.assert_array_equal(array, again.outputs[name])
        assert client.statistics(MODEL).inference_count == 2
        with pytest.raises(InputError, match="'nope'"):
            client.infer("nope", {})
    assert served.end()[0] == 0


def test_terminated_server_answers_what_it_was_asked(serve: Serve, bundle: Path) -> None:
    served = serve(bundle)

    statuses: list[int] = []

    async def case() -> None:
        async def ask() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            message = b"POST %b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b" % (
                INFER.encode(),
                len(BODY),
                BODY,
            )
            while True:
                writer.write(message)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                statuses.append(int(head.split()[1]))
                if b"connection: close" in head:
                    writer.close()
                    return

        asking = [asyncio.create_task(ask()) for _ in range(8)]
        while len(statuses) < 100:  # noqa: ASYNC110 - in the middle of their questions
            await asyncio.sleep(0.01)
        served.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*asking)

    asyncio.run(case())
    assert set(statuses) == {200}
    assert served.process.wait(30) == 0


def test_server_starts_quickly_and_stays_small(serve: Serve, tmp_path: Path) -> None:
    """The goals are 0.5 s and 65 MB on a quiet machine; this one may be shared, so CPU counts."""
    model = double_onnx(tmp_path / "double.onnx")
    served = serve(model)
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    body = json.dumps({"inputs": [tensor]}).encode()
    status, _ = asyncio.run(one_answer(served, "/v2/models/double/infer", body))
    assert status == 200
    process = read_process(served.process.pid)
    assert process.cpu_s < 2
    assert process.memory_bytes < 100e6


def test_answers_are_exact_in_json_and_binary(serve: Serve, bundle: Path) -> None:
    served = serve(bundle)

    async def case() -> None:
        generator = np.random.default_rng(3)
        async with Client(served.address) as client:
            rows = generator.uniform(-1, 1, (5, 4)).astype(np.float32)
            shape = {"name": "x", "datatype": "FP32", "shape": [5, 4]}
            in_json = json.dumps({"inputs": [{**shape, "data": rows.tolist()}]}).encode()
            _, document = await post(client, INFER, in_json)
            text = json.dumps(
                {
                    "inputs": [{**shape, "parameters": {"binary_data_size": rows.nbytes}}],
                    "parameters": {"binary_data_output": True},
                }
            ).encode()
            answer = await client.request(
                "POST",
                INFER,
                headers={"inference-header-content-length": str(len(text))},
                body=text + rows.tobytes(),
            )
            length = int(answer.headers["inference-header-content-length"])
            binary = np.frombuffer(answer.body[length:], np.float32)
            assert answer.headers["content-type"] == "application/octet-stream"
            assert binary.tolist() == np.float32(document["outputs"][0]["data"]).tolist()

    asyncio.run(case())


def test_a_model_with_a_limit_of_memory_runs_by_itself_and_comes_back(
    serve: Serve, bundle: Path, tmp_path: Path
) -> None:
    model = double_onnx(tmp_path / "double.onnx")
    limits = ("--limit", f"{MODEL}=memory_mb:700,queue:8", "--limit", "double=memory_mb:700")
    served = serve(bundle, model, *limits)
    threads = Path(f"/proc/{served.process.pid}/task").glob("*/children")
    children = sorted(int(pid) for file in threads for pid in file.read_text().split())
    assert len(children) == 2
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2.5]}
    body = json.dumps({"inputs": [tensor]}).encode()

    async def case() -> None:
        async with Client(served.address) as client:
            assert (await post(client, INFER))[0] == 200
            answer = await post(client, "/v2/models/double/infer", body)
            assert answer[1]["outputs"][0]["data"] == [2, 5]
            os.kill(children[0], signal.SIGKILL)
            statuses = []
            for _ in range(4000):
                statuses.append((await post(client, INFER))[0])
                assert (await post(client, "/v2/models/double/infer", body))[0] == 200
                if statuses[-1] == 200 and 503 in statuses:
                    break
                await asyncio.sleep(0.02)
            assert set(statuses) == {200, 503}
            page = (await client.request("GET", "/metrics")).body.decode()
            restarts = "edgewright_model_restarts_total"
            assert f'{restarts}{{model="{MODEL}",version="1"}} 1\n' in page
            assert f'{restarts}{{model="double",version="1"}} 0\n' in page

    asyncio.run(case())
    assert served.end()[0] == 0


def test_limits_that_cannot_be_kept_are_refused(bundle: Path, tmp_path: Path) -> None:
    assert_refused([str(bundle), "--limit", f"{MODEL}=memory_mb:3"], 6, "its limit is 3 MB")
    assert_refused([str(bundle), "--limit", "nope=queue:3"], 2, "which is not served")
    assert_refused([str(bundle), "--limit", f"{MODEL}=memry_mb:3"], 2, "did you mean 'memory_mb'")
    assert_refused([str(bundle), "--limit", f"{MODEL}=queue:0"], 2, "expected a positive number")
    twice = f"{MODEL}=queue:1,queue:2"
    assert_refused([str(bundle), "--limit", twice], 2, "queue is given twice; for example")
    assert_refused([str(bundle), "--split", f"{MODEL}=1:x"], 2, "could not convert string")
    assert_refused([str(bundle), "--split", f"{MODEL}=1:1,2:1"], 2, "no version '2'")


def test_a_name_that_no_path_can_hold_is_refused(tmp_path: Path) -> None:
    stage = '[[stages]]\nmodel = "double.onnx"\n'
    tensor = '[{ name = "x", dtype = "float32", shape = ["batch", 2] }]'
    contract = f"[contract]\ninputs = {tensor}\noutputs = {tensor}\n"
    for fault in ('name = "a/b"\n', 'name = "a"\nversion = "1 2"\n'):
        (tmp_path / "chain.toml").write_text(f"{fault}{contract}{stage}", encoding="utf-8")
        assert_refused([str(tmp_path / "chain.toml")], 2, "expected 1 to 128 of letters, digits")


def test_wiring_that_does_not_fit_is_named_by_its_file(tmp_path: Path) -> None:
    double_onnx(tmp_path / "double.onnx")
    tensor = '[{ name = "a", dtype = "float32", shape = ["batch", 2] }]'
    (tmp_path / "chain.toml").write_text(
        f'name = "a"\n[contract]\ninputs = {tensor}\noutputs = {tensor}\n'
        '[[stages]]\nmodel = "double.onnx"\n',
        encoding="utf-8",
    )
    fault = f"{tmp_path / 'chain.toml'}: stage 1 (double.onnx) reads tensor 'x'"
    assert_refused([str(tmp_path / "chain.toml")], 2, fault)


def test_tls_files_that_are_none_are_named(bundle: Path, tmp_path: Path) -> None:
    pem, _ = certificate(tmp_path)
    (tmp_path / "others").mkdir()
    other, _ = certificate(tmp_path / "others")
    pair = ["--tls-cert", str(pem), "--tls-key"]
    serve = [str(bundle), "--http", "127.0.0.1:0"]
    assert_refused([*serve, *pair, str(other)], 2, "the key is another certificate's")
    assert_refused([*serve, *pair, "no.pem"], 2, f"{pem} and no.pem: one cannot be read: No such")
    no_ca = [*serve, *pair, str(pem), "--client-ca"]
    assert_refused([*no_ca, str(bundle)], 2, f"TLS authority {bundle}: there is no certificate")


def test_client_in_c_gets_the_models_answer(serve: Serve, bundle: Path, tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("absent: gcc (Debian package gcc)")
    source = Path(__file__).parents[2] / "docs" / "examples" / "infer.c"
    words = ["gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-o", tmp_path / "infer", source]
    subprocess.run(words, check=True)
    served = serve(bundle)

    def ask(*numbers: str) -> "subprocess.CompletedProcess[str]":
        words = [tmp_path / "infer", "127.0.0.1", str(served.port), MODEL, "x", *numbers]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    expected = asyncio.run(one_answer(served))[1]["outputs"][0]["data"]
    found = ask("1", "2", "3", "4")
    assert [float(line) for line in found.stdout.split()] == pytest.approx(expected, abs=1e-6)
    refused = ask("1", "2")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "shape" in refused.stderr


def test_silent_peers_over_tls_leave_a_file_for_who_has_something_to_ask(
    serve: Serve, bundle: Path, tmp_path: Path
) -> None:
    pem, _ = certificate(tmp_path)
    served = serve(bundle, "--tls-cert", pem, "--tls-key", pem)
    pid = served.process.pid
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (files + 30, files + 30))
    tls = ssl.create_default_context(cafile=str(pem))
    with contextlib.ExitStack() as peers:
        for _ in range(100):
            peers.enter_context(socket.create_connection(("127.0.0.1", served.port)))
        for _ in range(3):
            with InferenceClient(f"https://localhost:{served.port}", tls=tls) as client:
                answer = client.infer(MODEL, {"x": np.ones((1, 4), np.float32)})
                assert answer.outputs
    code, said = served.end()
    assert code == 0
    assert "Traceback" not in said


@pytest.mark.parametrize(("before", "warns"), [("ulimit -Sn 200", False), ("ulimit -n 200", True)])
@pytest.mark.parametrize("with_tls", [False, True])
def test_silent_peers_leave_a_place_where_few_files_may_be_open(
    serve: Serve, bundle: Path, tmp_path: Path, *, with_tls: bool, before: str, warns: bool
) -> None:
    """Shells start programs with few, and let each ask for more, or not."""
    pem, _ = certificate(tmp_path)
    files = ("--tls-cert", pem, "--tls-key", pem) if with_tls else ()
    served = serve(bundle, *files, before=before)
    tls = ssl.create_default_context(cafile=str(pem)) if with_tls else None
    with contextlib.ExitStack() as peers:
        for _ in range(300):
            peers.enter_context(socket.create_connection(("127.0.0.1", served.port)))
        address = served.address.replace("127.0.0.1", "localhost")
        for _ in range(3):
            with InferenceClient(address, tls=tls) as client:
                assert client.infer(MODEL, {"x": np.ones((1, 4), np.float32)}).outputs
    code, said = served.end()
    assert (code, "fewer peers than asked for" in said) == (0, warns)
