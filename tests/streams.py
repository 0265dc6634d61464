"""What tests of `edgewright stream FILE.toml` share: a model of known weights, and the process."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edgewright.bundle import Draft, build_bundle
from edgewright.contract import Channel, Contract, Softmax, Tensor
from edgewright.runtimes.base import EngineTensor
from edgewright.runtimes.reference import Graph, Layer, write_reference


def updown_bundle(folder: Path, *, version: str = "1", gain: float = 9) -> Path:
    """Says "up" where the mean of ax (in g) over 10 samples at 20 Hz is above 0, else "down"; the
    other way round with a gain below 0.
    """
    graph = Graph(
        inputs=(EngineTensor(name="imu", dtype="float32", shape=(None, 10, 1)),),
        outputs=(EngineTensor(name="p", dtype="float32", shape=(None, 2)),),
        layers=(
            Layer(op="mean", inputs=("imu",), output="m", numbers={"axis": 1}),
            Layer(op="linear", inputs=("m",), output="p", weights={"weight": "w"}),
        ),
    )
    write_reference(folder / "m.npz", graph, {"w": np.array([[-gain], [gain]], np.float32)})
    channel = Channel(name="ax", unit="g", low=-4.0, high=4.0)
    shape = ("batch", 10, 1)
    contract = Contract(
        inputs=(Tensor(name="imu", dtype="float32", shape=shape, channels=(channel,)),),
        outputs=(Tensor(name="p", dtype="float32", shape=("batch", 2)),),
        postprocess=(Softmax(tensor="p"),),
        labels=("down", "up"),
        rate_hz=20.0,
    )
    draft = Draft(
        name="updown", version=version, format="reference", precision="fp32", contract=contract
    )
    path = folder / f"updown-{version}.ewb"
    build_bundle(path, draft, [("model", "m.npz", (folder / "m.npz").read_bytes())])
    return path


@contextlib.contextmanager
def streaming(file: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`edgewright stream FILE`, ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "edgewright", "stream", str(file), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        said = []
        while not (said and said[-1].startswith("ready")):
            said.append(process.stderr.readline())
            assert said[-1], said
        yield process
    finally:
        process.kill()
        process.communicate()


def stop(process: subprocess.Popen[str]) -> tuple[str, str]:
    process.send_signal(signal.SIGTERM)
    return process.communicate(timeout=60)


def wait_for(is_true: Callable[[], bool], what: str) -> None:
    for _ in range(600):
        if is_true():
            return
        time.sleep(0.05)
    pytest.fail(f"{what} did not happen")
