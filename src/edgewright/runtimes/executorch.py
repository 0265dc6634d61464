"""ExecuTorch, in a process of its own.

Its Python binding brings all of torch (some 230 MB and seconds of start-up), so the process that
asks keeps clear of it: the child maps one piece of memory together with us, arrays lie there, and
only their shapes go through a pipe. One thread unless told otherwise; ExecuTorch itself would take
every core. The cost of asking a neighbour is part of every latency that is measured here.
"""

import contextlib
import mmap
import os
import selectors
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import IO, BinaryIO

import msgspec
import numpy as np

from edgewright._fs import read_limited
from edgewright.errors import DeviceError, InputError, UnavailableError
from edgewright.runtimes._executorch_messages import (
    Answered,
    Ask,
    Failed,
    Opened,
    Reply,
    framed,
    offsets,
    read_frame,
)
from edgewright.runtimes.base import (
    Array,
    Availability,
    EngineTensor,
    Placement,
    compile_feeds,
)

MODEL_LIMIT_BYTES = 2 << 30
OPEN_LIMIT_S = 180.0
RUN_LIMIT_S = 120.0
_CLOSE_LIMIT_S = 5.0

_IDENTIFIER = slice(4, 8)
_CHILD = "edgewright.runtimes._executorch_child"
_INSTALL = "pip install 'edgewright[executorch]'"


class ExecuTorchRuntime:
    """The engine itself."""

    name = "executorch"
    formats = ("executorch",)

    def availability(self) -> Availability:
        """Whether its package and torch are installed; they are loaded in the child only."""
        missing = [name for name in ("executorch", "torch") if find_spec(name) is None]
        if missing:
            return Availability(
                available=False,
                reason=f"{' and '.join(missing)} not installed",
                install=_INSTALL,
            )
        return Availability(available=True, version=version("executorch"))

    def open(self, path: Path, *, threads: int = 1) -> "ExecuTorchSession":
        """Load a model file; see `Runtime.open`."""
        state = self.availability()
        if not state.available:
            raise UnavailableError(
                f"engine 'executorch' cannot run here: {state.reason}", hint=state.install
            )
        content = read_limited(path, limit_bytes=MODEL_LIMIT_BYTES)
        if content[_IDENTIFIER] != b"ET12":
            raise InputError(f"{path}: no ExecuTorch program (its identifier ET12 is absent)")
        return ExecuTorchSession(_Child(path, threads), path)


class ExecuTorchSession:
    """A loaded program. Passes take turns."""

    def __init__(self, child: "_Child", path: Path) -> None:
        self._child = child
        opened = child.opened(path)
        self.inputs = opened.signature.inputs
        self.outputs = opened.signature.outputs
        self.placement = Placement(
            engine="executorch",
            device=f"CPU ({', '.join(opened.backends)})" if opened.backends else "CPU (portable)",
            precision="as-is",
            threads=opened.threads,
        )
        self._slots = opened.slots
        self._offsets, size = offsets(opened.slots)
        self._memory = mmap.mmap(child.memory_fd, max(size, mmap.PAGESIZE))
        self._lock = threading.Lock()
        self._checked = compile_feeds(self.inputs)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """One pass; see `Session.run`."""
        checked = self._checked(feeds)
        with self._lock:
            for position, tensor in enumerate(self.inputs):
                self._lay(position, tensor, checked[tensor.name])
            shapes = tuple(checked[tensor.name].shape for tensor in self.inputs)
            reply = self._child.ask(Ask(shapes=shapes))
            if isinstance(reply, Failed):
                raise DeviceError(
                    f"executorch failed: {reply.text}", hint="verify the model on this device"
                )
            if not isinstance(reply, Answered):
                raise DeviceError("executorch's process answered out of turn")
            first = len(self.inputs)
            return {
                tensor.name: self._view(first + position, tensor.dtype, shape).copy()
                for position, (tensor, shape) in enumerate(
                    zip(self.outputs, reply.shapes, strict=True)
                )
            }

    def helper_cpu_s(self) -> float:
        """See `Helped`."""
        return self._child.cpu_s()

    def close(self) -> None:
        """End the process, and let go of the memory."""
        self._child.close()
        # Where an answer is still being copied the memory goes with it.
        with contextlib.suppress(BufferError):
            self._memory.close()

    def _lay(self, position: int, tensor: EngineTensor, array: Array) -> None:
        if array.nbytes > self._slots[position]:
            raise InputError(
                f"engine input {tensor.name!r} of shape {list(array.shape)} holds "
                f"{array.nbytes} bytes, the program was made for at most {self._slots[position]}",
                hint="send fewer rows at a time",
            )
        self._view(position, tensor.dtype, array.shape)[...] = array

    def _view(self, position: int, dtype: str, shape: tuple[int, ...]) -> Array:
        count = int(np.prod(shape, dtype=np.int64))
        flat = np.frombuffer(self._memory, dtype, count, self._offsets[position])
        return flat.reshape(shape)


class _Child:
    """The process, the pipes and the shared memory's descriptor."""

    def __init__(self, path: Path, threads: int) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as we do
        self.memory_fd = _memory_fd()
        ask_read, ask_write = os.pipe()
        answer_read, answer_write = os.pipe()
        inherited = (self.memory_fd, ask_read, answer_write)
        self._process = subprocess.Popen(
            [sys.executable, "-m", _CHILD, str(path), str(threads), *map(str, inherited)],
            pass_fds=inherited,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )
        os.close(ask_read)
        os.close(answer_write)
        self._asks = os.fdopen(ask_write, "wb", buffering=0)
        self._answers: BinaryIO = os.fdopen(answer_read, "rb")
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._answers, selectors.EVENT_READ)

    def opened(self, path: Path) -> Opened:
        """What the child says of the program.

        Raises:
            InputError: it cannot load it.
        """
        try:
            reply = self._reply(OPEN_LIMIT_S)
        except DeviceError as error:
            self.close()
            raise InputError(f"{path}: executorch cannot load it: {error.message}") from error
        if isinstance(reply, Opened):
            return reply
        self.close()
        text = reply.text if isinstance(reply, Failed) else "it answered out of turn"
        raise InputError(
            f"{path}: executorch cannot load it: {text.strip().splitlines()[0][:300]}",
            hint="check that it is a whole .pte file whose delegates this build has",
        )

    def ask(self, ask: Ask) -> Reply:
        """One pass in the child.

        Raises:
            DeviceError: it is gone, or does not answer in time.
        """
        try:
            self._asks.write(framed(ask))
        except (OSError, ValueError) as error:
            raise DeviceError(f"executorch's process is gone: {self._last_words()}") from error
        return self._reply(RUN_LIMIT_S)

    def cpu_s(self) -> float:
        """Seconds that the child has had a core, all its threads together.

        Raises:
            DeviceError: it is gone.
        """
        # Linux: the clock of another process (CPUCLOCK_SCHED), as clock_getcpuclockid(3) gives it.
        try:
            return time.clock_gettime(~self._process.pid << 3 | 2)
        except OSError as error:
            raise DeviceError(f"executorch's process is gone: {self._last_words()}") from error

    def close(self) -> None:
        """Close the pipes; the child ends by itself, or is ended."""
        if self._asks.closed:
            return
        self._asks.close()
        try:
            self._process.wait(_CLOSE_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._selector.close()
        self._answers.close()
        self._log.close()
        os.close(self.memory_fd)

    def _reply(self, limit_s: float) -> Reply:
        if not self._selector.select(limit_s):
            self._process.kill()
            raise DeviceError(f"executorch's process did not answer within {limit_s:g} s")
        frame = read_frame(self._answers)
        if not frame:
            raise DeviceError(f"executorch's process ended: {self._last_words()}")
        reply: Reply = msgspec.msgpack.decode(frame, type=Reply)
        return reply

    def _last_words(self) -> str:
        code = self._process.wait(_CLOSE_LIMIT_S)
        self._log.seek(0)
        lines = self._log.read()[-2000:].decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else f"exit code {code}"


def _memory_fd() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("edgewright-executorch")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
