"""LiteRT (TensorFlow Lite): Arm and x86 CPUs through XNNPACK, and Coral's Edge TPU by its delegate.

Names are those of the model's signature where it has exactly one, else those of its tensors.
"""

import contextlib
import ctypes
import threading
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Delegate, Interpreter, load_delegate

from edgewright._fs import read_limited
from edgewright.errors import DeviceError, InputError, UnavailableError
from edgewright.runtimes.base import (
    Array,
    Availability,
    EngineTensor,
    Placement,
    compile_feeds,
    first_line,
)

MODEL_LIMIT_BYTES = 2 << 30
EDGE_TPU_LIBRARY = "libedgetpu.so.1"

_IDENTIFIER = slice(4, 8)
_EDGE_TPU_OP = b"edgetpu-custom-op"
_EDGE_TPU_INSTALL = "install Coral's Debian package libedgetpu1-std and attach the device"


class LiteRtRuntime:
    """The engine on the CPU."""

    name = "litert"
    formats: tuple[str, ...] = ("litert",)

    def availability(self) -> Availability:
        """Importing this file already showed that it is here."""
        return Availability(available=True, version=version("ai-edge-litert"))

    def open(self, path: Path, *, threads: int = 1) -> "LiteRtSession":
        """Load a model file; see `Runtime.open`."""
        content = _read(path)
        if _EDGE_TPU_OP in content:
            raise InputError(
                f"{path}: compiled for the Edge TPU, a CPU cannot run it",
                hint="run it on a machine with one, or take the file it was compiled from",
            )
        with _load_errors(path):
            interpreter = Interpreter(model_content=content, num_threads=threads)
            interpreter.allocate_tensors()
        return LiteRtSession(interpreter, _cpu_placement(interpreter, threads))


class EdgeTpuRuntime:
    """The engine with Coral's delegate. Written against Coral's documented interface; not verified
    on hardware.
    """

    name = "edgetpu"
    formats: tuple[str, ...] = ("edgetpu",)

    def availability(self) -> Availability:
        """Whether the delegate loads, which it does when a device is attached."""
        try:
            _edge_tpu()
        except UnavailableError as error:
            return Availability(available=False, reason=error.message, install=error.hint)
        return Availability(available=True, version=version("ai-edge-litert"))

    def open(self, path: Path, *, threads: int = 1) -> "LiteRtSession":
        """Load a file that the Edge TPU compiler wrote; see `Runtime.open`."""
        content = _read(path)
        if _EDGE_TPU_OP not in content:
            raise InputError(
                f"{path}: not compiled for the Edge TPU, all of it would run on the CPU",
                hint="`edgewright convert --to edgetpu` it first",
            )
        delegate = _edge_tpu()
        with _load_errors(path):
            interpreter = Interpreter(
                model_content=content, num_threads=threads, experimental_delegates=[delegate]
            )
            interpreter.allocate_tensors()
        names = _operators(interpreter)
        left = sum(name not in {"edgetpu-custom-op", "DELEGATE"} for name in names)
        placement = Placement(
            engine="litert",
            device="Edge TPU",
            precision="int8",
            threads=threads,
            elsewhere={"CPU": left} if left else {},
        )
        return LiteRtSession(interpreter, placement)


class LiteRtSession:
    """A loaded LiteRT model. Passes take turns."""

    def __init__(self, interpreter: Interpreter, placement: Placement) -> None:
        self.placement = placement
        self._interpreter = interpreter
        self._ins = _details(interpreter, "inputs")
        self._outs = _details(interpreter, "outputs")
        self.inputs = tuple(_tensor(name, one) for name, one in self._ins.items())
        self.outputs = tuple(_tensor(name, one) for name, one in self._outs.items())
        self._shapes = {name: tuple(one["shape"]) for name, one in self._ins.items()}
        self._lock = threading.Lock()
        self._checked = compile_feeds(self.inputs)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """One pass; see `Session.run`."""
        checked = self._checked(feeds)
        try:
            with self._lock:
                self._fit(checked)
                for name, one in self._ins.items():
                    self._interpreter.set_tensor(one["index"], checked[name])
                self._interpreter.invoke()
                return {
                    name: self._interpreter.get_tensor(one["index"])
                    for name, one in self._outs.items()
                }
        except Exception as error:
            raise DeviceError(
                f"litert failed: {first_line(error)}", hint="verify the model on this device"
            ) from error

    def close(self) -> None:
        """Let go of the model's memory."""
        del self._interpreter

    def _fit(self, feeds: Mapping[str, Array]) -> None:
        shapes = {name: feeds[name].shape for name in self._ins}
        if shapes == self._shapes:
            return
        self._shapes = {}
        for name, one in self._ins.items():
            self._interpreter.resize_tensor_input(one["index"], shapes[name], strict=True)
        self._interpreter.allocate_tensors()
        self._shapes = shapes


def _read(path: Path) -> bytes:
    content = read_limited(path, limit_bytes=MODEL_LIMIT_BYTES)
    if content[_IDENTIFIER] != b"TFL3":
        raise InputError(f"{path}: no LiteRT model (its identifier TFL3 is absent)")
    return content


def _edge_tpu() -> Delegate:
    try:
        # Asked first, because LiteRT's own loader stumbles over a library that is absent.
        ctypes.CDLL(EDGE_TPU_LIBRARY)
        return load_delegate(EDGE_TPU_LIBRARY)
    except (ValueError, OSError, RuntimeError) as error:
        raise UnavailableError(
            f"no Edge TPU can be used here: {first_line(error)}", hint=_EDGE_TPU_INSTALL
        ) from error


def _cpu_placement(interpreter: Interpreter, threads: int) -> Placement:
    """XNNPACK takes over what it can as delegate nodes; the rest runs on LiteRT's own kernels."""
    names = _operators(interpreter)
    own = sum(name != "DELEGATE" for name in names)
    if own == len(names):
        return Placement(engine="litert", device="CPU", precision="as-is", threads=threads)
    return Placement(
        engine="litert",
        device="CPU (XNNPACK)",
        precision="as-is",
        threads=threads,
        elsewhere={"LiteRT's own kernels": own} if own else {},
    )


def _operators(interpreter: Interpreter) -> list[str]:
    """Names in the execution plan: a delegate's node stands for those that it replaced."""
    details: list[dict[str, Any]] = interpreter._get_ops_details()  # noqa: SLF001  # no public way
    replaced: set[int] = set()
    for one in details:
        if one["op_name"] == "DELEGATE":
            replaced |= _inner_tensors(one, details)
    return [
        one["op_name"]
        for one in details
        if one["op_name"] == "DELEGATE" or not set(one["outputs"]) <= replaced
    ]


def _inner_tensors(delegate: dict[str, Any], details: list[dict[str, Any]]) -> set[int]:
    """What the operators behind a delegate's node write: everything between its inputs and
    outputs.
    """
    writers = {
        int(t): one for one in details if one["op_name"] != "DELEGATE" for t in one["outputs"]
    }
    found: set[int] = set()
    queue = [int(tensor) for tensor in delegate["outputs"]]
    stop = {int(tensor) for tensor in delegate["inputs"]}
    while queue:
        tensor = queue.pop()
        if tensor in found or tensor in stop or tensor not in writers:
            continue
        found |= {int(t) for t in writers[tensor]["outputs"]}
        queue += [int(t) for t in writers[tensor]["inputs"]]
    return found


def _details(interpreter: Interpreter, side: str) -> dict[str, dict[str, Any]]:
    """Tensor details by name, in the order of the model."""
    ask = interpreter.get_input_details if side == "inputs" else interpreter.get_output_details
    listed: list[dict[str, Any]] = ask()
    signatures = interpreter.get_signature_list()
    if len(signatures) == 1:
        key = next(iter(signatures))
        runner = interpreter.get_signature_runner(key)
        named = runner.get_input_details() if side == "inputs" else runner.get_output_details()
        by_index = {one["index"]: name for name, one in named.items()}
        if set(by_index) == {one["index"] for one in listed}:
            return {by_index[one["index"]]: one for one in listed}
    return {one["name"]: one for one in listed}


def _tensor(name: str, details: dict[str, Any]) -> EngineTensor:
    signature = details["shape_signature"]
    sizes = signature if len(signature) == len(details["shape"]) else details["shape"]
    return EngineTensor(
        name=name,
        dtype=np.dtype(details["dtype"]).name,
        shape=tuple(None if size < 0 else int(size) for size in sizes),
    )


@contextlib.contextmanager
def _load_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise InputError(
            f"{path}: litert cannot load it: {first_line(error)}",
            hint="check that it is a whole .tflite file with operators that LiteRT knows",
        ) from error
