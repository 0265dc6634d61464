"""Other servers of the same model, each installed into a venv of its own.

Each runs one worker with one-thread sessions, as its own guide says; what cannot be installed or
does not answer rightly is left out and named with the reason.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import msgspec
import numpy as np

from _results import ROOT
from _serving_servers import Server, infer_request, post, started, values_of
from edgewright.errors import TransportError
from edgewright.measure.load import LoadTarget
from edgewright.transports.http1 import Client

APPS = ROOT / "bench" / "peers"
_INSTALL_S = 300
_START_S = 90.0


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """How a server is installed, started and asked."""

    name: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    package: str = ""
    """Its name on the index, where that is another."""
    batch: int = 1
    path: str = "/infer"
    is_v2: bool = False


PEERS = (
    Peer(
        name="fastapi",
        packages=("fastapi", "uvicorn[standard]"),
        command=(
            *("uvicorn", "fastapi_app:app", "--port", "{port}", "--host", "127.0.0.1"),
            *("--log-level", "error", "--no-access-log", "--app-dir", "{apps}"),
        ),
    ),
    Peer(name="litserve", packages=("litserve",), command=("python", "{apps}/litserve_app.py")),
    *(
        Peer(
            name=name,
            package="mosec",
            packages=("mosec",),
            command=(
                *("python", "{apps}/mosec_app.py", "--port", "{port}", "--address", "127.0.0.1"),
                *("--log-level", "error"),
            ),
            path="/inference",
            batch=batch,
        )
        for name, batch in (("mosec", 32), ("mosec_unbatched", 1))
    ),
    Peer(
        name="bentoml",
        packages=("bentoml",),
        command=("bentoml", "serve", "bentoml_app:Service", "--working-dir", "{apps}"),
    ),
    Peer(
        name="mlserver",
        packages=("mlserver",),
        command=("mlserver", "start", "."),
        path="/v2/models/mlp-16/infer",
        is_v2=True,
    ),
)


def install(peer: Peer, venvs: Path) -> str:
    """The installed version, in a venv that is made unless it is there.

    Raises:
        RuntimeError: it cannot be installed here.
    """
    venv = venvs / peer.name
    python = venv / "bin" / "python"
    package = peer.package or peer.name
    uv = [sys.executable, "-m", "uv"]
    versions = [f"{name}=={metadata.version(name)}" for name in ("numpy", "onnxruntime")]
    pip = [*uv, "pip", "install", "-q", "--python", str(python)]
    for command in (
        [*uv, "venv", "-q", "--allow-existing", "--python", sys.executable, str(venv)],
        [*pip, *peer.packages, "numpy", versions[1]],
    ):
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_INSTALL_S
        )
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1][:200])
    shown = subprocess.run(
        [str(python), "-c", f"import importlib.metadata as m; print(m.version('{package}'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return shown.stdout.strip()


@contextmanager
def serving(peer: Peer, venvs: Path, model: Path, folder: Path) -> Iterator[tuple[Server, float]]:
    """The peer at work, and the seconds to its first right answer.

    Raises:
        RuntimeError: none came.
    """
    port = _free_port()
    folder.mkdir(exist_ok=True)
    if peer.name == "mlserver":
        _write_mlserver_settings(folder, port)
    binaries = venvs / peer.name / "bin"
    words = [word.format(port=port, apps=APPS) for word in peer.command]
    environment = {
        "MODEL": str(model),
        "PORT": str(port),
        "BATCH": str(peer.batch),
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "PYTHONPATH": str(APPS),
        "OMP_NUM_THREADS": "1",
        "BENTOML_DO_NOT_TRACK": "true",
        "DO_NOT_TRACK": "1",
    }
    started_s = time.perf_counter()
    command = [str(binaries / words[0]), *words[1:]]
    with started(command, environment=environment, folder=folder, is_mute=True) as process:
        server = Server(process, f"http://127.0.0.1:{port}")
        asyncio.run(_first_answer(peer, server.target, model, process))
        yield server, time.perf_counter() - started_s


def request_of(peer: Peer, target: LoadTarget) -> bytes:
    if peer.is_v2:
        return infer_request(target, "mlp-16")
    return post(target, peer.path, _body(peer))


def _body(peer: Peer) -> bytes:
    values = values_of("mlp-16")
    if not peer.is_v2:
        return json.dumps({"x": values[0].tolist()}).encode()
    tensor = {"name": "x", "shape": values.shape, "datatype": "FP32"}
    return json.dumps({"inputs": [{**tensor, "data": values[0].tolist()}]}).encode()


async def _first_answer(
    peer: Peer, target: LoadTarget, model: Path, process: "subprocess.Popen[bytes]"
) -> None:
    import onnxruntime as ort  # noqa: PLC0415 - only to know the right answer

    expected = ort.InferenceSession(str(model)).run(["y"], {"x": values_of("mlp-16")})[0][0]
    headers = {"content-type": "application/json"}
    end_s, said = time.perf_counter() + _START_S, "nothing"
    while time.perf_counter() < end_s and process.poll() is None:
        try:
            async with Client(target.text) as client:
                answer = await client.request("POST", peer.path, body=_body(peer), headers=headers)
            said = f"{answer.status} {answer.body[:120]!r}"
            if answer.status == 200 and np.allclose(_numbers(answer.body), expected, atol=1e-4):
                return
        except (TransportError, OSError):
            pass
        await asyncio.sleep(0.02)
    raise RuntimeError(f"no right answer in {_START_S:g} s, the last was {said}")


def _numbers(body: bytes) -> list[float]:
    document = json.loads(body)
    return document["outputs"][0]["data"] if "outputs" in document else document["y"]


def _write_mlserver_settings(folder: Path, port: int) -> None:
    settings = {
        "parallel_workers": 0,
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": _free_port(),
        "metrics_port": _free_port(),
        "debug": False,
    }
    (folder / "settings.json").write_text(json.dumps(settings), encoding="ascii")
    model = {"name": "mlp-16", "implementation": "mlserver_app.Runtime"}
    (folder / "model-settings.json").write_text(json.dumps(model), encoding="ascii")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
