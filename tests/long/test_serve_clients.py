"""Foreign clients, unchanged, in a venv of their own: NVIDIA's tritonclient over HTTP and gRPC."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgewright.testing.bundles import MODEL, build_tiny

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


@pytest.fixture(scope="module")
def client_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("triton") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run(
        [str(uv), "pip", "install", "-q", "--python", str(python),
         "tritonclient[http,grpc]"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip("absent: tritonclient (needs a package index)")
    return python


def test_tritonclient_works_unchanged(client_python: Path, tmp_path: Path) -> None:
    pytest.importorskip("grpc", reason="absent: grpcio (extra grpc)")
    build_tiny(tmp_path / "tiny.ewb")
    command = [sys.executable, "-m", "edgewright", "serve", str(tmp_path / "tiny.ewb")]
    process = subprocess.Popen(
        [*command, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        addresses = json.loads(process.stdout.readline())["addresses"]
        http, grpc = (address.partition("//")[2] for address in addresses)
        done = subprocess.run(
            [str(client_python), "-c", CLIENT, http, grpc, MODEL],
            capture_output=True, text=True, check=False, timeout=200,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == "3"
    finally:
        process.terminate()
        process.communicate(timeout=60)
