"""One hook as seen from the process that uses it: started, asked, limited, started again."""

import contextlib
import os
import resource
import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgewright import _fs
from edgewright.bundle.hooks import HookKind
from edgewright.contract import Contract, Tensor
from edgewright.device.serve.child_model import REFUSED, CandidateError, ChildModel, ChildOrder
from edgewright.device.serve.ports import Array, Arrays, Timer
from edgewright.errors import DeviceError, EdgewrightError, InputError, ResourceError

SOURCE = "hook.py"
SCRATCH = "scratch"
PREFIX = "edgewright-hook-"
MIB = 1 << 20
START_S = 20.0
ENVIRONMENT = {"PATH": os.defpath, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""All that a hook's process inherits; a thread more could not be ended by the filters."""
STARTS_MOST, STARTS_WINDOW_S = 3, 60.0


class HookLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a hook may use: seconds of a call and of the processor in it, memory beyond what Python
    and numpy take, and its scratch folder.
    """

    call_s: float = 1.0
    cpu_s: int = 1
    memory_mb: float = 128.0
    scratch_mb: float = 16.0


class HookProcess:
    """A hook of one bundle. Calls come from several threads and wait for each other."""

    def __init__(
        self,
        kind: HookKind,
        source: bytes,
        tensors: Sequence[Tensor],
        *,
        command: Sequence[str],
        timer: Timer,
        limits: HookLimits | None = None,
    ) -> None:
        self.kind = kind
        self._limits = limits or HookLimits()
        self._contract = Contract(inputs=tuple(tensors), outputs=tuple(tensors))
        self._timer = timer
        self._lock = threading.Lock()
        self._starts: deque[float] = deque(maxlen=STARTS_MOST)
        self._child: ChildModel | None = None
        self._why = ""
        _sweep(Path(tempfile.gettempdir()))
        self._folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        _fs.make_dirs(self._folder / SCRATCH)
        (self._folder / SOURCE).write_bytes(source)
        mine = (kind, f"{self._limits.memory_mb:g}", f"{self._limits.scratch_mb:g}")
        self._order = ChildOrder(command=(*command, *mine), environment=ENVIRONMENT)

    def start(self) -> None:
        """Have the child, so that a hook which cannot be loaded is found before it is needed.

        Raises:
            DeviceError: it cannot be loaded.
        """
        with self._lock:
            self._running()

    def call(self, arrays: Arrays) -> dict[str, Array]:
        """The hook's answer.

        Raises:
            InputError: the hook refuses the request.
            DeviceError: it gave no answer of the right names and types, for whatever reason.
        """
        with self._lock:
            child = self._running()
            self._limit_processor(child.pid)
            try:
                answer = child.predict_checked(arrays)
            except CandidateError as error:
                if error.kind == REFUSED:
                    raise InputError(f"{self.kind}.py refuses the request: {error}") from error
                raise self._failed(str(error)) from error
            except EdgewrightError as error:
                child.close()
                raise self._failed(str(error)) from error
            self._watch_scratch(child)
            return answer

    def close(self) -> None:
        """End the child and remove what it wrote."""
        with self._lock:
            if self._child:
                self._child.close()
            self._starts.clear()
            _fs.remove_tree(self._folder)

    def _running(self) -> ChildModel:
        if self._child and not self._child.broken:
            return self._child
        if self._child:
            self._why = self._child.broken
            self._child.close()
        self._require_start()
        scratch = self._folder / SCRATCH
        _fs.remove_tree(scratch)
        _fs.make_dirs(scratch)
        child = ChildModel(self._order, self._contract, self._folder, self._timer)
        child.patience_s = START_S
        self._child = child
        try:
            child.greet()
        except CandidateError as error:
            child.close()
            raise self._failed(str(error)) from error
        child.patience_s = self._limits.call_s
        return child

    def _require_start(self) -> None:
        """A hook that ends again and again is not started for every request."""
        now_s = self._timer()
        if len(self._starts) == STARTS_MOST and now_s - self._starts[0] < STARTS_WINDOW_S:
            raise self._failed(
                f"it was started {STARTS_MOST} times within {STARTS_WINDOW_S:g} s and ended: "
                f"{self._why}"
            )
        self._starts.append(now_s)

    def _limit_processor(self, pid: int) -> None:
        """Seconds of the processor from now on; it may not catch the signal."""
        with contextlib.suppress(ProcessLookupError, PermissionError, FileNotFoundError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            used_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            most_s = int(used_s) + 1 + self._limits.cpu_s
            resource.prlimit(pid, resource.RLIMIT_CPU, (most_s, resource.RLIM_INFINITY))

    def _watch_scratch(self, child: ChildModel) -> None:
        files = (path for path in (self._folder / SCRATCH).rglob("*") if path.is_file())
        used_mb = sum(path.lstat().st_size for path in files) / MIB
        if used_mb > self._limits.scratch_mb:
            child.close()
            raise self._failed(
                f"its scratch folder holds {used_mb:.1f} MB, the limit is "
                f"{self._limits.scratch_mb:g} MB"
            )

    def _failed(self, why: str) -> DeviceError:
        return DeviceError(f"{self.kind}.py: {why}", hint="the bundle's maker must mend its hook")


def _sweep(folder: Path) -> None:
    """Remove what processes left that were killed."""
    for path in folder.glob(f"{PREFIX}*"):
        number = path.name.removeprefix(PREFIX).partition("-")[0]
        if number.isdigit() and not Path(f"/proc/{number}").exists():
            with contextlib.suppress(ResourceError):  # another user's
                _fs.remove_tree(path)
