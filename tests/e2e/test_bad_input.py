"""Bad input to real commands: one clear line, the right exit code, nothing half-written."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edgewright._npz import encode_npz
from edgewright.runtimes.base import EngineTensor
from edgewright.runtimes.reference import Graph, Layer, write_reference

Command = Callable[..., subprocess.CompletedProcess[str]]

INPUT, TRUST, RESOURCE = 2, 5, 8


@pytest.fixture
def workshop(tmp_path: Path, edgewright: Command) -> Path:
    """A folder with a model, a contract, requests, and a signed bundle of them."""
    graph = Graph(
        inputs=(EngineTensor(name="x", dtype="float32", shape=(None, 2)),),
        outputs=(EngineTensor(name="y", dtype="float32", shape=(None, 2)),),
        layers=(Layer(op="relu", inputs=("x",), output="y"),),
    )
    write_reference(tmp_path / "model.npz", graph, {})
    (tmp_path / "golden.npz").write_bytes(encode_npz({"x": np.ones((2, 2), np.float32)}))
    made = edgewright(*build_arguments(), "--key", "k.pem")
    assert made.returncode == 0, made.stderr
    return tmp_path


def build_arguments(out: str = "tiny.ewb") -> list[str]:
    return [
        *("bundle", "build", "--model", "model.npz", "--golden", "golden.npz"),
        *("--name", "tiny", "--version", "1", "--out", out),
    ]


def assert_refused(result: subprocess.CompletedProcess[str], code: int, words: str) -> None:
    """One line on stderr that says what is wrong, and nothing that looks like a result."""
    assert result.returncode == code, result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, result.stderr
    assert words in errors[0]
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_a_missing_file(edgewright: Command) -> None:
    assert_refused(edgewright("bundle", "show", "no.ewb"), INPUT, "no.ewb: no such file")


def test_a_truncated_bundle(workshop: Path, edgewright: Command) -> None:
    os.truncate(workshop / "tiny.ewb", 3000)
    assert_refused(edgewright("bundle", "verify", "tiny.ewb"), TRUST, "fetch it again")


@pytest.mark.parametrize("place", [700, 5000, -3])
def test_a_flipped_byte(workshop: Path, edgewright: Command, place: int) -> None:
    flip(workshop / "tiny.ewb", place)
    result = edgewright("bundle", "verify", "tiny.ewb", "--key", "k.pub")
    assert result.returncode == TRUST
    assert result.stderr.startswith("error: ")


@pytest.mark.parametrize("command", ["serve", "validate"])
def test_a_broken_bundle_is_neither_served_nor_validated(
    workshop: Path, edgewright: Command, command: str
) -> None:
    flip(workshop / "tiny.ewb", 5000)
    result = edgewright(command, "tiny.ewb", *(["--http", "127.0.0.1:0"] * (command == "serve")))
    assert_refused(result, TRUST, "bundle")


def test_an_unknown_key_in_a_project(tmp_path: Path, edgewright: Command) -> None:
    assert edgewright("init", "p", "--recipe", "har").returncode == 0
    path = tmp_path / "p" / "edgewright.toml"
    path.write_text(path.read_text().replace("max_drop", "max_dorp"))
    before = sorted(path.parent.rglob("*"))
    result = edgewright("run", "--project", "p")
    assert_refused(result, INPUT, "unknown key 'optimize.max_dorp'; did you mean 'max_drop'?")
    assert sorted(path.parent.rglob("*")) == before


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.ones((2, 3), np.float32), "[2, 3]"),
        (np.full((2, 2), np.nan, np.float32), "is nan, expected a finite number"),
        (np.ones((2, 2)), "float64"),
    ],
    ids=["wrong-shape", "nan", "wrong-type"],
)
def test_requests_that_are_out_of_contract(
    workshop: Path, edgewright: Command, array: np.ndarray, words: str
) -> None:
    (workshop / "golden.npz").write_bytes(encode_npz({"x": array}))
    assert_refused(edgewright(*build_arguments("new.ewb")), INPUT, words)
    assert not (workshop / "new.ewb").exists()


def test_a_port_in_use(workshop: Path, edgewright: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = edgewright("serve", "tiny.ewb", "--http", f"127.0.0.1:{port}")
    assert_refused(result, RESOURCE, f"{port}")


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 16 MB, nearly full."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("absent: root and mount")
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    mounted = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"absent: the right to mount ({mounted.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.root
def test_a_full_disk(workshop: Path, edgewright: Command, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        ballast = disk / "ballast"
        with ballast.open("wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
        before = sorted(disk.iterdir())
        assert_refused(edgewright(*build_arguments("disk/new.ewb")), RESOURCE, "the disk is full")
        assert_refused(
            edgewright("init", "disk/p", "--recipe", "har"), RESOURCE, "the disk is full"
        )
        assert sorted(disk.iterdir()) == before
        ballast.unlink()
        assert edgewright(*build_arguments("disk/new.ewb")).returncode == 0


@pytest.mark.root
def test_no_permission(workshop: Path, edgewright: Command, tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("absent: root and setpriv")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o755)
    os.chown(locked, 12345, 12345)
    result = edgewright(
        *build_arguments("locked/new.ewb"),
        under=("setpriv", "--inh-caps=-all", "--bounding-set=-all"),
    )
    assert_refused(result, RESOURCE, "permission denied")
    assert list(locked.iterdir()) == []


def test_predictions_do_not_overwrite_their_requests(workshop: Path, edgewright: Command) -> None:
    before = (workshop / "golden.npz").read_bytes()
    result = edgewright("predict", "tiny.ewb", "golden.npz", "--out", "golden.npz")
    assert_refused(result, INPUT, "golden.npz holds the requests")
    assert (workshop / "golden.npz").read_bytes() == before


@pytest.mark.parametrize(
    ("output", "code", "words"),
    [(">/dev/full", RESOURCE, "the output cannot be written: No space left"), (">&-", 0, "")],
)
def test_an_output_that_takes_nothing(
    workshop: Path, edgewright: Command, output: str, code: int, words: str
) -> None:
    command = f"{sys.executable} -m edgewright predict tiny.ewb golden.npz {output}"
    done = subprocess.run(
        ["sh", "-c", command], cwd=workshop, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
