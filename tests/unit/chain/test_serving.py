"""A model in a process of its own comes back as the model that it was, or not at all."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgewright.bundle import Draft, build_bundle, unpack
from edgewright.chain.serving import open_servable
from edgewright.contract import Contract, Tensor
from edgewright.device.serve import isolated
from edgewright.runtimes.base import EngineTensor
from edgewright.runtimes.reference import Graph, Layer, write_reference

pytestmark = pytest.mark.timeout(120)


def write_model(path: Path, factor: float) -> None:
    graph = Graph(
        inputs=(EngineTensor(name="x", dtype="float32", shape=(None, 2)),),
        outputs=(EngineTensor(name="y", dtype="float32", shape=(None, 2)),),
        layers=(Layer(op="linear", inputs=("x",), output="y", weights={"weight": "w"}),),
    )
    write_reference(path, graph, {"w": np.eye(2, dtype=np.float32) * factor})


def release(folder: Path, kind: str, factor: float) -> Path:
    """The model that multiplies, as a file or folder beside the one that is served."""
    path = folder / f"of {factor:g}" / {"bare": "m.npz", "packed": "m.ewb", "unpacked": "m"}[kind]
    path.parent.mkdir()
    if kind == "bare":
        write_model(path, factor)
        return path
    write_model(path.parent / "engine.npz", factor)
    tensor = {"dtype": "float32", "shape": ("batch", 2)}
    contract = Contract(inputs=(Tensor(name="x", **tensor),), outputs=(Tensor(name="y", **tensor),))  # type: ignore[arg-type]  # both the same
    draft = Draft(name="m", version="1", format="reference", precision="fp32", contract=contract)
    file = path.parent / "m.ewb"
    build_bundle(file, draft, [("model", "m.npz", (path.parent / "engine.npz").read_bytes())])
    if kind == "unpacked":
        unpack(file, path)
    return path


def until(done: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end_s
        time.sleep(0.02)


@pytest.mark.parametrize("kind", ["bare", "packed", "unpacked"])
def test_after_a_crash_no_other_release_answers_in_its_name(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(isolated, "PAUSES_S", (0.01,))
    served, other = release(tmp_path, kind, 2), release(tmp_path, kind, 3)
    one = open_servable(served, {"m": 4000.0})
    assert isinstance(one.model, isolated.Isolated)
    try:
        served.rename(tmp_path / "kept")
        other.rename(served)
        os.kill(one.model._child.pid, signal.SIGKILL)
        until(lambda: "now, served was" in caplog.text)
        assert one.model.restarts == 0
        served.rename(tmp_path / "other")
        (tmp_path / "kept").rename(served)
        until(lambda: one.model.restarts == 1)  # type: ignore[attr-defined]  # it is `Isolated`
        answer = one.model.predict_checked({"x": np.ones((1, 2), np.float32)})
        assert answer["y"].tolist() == [[2.0, 2.0]]
    finally:
        one.model.close()
