"""What Linux says about a process: memory, CPU time, threads, open files.

`root` is where procfs is mounted, so that tests and support bundles can read a copy of it.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from edgewright.errors import AbsentError, InputError, UnavailableError

PROC = Path("/proc")

T = TypeVar("T", int, float)

_KIB = 1024
_ENDED = ("Z", "X")
_STAT_UTIME = 11
_STAT_STIME = 12
_STAT_PARENT = 1
_ACCEPTS = 0x10000


class ProcessReading(msgspec.Struct, frozen=True, kw_only=True):
    """One look at a process, or at a tree of them (`processes` says how many).

    `pss_bytes` shares common pages fairly between processes; it and `open_files` are None where the
    process belongs to another user. `wait_s` is how long its living threads were ready to run and
    had no core, None where the kernel does not count it (CONFIG_SCHED_INFO).
    """

    pid: int
    rss_bytes: int
    pss_bytes: int | None
    peak_rss_bytes: int
    cpu_s: float
    threads: int
    open_files: int | None
    wait_s: float | None = None
    processes: int = 1

    @property
    def memory_bytes(self) -> int:
        """The fairest figure there is: PSS, else RSS."""
        return self.rss_bytes if self.pss_bytes is None else self.pss_bytes


def read_process(pid: int, *, root: Path = PROC) -> ProcessReading:
    """What one process uses now.

    Raises:
        AbsentError: there is no such process (any more), or it waits to be buried.
        UnavailableError: this system has no procfs.
    """
    folder = root / str(pid)
    with _process_errors(pid, root):
        status = _fields(folder / "status")
        if status.get("State", "").startswith(_ENDED):
            raise ProcessLookupError(pid)
        return ProcessReading(
            pid=pid,
            rss_bytes=_kib(status.get("VmRSS")),
            pss_bytes=_pss_bytes(folder),
            peak_rss_bytes=_kib(status.get("VmHWM")),
            cpu_s=_cpu_s(_stat(folder)),
            threads=int(status["Threads"]),
            open_files=_open_files(folder),
            wait_s=_wait_s(folder),
        )


def read_tree(pid: int, *, root: Path = PROC) -> ProcessReading:
    """A process and all its descendants added up; ones that end meanwhile are left out."""
    own = read_process(pid, root=root)
    readings = [own]
    for child in descendants(pid, root=root):
        with contextlib.suppress(InputError):
            readings.append(read_process(child, root=root))
    return ProcessReading(
        pid=pid,
        rss_bytes=sum(one.rss_bytes for one in readings),
        pss_bytes=_sum_known([one.pss_bytes for one in readings]),
        peak_rss_bytes=sum(one.peak_rss_bytes for one in readings),
        cpu_s=sum(one.cpu_s for one in readings),
        threads=sum(one.threads for one in readings),
        open_files=_sum_known([one.open_files for one in readings]),
        wait_s=_sum_known([one.wait_s for one in readings]),
        processes=len(readings),
    )


def descendants(pid: int, *, root: Path = PROC) -> tuple[int, ...]:
    """Children, their children and so on, from one look at all processes."""
    children: dict[int, list[int]] = {}
    for folder in root.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int(_stat(folder)[_STAT_PARENT]), []).append(int(folder.name))
    found: list[int] = []
    queue = [pid]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return tuple(sorted(found))


def listening_pid(port: int, *, root: Path = PROC) -> int | None:
    """The process of this user that listens on a TCP port, so that a server given by its URL can be
    watched when it runs on this machine; None when there is none to be seen.
    """
    return _owner_of(_listening_inodes(port, root), root)


def listening_pid_of_socket(path: Path, *, root: Path = PROC) -> int | None:
    """The same for a Unix socket."""
    inodes = set()
    with contextlib.suppress(OSError):
        for line in (root / "net" / "unix").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[-1] == str(path) and int(fields[3], 16) & _ACCEPTS:
                inodes.add(fields[6])
    return _owner_of(inodes, root)


def _owner_of(inodes: set[str], root: Path) -> int | None:
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for folder in sorted(root.iterdir()):
        if folder.name.isdigit() and wanted & _open_targets(folder):
            return int(folder.name)
    return None


def _listening_inodes(port: int, root: Path) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (root / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == "0A":
                    found.add(fields[9])
    return found


def _open_targets(folder: Path) -> set[str]:
    targets = set()
    with contextlib.suppress(OSError):
        for handle in (folder / "fd").iterdir():
            with contextlib.suppress(OSError):
                targets.add(str(handle.readlink()))
    return targets


def _fields(path: Path) -> dict[str, str]:
    pairs = (line.partition(":") for line in path.read_text().splitlines())
    return {key: value.strip() for key, _, value in pairs}


def _stat(folder: Path) -> list[str]:
    """The fields after the name, which may itself hold spaces and brackets; [0] is the state."""
    return (folder / "stat").read_text().rpartition(")")[2].split()


def _cpu_s(stat: list[str]) -> float:
    return (int(stat[_STAT_UTIME]) + int(stat[_STAT_STIME])) / os.sysconf("SC_CLK_TCK")


def _kib(text: str | None) -> int:
    return int(text.split()[0]) * _KIB if text else 0


def _pss_bytes(folder: Path) -> int | None:
    try:
        return _kib(_fields(folder / "smaps_rollup").get("Pss"))
    except OSError:
        return None


def _open_files(folder: Path) -> int | None:
    try:
        return sum(1 for _ in (folder / "fd").iterdir())
    except PermissionError:
        return None


def _wait_s(folder: Path) -> float | None:
    total_ns = 0
    try:
        for task in (folder / "task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total_ns += int((task / "schedstat").read_text().split()[1])
    except (OSError, IndexError):
        return None
    return total_ns / 1e9


def _sum_known(values: Sequence[T | None]) -> T | None:
    known = [value for value in values if value is not None]
    return sum(known[1:], start=known[0]) if len(known) == len(values) else None


@contextlib.contextmanager
def _process_errors(pid: int, root: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, ProcessLookupError, KeyError) as error:
        if not (root / "stat").exists():
            raise UnavailableError(
                f"{root} is no procfs, so processes cannot be measured here",
                hint="measure on Linux, or mount proc",
            ) from error
        raise AbsentError(f"there is no process {pid}", hint="it may have ended") from error
