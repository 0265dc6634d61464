"""Variants that are measured on another machine: a real OpenSSH server, real engines behind it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.ssh_target import PROGRAM, Remote

from edgewright._npz import encode_npz
from edgewright.chain.engines import engine_named
from edgewright.chain.measuring_afar import PlaceAfar
from edgewright.chain.measuring_ssh import ssh_place
from edgewright.chain.ssh_machine import SshMachine
from edgewright.errors import TransportError, TrustError
from edgewright.measure.procfs import descendants
from edgewright.runtimes.base import Array
from edgewright.workbench.optimize.place import Measured, Subject

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

ROWS = 900
INPUTS: dict[str, Array] = {"x": np.ones((1, 64), np.float32)}


class Device(Remote):
    """A target whose temporary folder is its own, so that what is left there is seen."""

    def __init__(self, folder: Path) -> None:
        self.scratch = folder / "tmp"
        self.scratch.mkdir()
        super().__init__(folder, settings=f"SetEnv TMPDIR={self.scratch}")

    def machine(self, program: str = PROGRAM, known: str = "known_hosts") -> SshMachine:
        return SshMachine(
            address=self.url,
            identities=(self.folder / "user",),
            known_hosts=self.folder / known,
            program=program,
        )

    def place(self, program: str = PROGRAM) -> AbstractContextManager[PlaceAfar]:
        return ssh_place(self.machine(program), threads=1, seed=0)

    def folders(self) -> list[Path]:
        return list(self.scratch.glob("edgewright-*"))


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    made = Device(tmp_path)
    with made.serving():
        yield made


def network(path: Path, layers: int) -> Path:
    rng = np.random.default_rng(layers)
    nodes, stored, name = [], [], "x"
    for layer in range(layers):
        weight = (rng.normal(size=(64, 64)) / 8).astype(np.float32)
        stored.append(numpy_helper.from_array(weight, f"w{layer}"))
        nodes.append(helper.make_node("MatMul", [name, f"w{layer}"], [f"h{layer}"]))
        name = f"h{layer}"
    nodes.append(helper.make_node("Tanh", [name], ["y"]))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 64])],
        stored,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(made, path)
    return path


@pytest.fixture
def subjects(tmp_path: Path) -> Iterator[list[Subject]]:
    """A baseline, and a network of a tenth of its work."""
    engine = engine_named("onnxruntime")
    paths = [network(tmp_path / "large.onnx", 60), network(tmp_path / "small.onnx", 6)]
    sessions = [engine.open(path) for path in paths]
    yield [
        Subject(engine="onnx", path=path, session=session)
        for path, session in zip(paths, sessions, strict=True)
    ]
    for session in sessions:
        session.close()


def wait_until(holds: Callable[[], object], what: str, limit_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.05)


def timed(
    place: PlaceAfar, subjects: list[Subject], *, seconds: float = 2.0, with_energy: bool = False
) -> list[Measured]:
    return place.time(subjects, INPUTS, rounds=100_000, seconds=seconds, with_energy=with_energy)


def test_files_are_measured_there_and_nothing_is_left(
    device: Device, subjects: list[Subject]
) -> None:
    with device.place() as place:
        large, small = timed(place, subjects, with_energy=True)
        weighed = place.weigh(subjects, INPUTS)
        assert len(device.folders()) == 1
        assert place.name == device.url
        assert place.machine.cores >= 1
    wait_until(lambda: not device.folders(), "the folder is left")

    assert large.ratio
    assert large.ratio.value == 1
    assert small.ratio
    assert small.ratio.value < 0.6
    assert small.ratio.high
    assert small.ratio.high < 1
    assert small.energy_ratio
    assert small.energy_ratio.value < 0.6
    assert all(one.memory_bytes and one.memory_bytes > 10_000_000 for one in weighed)


def test_what_cannot_run_there_has_its_reason_and_the_rest_is_measured(
    device: Device, subjects: list[Subject], tmp_path: Path
) -> None:
    unknown = tmp_path / "other.tflite"
    unknown.write_bytes(b"no model at all")
    third = Subject(engine="litert", path=unknown, session=subjects[0].session)
    # A machine on which LiteRT is not installed.
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "ai_edge_litert").mkdir()
    (tmp_path / "bare" / "ai_edge_litert" / "__init__.py").write_text(
        "raise ImportError('not installed on this device')\n"
    )
    program = f"env PYTHONPATH={tmp_path / 'bare'} {PROGRAM}"

    with device.place(program) as place:
        _, small, other = timed(place, [*subjects, third])

    assert small.ratio
    assert other.ratio is None
    assert "cannot run here: not installed on this device" in other.reason


def test_a_file_that_kills_its_process_there_is_found_out(
    device: Device, subjects: list[Subject], tmp_path: Path
) -> None:
    """A program there that dies of one file stands for an engine that does."""
    deadly = network(tmp_path / "deadly.onnx", 2)
    third = Subject(engine="onnx", path=deadly, session=subjects[0].session)
    size = deadly.stat().st_size
    wrapper = tmp_path / "program"
    wrapper.write_text(
        "#!/bin/sh\n"
        f'for one; do if [ -f "$one" ] && [ "$(wc -c <"$one")" = {size} ]; then kill -SEGV $$; fi;'
        f' done\nexec {PROGRAM} "$@"\n'
    )
    wrapper.chmod(0o755)

    with device.place(str(wrapper)) as place:
        _, small, other = timed(place, [*subjects, third])

    assert small.ratio
    assert "measure" in other.reason


def test_a_cut_link_is_tried_again_once_and_then_said(
    device: Device, subjects: list[Subject]
) -> None:
    with device.place() as place:
        found: list[list[Measured]] = []
        for _ in range(2):
            asking = threading.Thread(
                target=lambda: found.append(timed(place, subjects, seconds=4.0))
            )
            asking.start()
            wait_until(lambda: list(device.scratch.glob("*/*.npz")), "nothing was sent")
            cut(device)
            asking.join(120)
        again, lost = found
        third = timed(place, subjects)
    wait_until(lambda: not device.folders(), "the folder is left")

    assert again[1].ratio
    assert [bool(one.reason) for one in (*lost, *third)] == [True] * 4
    assert any("was lost" in note for note in place.notes)


def test_a_killed_search_leaves_no_folder(device: Device, subjects: list[Subject]) -> None:
    script = (
        "import sys; from pathlib import Path; from edgewright.chain.ssh_machine import SshMachine;"
        "from edgewright.chain.measuring_ssh import ssh_place; import time\n"
        f"with ssh_place(SshMachine(address={device.url!r}, program={PROGRAM!r},"
        f" identities=(Path({str(device.folder / 'user')!r}),),"
        f" known_hosts=Path({str(device.folder / 'known_hosts')!r})), threads=1, seed=0):\n"
        "    time.sleep(100)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    wait_until(device.folders, "no folder was made")
    process.kill()
    process.wait()
    wait_until(lambda: not device.folders(), "the folder is left")


def test_an_unknown_host_key_measures_nothing(device: Device) -> None:
    (device.folder / "none").write_text("")
    place = ssh_place(device.machine(known="none"), threads=1, seed=0)
    with pytest.raises(TrustError, match="host key"), place:
        pass


def test_a_machine_that_is_not_there_measures_nothing(tmp_path: Path) -> None:
    machine = SshMachine(address="ssh://nobody@127.0.0.1:1", known_hosts=tmp_path / "none")
    (tmp_path / "none").write_text("")
    with pytest.raises(TransportError), ssh_place(machine, threads=1, seed=0):
        pass


def test_optimize_measures_on_another_machine(device: Device, tmp_path: Path) -> None:
    model = network(tmp_path / "model.onnx", 12)
    x = np.random.default_rng(0).normal(size=(ROWS, 64)).astype(np.float32)
    session = engine_named("onnxruntime").open(model)
    y = session.run({"x": x})["y"]
    session.close()
    (tmp_path / "calib.npz").write_bytes(encode_npz({"x": x[:100]}))
    (tmp_path / "eval.npz").write_bytes(encode_npz({"x": x[100:], "y": y[100:]}))
    out = tmp_path / "out"

    done = subprocess.run(
        [
            *(sys.executable, "-m", "edgewright", "optimize", str(model), "--json"),
            *("--calib", str(tmp_path / "calib.npz"), "--eval", str(tmp_path / "eval.npz")),
            *("--max-drop", "20", "--formats", "onnx", "--out", str(out)),
            *("--measure-on", device.url, "--edgewright", PROGRAM),
            *("--identity", str(device.folder / "user")),
            *("--known-hosts", str(device.folder / "known_hosts")),
        ],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    report = json.loads((out / "report.json").read_text())
    assert report["measured_on"] == device.url
    assert report["measured_machine"]["cores"] >= 1
    assert any("judged on this machine" in note for note in report["notes"])
    timed_rows = [row for row in report["candidates"] if row["latency_ratio"] is not None]
    assert len(timed_rows) > 10
    assert all(row["latency_ratio_high"] is not None for row in timed_rows)
    assert report["best"]["memory_bytes"] > 10_000_000
    wait_until(lambda: not device.folders(), "the folder is left")


def cut(device: Device) -> None:
    """End what the server has for its clients, as a cable that is pulled does."""
    for pid in descendants(device.server_pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if Path(f"/proc/{pid}/comm").read_text().startswith("sshd"):
                os.kill(pid, signal.SIGKILL)
