"""Foreign clients, unchanged, each in a venv of its own: NVIDIA's tritonclient over HTTP and gRPC,
its perf_analyzer, KServe's REST client.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from tests.own_python import python_with

from edgewright.testing.bundles import MODEL, build_tiny

pillow = pytest.importorskip("PIL.Image", reason="absent: pillow (extra vision)")

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

CLIENT = """
import sys
import numpy as np
import tritonclient.grpc as grpc
import tritonclient.http as http

addresses = {http: sys.argv[1], grpc: sys.argv[2]}
model = sys.argv[3]
row = np.array([[1, 2, 3, 4]], np.float32)
answers = []
for module, address in addresses.items():
    client = module.InferenceServerClient(address)
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(model)
    client.get_server_metadata()
    client.get_model_metadata(model)
    client.get_model_config(model)
    client.get_model_repository_index()
    for binary in (True, False) if module is http else (None,):
        tensor = module.InferInput("x", [1, 4], "FP32")
        output = module.InferRequestedOutput("y")
        if binary is None:
            tensor.set_data_from_numpy(row)
        else:
            tensor.set_data_from_numpy(row, binary_data=binary)
            output = module.InferRequestedOutput("y", binary_data=not binary)
        answer = client.infer(model, [tensor], outputs=[output], request_id="9")
        answers.append(answer.as_numpy("y"))
        best = module.InferRequestedOutput("y", class_count=1)
        assert client.infer(model, [tensor], outputs=[best]).as_numpy("y").dtype == object
    client.get_inference_statistics(model)
    try:
        client.infer("nope", [tensor])
    except module.InferenceServerException as error:
        assert "nope" in error.message()
    else:
        raise SystemExit("an unknown model answered")
for answer in answers:
    np.testing.assert_allclose(answer, answers[0], rtol=1e-6)
print(len(answers))
"""


PICTURES = """
import base64
import sys
import numpy as np
import tritonclient.grpc as grpc
import tritonclient.http as http

file = open(sys.argv[3], "rb").read()
found = []
for module, address, content, options in (
    (http, sys.argv[1], file, {"binary_data": True}),
    (http, sys.argv[1], base64.b64encode(file), {"binary_data": False}),
    (grpc, sys.argv[2], file, {}),
):
    tensor = module.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([content], dtype=object), **options)
    answer = module.InferenceServerClient(address).infer("colours", [tensor])
    found.append(answer.as_numpy("mean").tolist())
assert found[0] == found[1] == found[2], found
print(found[0])
"""

KSERVE = """
import asyncio
import sys
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

address, model = sys.argv[1], sys.argv[2]
row = np.array([[1, 2, 3, 4]], np.float32)

async def ask():
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=1))
    assert await client.is_server_live(address) and await client.is_server_ready(address)
    assert await client.is_model_ready(address, model)
    answers = []
    for binary in (False, True):
        tensor = InferInput("x", [1, 4], "FP32")
        tensor.set_data_from_numpy(row, binary_data=binary)
        request = InferRequest(model_name=model, infer_inputs=[tensor])
        answer = await client.infer(address, request, model_name=model)
        answers.append(answer.outputs[0].as_numpy())
    await client.close()
    np.testing.assert_allclose(answers[0], answers[1], rtol=1e-6)
    print(len(answers))

asyncio.run(ask())
"""


@contextmanager
def served(folder: Path, *words: str | Path) -> Iterator[list[str]]:
    """Where a server of the tiny model, and of others, listens."""
    build_tiny(folder / "tiny.ewb")
    command = [sys.executable, "-m", "edgewright", "serve", str(folder / "tiny.ewb"), "--json"]
    process = subprocess.Popen(
        [*command, "--http", "127.0.0.1:0", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["addresses"]
    finally:
        process.terminate()
        process.communicate(timeout=60)


def build_colours(path: Path) -> Path:
    """A model of pictures: the mean of each colour."""
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2], keepdims=0),
    ]
    sizes = ["batch", "height", "width", 3]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, sizes)
    mean = helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["batch", 3])
    graph = helper.make_graph(nodes, "colours", [image], [mean])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
              str(path))  # fmt: skip
    return path


def build_double(path: Path) -> Path:
    """A model of any four numbers."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "double", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
              str(path))  # fmt: skip
    return path


def run_client(python: Path, script: str, *words: str) -> str:
    done = subprocess.run(
        [str(python), "-c", script, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_tritonclient_works_unchanged(tmp_path: Path) -> None:
    pytest.importorskip("grpc", reason="absent: grpcio (extra grpc)")
    python = python_with(tmp_path / "venv", "tritonclient[http,grpc]")
    picture = tmp_path / "green.png"
    pillow.new("RGB", (8, 6), (0, 200, 0)).save(picture)
    words = (build_colours(tmp_path / "colours.onnx"), "--grpc", "127.0.0.1:0")
    with served(tmp_path, *words) as addresses:
        http, grpc = (address.partition("//")[2] for address in addresses)
        assert run_client(python, CLIENT, http, grpc, MODEL) == "3"
        assert run_client(python, PICTURES, http, grpc, str(picture)) == "[[0.0, 200.0, 0.0]]"


def test_the_rest_client_of_kserve_works_unchanged(tmp_path: Path) -> None:
    python = python_with(tmp_path / "venv", "kserve")
    with served(tmp_path) as (address,):
        assert run_client(python, KSERVE, address, MODEL) == "2"


def test_perf_analyzer_works_unchanged(tmp_path: Path) -> None:
    pytest.importorskip("grpc", reason="absent: grpcio (extra grpc)")
    # The last wheel that has the program inside; it is linked against a CUDA library that it does
    # not use here.
    python = python_with(tmp_path / "venv", "tritonclient==2.41.0", "nvidia-cuda-runtime-cu12")
    program = python.with_name("perf_analyzer")
    (library,) = (tmp_path / "venv").glob("lib/python*/site-packages/nvidia/cuda_runtime/lib")
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library)}
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, env=environment,
                            check=True).stdout  # fmt: skip
    if "not found" in linked:
        pytest.skip("absent: a library of perf_analyzer (Debian package libb64-0d)")
    # It sends random values of a normal distribution, which the tiny model's range would refuse.
    model = build_double(tmp_path / "double.onnx")
    with served(tmp_path, model, "--grpc", "127.0.0.1:0") as addresses:
        for protocol, address in zip(("http", "grpc"), addresses, strict=True):
            words = ["-m", model.stem, "-u", address.partition("//")[2], "-i", protocol,
                     "--measurement-mode", "count_windows", "--measurement-request-count", "20",
                     "-s", "999", "-r", "3", "--concurrency-range", "2"]  # fmt: skip
            done = subprocess.run([program, *words], capture_output=True, text=True, timeout=120,
                                  env=environment, check=False)  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
            assert "Throughput: " in done.stdout
            assert int(done.stdout.split("Successful request count: ")[1].split()[0]) >= 20
            assert "compute infer" in done.stdout  # what the server's statistics say
