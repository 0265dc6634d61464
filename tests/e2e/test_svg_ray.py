"""Logos measured by Ray's workers: the same rows as anywhere, and nothing left running.

Ray gives its own processes 15 s to start, so these tests run where nothing else does.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from edgewright.chain.tracing import spread_for
from edgewright.errors import InputError, UnavailableError

pytest.importorskip("vtracer", reason="absent: vtracer (extra svg)")
LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">'
    '<circle cx="12" cy="12" r="{r}" fill="#{c}"/><rect x="2" y="3" width="6" height="4"/></svg>'
)
LOGOS = 6
CLUSTER = """
import sys
from ray.cluster_utils import Cluster

small = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
cluster = Cluster()
try:
    cluster.add_node(**small, temp_dir=sys.argv[1])
    cluster.add_node(**small)
    print(cluster.address, len(cluster.list_all_nodes()), flush=True)
    sys.stdin.read()
finally:
    cluster.shutdown()
"""
INTERRUPTED = 130


def test_an_engine_that_nobody_knows_is_refused() -> None:
    with pytest.raises(InputError, match="choose processes or ray"):
        spread_for("spark")


def test_ray_that_is_not_installed_is_named() -> None:
    try:
        import ray  # noqa: F401
    except ModuleNotFoundError:
        with pytest.raises(UnavailableError, match=r"pip install 'edgewright\[ray\]'"):
            spread_for("ray")
    else:
        assert callable(spread_for("ray"))


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    folder = tmp_path / "logos"
    folder.mkdir()
    for at in range(LOGOS):
        text = LOGO.format(r=4 + at, c=f"{at * 40:02x}4080")
        (folder / f"logo{at}.svg").write_text(text)
    return folder


Run = Callable[..., AbstractContextManager[subprocess.Popen[str]]]


@pytest.fixture
def started(collection: Path, ray_environment: dict[str, str]) -> Run:
    """`edgewright svg data` on the collection."""

    @contextmanager
    def start(out: Path, *options: str, settings: int) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-m", "edgewright", "svg", "data", str(collection)]
        child = subprocess.Popen(
            [*command, "--out", str(out), "--settings", str(settings), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=ray_environment,
        )
        with child:
            try:
                yield child
            finally:
                child.kill()

    return start


def measured(started: Run, out: Path, *options: str, settings: int = 2) -> dict[str, bytes]:
    """The files of a run to its end."""
    with started(out, *options, settings=settings) as child:
        _, told = child.communicate(timeout=500)
    assert child.returncode == 0, told
    return files(out)


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("*.json")}


def left_over(pid: int) -> list[str]:
    """Processes of a Ray node that this process started; its sessions are named by it."""
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (process / "cmdline").read_text(errors="replace")
            if "/ew-ray-" in line and f"_{pid}/" in line:
                lines.append(line)
    return lines


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(600)
def test_ray_gives_the_same_rows_and_goes_on_where_another_stopped(
    started: Run, tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="ray is not among the extras of CI")
    here = measured(started, tmp_path / "here", "--processes", "1")
    assert len(here) == LOGOS
    there = tmp_path / "there"
    there.mkdir()
    known = min(here)
    (there / known).write_bytes(here[known])
    written = (there / known).stat().st_mtime_ns
    assert measured(started, there, "--engine", "ray", "--processes", "2") == here
    assert (there / known).stat().st_mtime_ns == written


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(600)
def test_ctrl_c_ends_ray_and_keeps_what_was_measured(started: Run, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not among the extras of CI")
    out = tmp_path / "rows"
    options = ("--engine", "ray", "--processes", "1")
    with started(out, *options, settings=60) as child:
        until = time.monotonic() + 400
        while not files(out) and child.poll() is None and time.monotonic() < until:
            time.sleep(0.2)
        assert child.poll() is None, child.stderr and child.stderr.read()
        assert left_over(child.pid)
        os.killpg(child.pid, signal.SIGINT)
        _, told = child.communicate(timeout=60)
    assert child.returncode == INTERRUPTED, told
    assert told.endswith("interrupted\n")
    assert "Traceback" not in told
    assert not left_over(child.pid)
    kept = files(out)
    assert 0 < len(kept) < LOGOS
    again = measured(started, out, "--processes", "1", settings=60)
    assert {name: again[name] for name in kept} == kept


@pytest.fixture
def cluster(ray_environment: dict[str, str]) -> Iterator[str]:
    """The address of a cluster whose two nodes stand for two machines."""
    pytest.importorskip("ray", reason="ray is not among the extras of CI")
    with TemporaryDirectory(prefix="ew-ray-") as folder:
        child = subprocess.Popen(
            [sys.executable, "-c", CLUSTER, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=ray_environment,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        with child:
            try:
                address, nodes = child.stdout.readline().split()
                assert nodes == "2"
                yield address
            finally:
                child.stdin.close()
                child.wait(60)


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(900)
def test_two_nodes_of_a_cluster_give_the_same_rows(
    cluster: str, started: Run, tmp_path: Path
) -> None:
    here = measured(started, tmp_path / "here", "--processes", "1")
    options = ("--engine", "ray", "--ray-address", cluster)
    assert measured(started, tmp_path / "there", *options) == here
