"""Faults at single system calls of one process, by strace: kill it there, or let the call fail.

First `record` lists every call that changes a file under a folder, in order; then `run_with_fault`
repeats the command with a fault at one of them. `attached` does both to a process that is there
already and waits stopped, such as a fork of one that was slow to start. Only the main thread of
the command's own process is counted; its children run untouched.

A process with threads and children of its own is another matter: `recording_all` writes down what
all of them do, `places_in` takes from it the calls that a lasting path is enough to find again, and
`struck_at` makes the fault at the n-th call of that kind on that path, whoever makes it.
"""

import contextlib
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from edgewright.errors import UnavailableError

CALLS = (
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "symlink",
    "symlinkat",
    "mkdir",
    "mkdirat",
    "ftruncate",
    "link",
    "linkat",
)

ON_A_PATH = (
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "ftruncate",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
)
"""The calls that strace finds by a path: it looks at the first one they name."""

_PID = re.compile(r"^\d+ +")
_LINE = re.compile(r"^(?P<call>[a-z0-9_]+)\((?P<rest>.*)$")
_STATE = re.compile(r'\\"state\\":\\"(?P<state>[a-z]+)\\"')


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One system call: the `number`-th of its kind, what it touched, and the update's state."""

    call: str
    number: int
    path: str
    state: str


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended (negative: by a signal) and what it said."""

    code: int
    stderr: str


def require_strace() -> str:
    """Where strace is.

    Raises:
        UnavailableError: it is not installed.
    """
    found = shutil.which("strace")
    if found is None:
        raise UnavailableError("strace is not installed", hint="apt-get install strace")
    return found


def recording(trace: Path) -> list[str]:
    """What tells strace to write down every call."""
    calls = f"trace={','.join(CALLS)}"
    return ["-y", "-s", "400", "-e", calls, "-e", "signal=none", "-o", str(trace)]


def failing(point: Point, fault: str) -> list[str]:
    """What tells strace to make a fault ("signal=SIGKILL", "error=ENOSPC") at a call."""
    inject = f"inject={point.call}:{fault}:when={point.number}"
    return ["-e", f"trace={point.call}", "-e", inject, "-o", os.devnull]


def recording_all(trace: Path) -> list[str]:
    """The command before a command of which every call is written down, also of its threads and
    children. The command is this process's own child, not strace's.
    """
    return [require_strace(), "-D", "-f", *recording(trace)]


def struck_at(place: Path, point: Point, fault: str) -> list[str]:
    """The command before a command in which a fault comes at the `number`-th call of this kind on
    this path.
    """
    found = ["-P", str(place), "-e", f"trace={point.call}"]
    inject = f"inject={point.call}:{fault}:when={point.number}"
    return [require_strace(), "-D", "-f", *found, "-e", inject, "-o", os.devnull]


def places_in(trace: Path, *, below: Path) -> list[Point]:
    """The calls of a trace on lasting paths below a folder, counted by path; of those that are
    alike in one state, the first. Their paths are whole. A line of a journal that names no state
    means `idle`.
    """
    counts: Counter[tuple[str, str]] = Counter()
    found: dict[tuple[str, str, str], Point] = {}
    state = "idle"
    for line in trace.read_text(errors="replace").splitlines():
        match = _LINE.match(_PID.sub("", line))
        if match is None or str(below) not in match["rest"]:
            continue
        call, path = match["call"], _whole_path(match["rest"], below)
        counts[call, path] += 1
        if call in ON_A_PATH and ".tmp-" not in path:
            point = Point(call=call, number=counts[call, path], path=path, state=state)
            found.setdefault((state, call, path), point)
        if (call, path) == ("write", "journal.log"):
            entered = _STATE.search(match["rest"])
            state = entered["state"] if entered else "idle"
    return list(found.values())


@contextlib.contextmanager
def attached(pid: int, options: Sequence[str], *, timeout_s: float = 120.0) -> Iterator[None]:
    """Have strace hold on to a process before the block begins; the block's end waits for the end
    of the process.

    Raises:
        UnavailableError: it may not.
    """
    command = [require_strace(), *options, "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        try:
            said = strace.stderr.readline() if strace.stderr else ""
            if "attached" not in said:
                raise UnavailableError(f"strace: {said.strip()}", hint="run it as root")
            yield
            strace.wait(timeout_s)
        finally:
            strace.kill()


def record(command: Sequence[str], *, below: Path, trace: Path) -> list[Point]:
    """Run the command to its end; the calls of it that change something below a folder."""
    ending = _strace(recording(trace), command)
    if ending.code != 0:
        raise UnavailableError(f"the recorded command ended with {ending.code}: {ending.stderr}")
    return points_in(trace, below=below)


def points_in(trace: Path, *, below: Path) -> list[Point]:
    """The calls of a trace that change something below a folder."""
    return list(_points(trace.read_text(errors="replace"), below))


def run_with_fault(command: Sequence[str], point: Point, fault: str) -> Ending:
    """Run the command with a fault ("signal=SIGKILL", "error=ENOSPC") at one of its calls."""
    return _strace(failing(point, fault), command)


def run(command: Sequence[str], *, timeout_s: float = 120.0) -> Ending:
    """Run a command without any fault."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=timeout_s, env=environment()
    )
    return Ending(code=done.returncode, stderr=done.stderr)


def _strace(options: Sequence[str], command: Sequence[str]) -> Ending:
    return run([require_strace(), *options, *command])


def environment() -> Mapping[str, str]:
    """No compiled files are written, so that every run makes the same calls."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}


def _points(trace: str, below: Path) -> list[Point]:
    counts: Counter[str] = Counter()
    state = "idle"
    points = []
    for line in trace.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        counts[match["call"]] += 1
        if str(below) not in match["rest"]:
            continue
        points.append(
            Point(
                call=match["call"],
                number=counts[match["call"]],
                path=_path(match["rest"], below),
                state=state,
            )
        )
        entered = _STATE.search(match["rest"]) if "journal.log" in match["rest"] else None
        state = entered["state"] if entered else state
    return points


def _whole_path(rest: str, below: Path) -> str:
    start = rest.index(str(below)) + len(str(below)) + 1
    return re.split(r'[">,]', rest[start:], maxsplit=1)[0]


def _path(rest: str, below: Path) -> str:
    """The changed path relative to the folder, with random parts and hashes made short."""
    found = _whole_path(rest, below)
    short = re.sub(r"[0-9a-f]{64}", lambda hashed: hashed[0][:8], found)
    return re.sub(r"\.tmp-[A-Za-z0-9_]+", ".tmp-", short)
