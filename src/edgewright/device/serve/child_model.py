"""A model in a process of its own: it may crash, hang or leak there, and the server goes on.

One request at a time goes over a socket pair and must come back within a patience. What ends the
child (a crash, silence, too much memory) breaks it for good: from then on every request is refused
at once, and whoever holds it lets the old model answer.
"""

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgewright.contract import Contract, decode_json
from edgewright.device.serve.ports import Array, Arrays, Timer
from edgewright.errors import DeviceError
from edgewright.wire.candidate import (
    HEAD_BYTES,
    Ask,
    Packed,
    Reply,
    decode_frame,
    encode_frame,
    frame_size,
)

START_S = 60.0
PATIENCE_S = 1.0
PATIENCE_RUNS = 20.0
WATCH_S = 0.2
GROWTH_MB = 128.0
MIB = 1 << 20
REFUSED = "refused"
"""The kind of an answer that blames the request: the old model decides about it."""
CHUNK_BYTES = 1 << 20


class CandidateError(DeviceError):
    """The child gave no answer; `kind` is the metric's label."""

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class ChildOrder(msgspec.Struct, frozen=True, kw_only=True):
    """How a child is started, and what it may use; 0 is no limit but that of growth beyond what it
    began with. Without an environment of its own it has its parent's.
    """

    command: Sequence[str]
    memory_mb: float = 0.0
    growth_mb: float = GROWTH_MB
    environment: Mapping[str, str] | None = None


class ChildModel:
    """A `Model` in a child process. Without a contract it takes the one that the child infers."""

    def __init__(
        self, order: ChildOrder, contract: Contract | None, path: Path, timer: Timer
    ) -> None:
        self._contract = contract
        self.broken = ""
        self.run_s = 0.0
        self.patience_s = START_S
        self._order = order
        self._timer = timer
        self._lock = threading.Lock()
        self._watched_s = 0.0
        self._first_mb = 0.0
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [*order.command, str(theirs.fileno()), str(path)],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                env=order.environment,
            )

    @property
    def contract(self) -> Contract:
        """What it takes and gives."""
        if self._contract is None:
            raise CandidateError("it has not said what it takes", kind="load")
        return self._contract

    @property
    def pid(self) -> int:
        """The child's number."""
        return self._process.pid

    def has_ended(self) -> bool:
        """Whether the child has ended by itself; then it is broken."""
        if not self.broken and self._process.poll() is not None:
            self._break(self._ending())
        return bool(self.broken)

    def end(self, reason: str) -> None:
        """End the child, for this reason."""
        self._break(reason)

    def greet(self) -> None:
        """Wait until the model is loaded in there.

        Raises:
            CandidateError: it cannot be, or not in time.
        """
        reply = self._exchanged(None)
        if reply.error:
            self._break(reply.error)
            raise CandidateError(reply.error, kind="load")
        if self._contract is None:
            self._contract = decode_json(reply.contract, Contract, source="the child's contract")
        self._first_mb = resident_mb(self.pid)

    def settle(self, single_s: float) -> None:
        """From now on no answer may take longer than many times what one takes."""
        self.patience_s = max(PATIENCE_S, PATIENCE_RUNS * single_s)

    def predict_checked(self, arrays: Arrays) -> dict[str, Array]:
        """The child's answer.

        Raises:
            CandidateError: there is none, for whatever reason.
        """
        if self.broken:
            raise CandidateError(self.broken, kind="broken")
        reply = self._exchanged(Ask(pack(arrays)))
        if reply.error:
            raise CandidateError(reply.error, kind=REFUSED if reply.is_refusal else "engine")
        answer = unpack(reply.arrays)
        self._check(answer)
        self.run_s = reply.run_s
        self._watch_memory()
        return answer

    def close(self) -> None:
        """End the child."""
        self._break("it was let go")
        self._socket.close()

    def _exchanged(self, ask: Ask | None) -> Reply:
        with self._lock:
            if self.broken:
                raise CandidateError(self.broken, kind="broken")
            until_s = self._timer() + self.patience_s
            try:
                if ask is not None:
                    self._socket.settimeout(self.patience_s)
                    self._socket.sendall(encode_frame(ask))
                head = self._read(HEAD_BYTES, until_s)
                return decode_frame(head + self._read(frame_size(head), until_s), Reply)
            except TimeoutError:
                reason, kind = f"no answer within {self.patience_s:.3g} s", "hang"
            except (OSError, EOFError):
                reason, kind = self._ending(), "crash"
            self._break(reason)
        raise CandidateError(reason, kind=kind)

    def _read(self, size_bytes: int, until_s: float) -> bytes:
        content = bytearray()
        while len(content) < size_bytes:
            left_s = until_s - self._timer()
            if left_s <= 0:
                raise TimeoutError
            self._socket.settimeout(left_s)
            chunk = self._socket.recv(min(CHUNK_BYTES, size_bytes - len(content)))
            if not chunk:
                raise EOFError
            content += chunk
        return bytes(content)

    def _ending(self) -> str:
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return "the child closed its door"
        return f"the child {_how(code)}"

    def _break(self, reason: str) -> None:
        self.broken = self.broken or reason
        # Once it was waited for, its number may be somebody else's.
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _check(self, answer: Mapping[str, Array]) -> None:
        """The answer must be of the contract and finite; the child says so too, but may lie."""
        for tensor in self.contract.outputs:
            array = answer.get(tensor.name)
            if array is None or (
                tensor.dtype != "string" and array.dtype != np.dtype(tensor.dtype)
            ):
                raise CandidateError(f"output {tensor.name!r} is not of contract", kind="contract")
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise CandidateError(f"output {tensor.name!r} holds NaN or infinity", kind="nan")

    def _watch_memory(self) -> None:
        now_s = self._timer()
        if now_s - self._watched_s < WATCH_S:
            return
        self._watched_s = now_s
        used_mb = resident_mb(self.pid)
        limit_mb = max(self._first_mb + self._order.growth_mb, 2 * self._first_mb)
        if self._order.memory_mb:
            limit_mb = min(limit_mb, self._order.memory_mb)
        if used_mb > limit_mb:
            reason = (
                f"it uses {used_mb:.0f} MB and began with {self._first_mb:.0f} MB, the limit is "
                f"{limit_mb:.0f} MB"
            )
            self._break(reason)
            raise CandidateError(reason, kind="memory")


def pack(arrays: Arrays) -> tuple[Packed, ...]:
    """Arrays for the way between two processes."""
    return tuple(_packed(name, array) for name, array in arrays.items())


def unpack(packed: Sequence[Packed]) -> dict[str, Array]:
    """The arrays again.

    Raises:
        CandidateError: one's content does not fill its shape.
    """
    try:
        return {one.name: _unpacked(one) for one in packed}
    except (ValueError, TypeError) as error:
        raise CandidateError(f"an answer that is no array: {error}", kind="contract") from error


def _packed(name: str, array: Array) -> Packed:
    if array.dtype.kind == "O":
        return Packed(name, "string", array.shape, texts=tuple(map(str, array.ravel().tolist())))
    content = np.ascontiguousarray(array).tobytes()
    return Packed(name, array.dtype.str, array.shape, content)


def _unpacked(packed: Packed) -> "np.ndarray[Any, Any]":
    if packed.dtype == "string":
        return np.array(packed.texts, dtype=object).reshape(packed.shape)
    flat = np.frombuffer(packed.content, np.dtype(packed.dtype))
    return flat.reshape(packed.shape).copy()


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"died by {signal.Signals(-code).name}"
    except ValueError:
        return f"died by signal {-code}"


def resident_mb(pid: int) -> float:
    """Memory that a process holds now, in MiB; 0 when it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB
