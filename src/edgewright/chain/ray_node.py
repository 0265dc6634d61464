"""Ray for one job: a cluster that is there already, or a node on this machine that ends with the
job (extra `ray`; imported through `ray_parts.py`).

A node of our own listens on loopback, keeps its files in a folder of its own and asks for a small
part of /dev/shm, since rows and jobs are small.
"""

import contextlib
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import ray

from edgewright._fs import remove_tree
from edgewright.errors import UnavailableError

_STORE_BYTES = 80 << 20
_FOLDER_LENGTH = 40
"""Ray adds some 65 characters for its sockets, whose paths end at 107."""
_WORKER_START_S = 300
"""A worker's first imports from a cold disk outlast Ray's own minute on a busy machine; it would be
killed and started again without end.
"""
_TRIES = 2
"""A node gives its helpers, which are Python processes, 15 s to come up, and ends itself otherwise;
Ray does not let one change that. From a cold disk it may be too short, and the second time their
files are in memory.
"""


@contextlib.contextmanager
def ray_running(cores: int, *, cluster: str = "") -> Iterator[None]:
    """Ray for the time of the block: the cluster of an address, or this machine as a node with so
    many cores. A Ray that the caller has started is used as it is.

    Raises:
        UnavailableError: the cluster does not answer, or a node does not start here.
    """
    if ray.is_initialized():
        yield
        return
    if cluster:
        _join(cluster)
        try:
            yield
        finally:
            ray.shutdown()
        return
    with _own_folder() as folder:
        _start(cores, folder)
        yield


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Ray ends a process that is told to stop with success, and keeps the signal for itself."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        raise KeyboardInterrupt from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


def _join(cluster: str) -> None:
    try:
        ray.init(address=cluster, log_to_driver=False, configure_logging=False)
    except Exception as error:  # Ray raises bare exceptions when nobody answers
        raise UnavailableError(
            f"the Ray cluster at {cluster} cannot be joined: {error}",
            hint="see `ray status`, or leave the address out to start a node here",
        ) from error


def _start(cores: int, folder: Path) -> None:
    for left in reversed(range(_TRIES)):
        try:
            ray.init(
                address="local",
                num_cpus=cores,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
                object_store_memory=_STORE_BYTES,
                _node_ip_address="127.0.0.1",
                _temp_dir=str(folder),
                _system_config={"worker_register_timeout_seconds": _WORKER_START_S},
            )
        except Exception as error:  # Ray raises bare exceptions when a node does not come up
            _end_all(folder)
            if not left:
                raise UnavailableError(
                    f"Ray did not start here: {error}",
                    hint="its processes have 15 s to start, which a busy machine may not keep: "
                    "try again when there is less to do, or leave --engine out",
                ) from error
        else:
            return


@contextlib.contextmanager
def _own_folder() -> Iterator[Path]:
    usual = tempfile.gettempdir()
    place = usual if len(usual) < _FOLDER_LENGTH else "/tmp"  # noqa: S108 - mkdtemp makes it ours
    folder = Path(tempfile.mkdtemp(prefix="ew-ray-", dir=place))
    try:
        yield folder
    finally:
        ray.shutdown(wait_for_processes=True)
        _end_all(folder)
        remove_tree(folder)


def _end_all(folder: Path) -> None:
    """Ray leaves processes behind where a node did not come up; all of them name its folder."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if f"{folder}/" in (process / "cmdline").read_text(errors="replace"):
                os.kill(int(process.name), signal.SIGKILL)
