"""Releases to a real MLflow server and back; the server has a Python of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.brokers import wait_until_it_listens
from tests.own_python import python_with

from edgewright.chain.fleet import open_fleet, trust
from edgewright.chain.processes import free_port
from edgewright.testing.fleet import SIGNER, release_file

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

LOG = """
import sys, mlflow
from onnx import TensorProto, helper
mlflow.set_tracking_uri(sys.argv[1])
ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in "xy"]
graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", ends[:1], ends[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
model.ir_version = 10  # the newest that onnx writes is newer than onnxruntime reads
with mlflow.start_run():
    mlflow.onnx.log_model(model, name="m", registered_model_name="elsewhere")
mlflow.MlflowClient().set_registered_model_alias("elsewhere", "champion", "1")
"""


class Server:
    """An MLflow server over a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = python_with(folder / "venv", "mlflow>=3", "onnx", "onnxruntime")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        (folder / "files").mkdir()
        self.process = subprocess.Popen(
            [
                *(self.python.with_name("mlflow"), "server", "--host", "127.0.0.1"),
                *("--port", str(port), "--workers", "1"),
                *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db"),
                *("--artifacts-destination", str(folder / "files")),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def wait(self) -> None:
        wait_until_it_listens(int(self.url.rpartition(":")[2]), seconds=400)

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(30)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("mlflow"))
    try:
        made.wait()
        yield made
    finally:
        made.stop()


def run(*words: str, code: int = 0) -> Any:
    command = [sys.executable, "-m", "edgewright", "release", *words, "--json"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=400)
    assert done.returncode == code, done.stderr.decode()
    return json.loads(done.stdout) if code == 0 else done.stderr.decode()


def test_a_release_goes_to_mlflow_with_its_lineage_and_comes_back_as_it_was(
    server: Server, tmp_path: Path
) -> None:
    home = str(tmp_path / "home")
    (tmp_path / "key.pub").write_text(SIGNER.public.public_hex)
    trust(Path(home), [tmp_path / "key.pub"], threshold=1, by="test")
    bundle_id = release_file(tmp_path / "1.ewb", model="gearbox", version="1")
    with open_fleet(Path(home)) as office:
        office.registry.publish(tmp_path / "1.ewb", by="test")
        office.aliases.propose("gearbox@1", "production", by="ann")
        office.aliases.approve("gearbox@1", "production", by="bob")
    place = ("--mlflow", server.url)
    made = run("mlflow-export", "gearbox@1", *place, "--home", home)
    assert (made["name"], made["version"], made["is_new"]) == ("gearbox", "1", True)
    assert made["aliases"] == ["production"]
    again = run("mlflow-export", "gearbox@1", *place, "--home", home)
    assert (again["version"], again["is_new"]) == ("1", False)

    asked = (
        "import json, sys, mlflow; c = mlflow.MlflowClient(sys.argv[1]); "
        "print(json.dumps(c.get_model_version_by_alias('gearbox', 'production').tags))"
    )
    told = subprocess.check_output([server.python, "-c", asked, server.url], text=True)
    tags = json.loads(told.splitlines()[-1])
    assert tags["edgewright.bundle_id"] == bundle_id
    assert (tags["edgewright.dataset"], tags["edgewright.run"]) == ("d" * 64, "r" * 64)

    back = tmp_path / "back.ewb"
    fetched = run("mlflow-import", "gearbox@production", *place, "--out", str(back))
    assert (fetched["kind"], fetched["bundle_id"]) == ("bundle", bundle_id)
    assert back.read_bytes() == (tmp_path / "1.ewb").read_bytes()
    said = run("mlflow-import", "gearbox/1", *place, "--out", str(back), code=2)
    assert "exists already" in said
    said = run("mlflow-import", "gearbox/9", *place, "--out", str(tmp_path / "x"), code=2)
    assert "not found" in said

    (kept,) = (server.folder / "files").rglob("gearbox.ewb")
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    said = run("mlflow-import", "gearbox/1", *place, "--out", str(tmp_path / "x"), code=5)
    assert "promised was" in said
    assert not (tmp_path / "x").exists()


def test_a_model_that_was_logged_elsewhere_gives_its_onnx_file(
    server: Server, tmp_path: Path
) -> None:
    subprocess.run([server.python, "-c", LOG, server.url], check=True, capture_output=True)
    out = tmp_path / "model.onnx"
    made = run("mlflow-import", "elsewhere@champion", "--mlflow", server.url, "--out", str(out))
    assert (made["kind"], made["version"]) == ("onnx", "1")
    built = [sys.executable, "-m", "edgewright", "bundle", "build", "--model", str(out),
             "--name", "elsewhere", "--version", "1", "--out", str(tmp_path / "e.ewb")]  # fmt: skip
    subprocess.run(built, check=True, capture_output=True)
