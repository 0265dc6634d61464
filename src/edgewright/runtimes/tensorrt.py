"""TensorRT engines (`.engine`), which run only on the kind of GPU that they were built on.

Written against TensorRT 10's documented interface (named tensors, `execute_async_v3`) and the
runtime binding of cuda-python. Not verified on hardware.
"""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorrt as trt
from cuda.bindings import runtime as cuda

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

MODEL_LIMIT_BYTES = 4 << 30
_INSTALL = "run on a machine with an NVIDIA GPU, its driver and TensorRT (part of JetPack)"


class TensorRtRuntime:
    """The engine itself."""

    name = "tensorrt"
    formats = ("tensorrt",)

    def availability(self) -> Availability:
        """Whether a GPU answers."""
        code, count = cuda.cudaGetDeviceCount()
        if code != cuda.cudaError_t.cudaSuccess or not count:
            return Availability(
                available=False,
                version=trt.__version__,
                reason=f"no NVIDIA GPU answers ({code.name})",
                install=_INSTALL,
            )
        return Availability(available=True, version=trt.__version__)

    def open(self, path: Path, *, threads: int = 1) -> "TensorRtSession":
        """Load an engine; see `Runtime.open`. A GPU has no threads to count."""
        content = read_limited(path, limit_bytes=MODEL_LIMIT_BYTES)
        state = self.availability()
        if not state.available:
            raise UnavailableError(state.reason, hint=state.install)
        with _load_errors(path):
            runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
            engine = runtime.deserialize_cuda_engine(content)
            if engine is None:
                raise ValueError("built for another GPU or another TensorRT, or not whole")
            return TensorRtSession(engine)


class TensorRtSession:
    """A loaded engine with its buffers on the GPU. Passes take turns."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._context = engine.create_execution_context()
        self._stream = _done(cuda.cudaStreamCreate())
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        is_input = {name: engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT for name in names}
        self.inputs = tuple(self._tensor(name) for name in names if is_input[name])
        self.outputs = tuple(self._tensor(name) for name in names if not is_input[name])
        self.placement = Placement(engine="tensorrt", device="CUDA", precision="as-is", threads=1)
        self._buffers: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()
        self._checked = compile_feeds(self.inputs)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """One pass; see `Session.run`."""
        checked = self._checked(feeds)
        try:
            with self._lock:
                return self._pass(checked)
        except Exception as error:
            raise DeviceError(
                f"tensorrt failed: {first_line(error)}", hint="build the engine on this device"
            ) from error

    def close(self) -> None:
        """Let go of the GPU's memory."""
        for address, _ in self._buffers.values():
            _done(cuda.cudaFree(address))
        self._buffers.clear()
        _done(cuda.cudaStreamDestroy(self._stream))
        del self._context, self._engine

    def _pass(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        for name, array in feeds.items():
            self._context.set_input_shape(name, array.shape)
            address = self._buffer(name, array.nbytes)
            kind = cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
            _done(
                cuda.cudaMemcpyAsync(address, array.ctypes.data, array.nbytes, kind, self._stream)
            )
        answers = {}
        for tensor in self.outputs:
            shape = tuple(self._context.get_tensor_shape(tensor.name))
            answers[tensor.name] = np.empty(shape, tensor.dtype)
            self._buffer(tensor.name, answers[tensor.name].nbytes)
        if not self._context.execute_async_v3(self._stream):
            raise RuntimeError("the engine refused to run")
        for name, array in answers.items():
            kind = cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
            address = self._buffers[name][0]
            _done(
                cuda.cudaMemcpyAsync(array.ctypes.data, address, array.nbytes, kind, self._stream)
            )
        _done(cuda.cudaStreamSynchronize(self._stream))
        return answers

    def _buffer(self, name: str, size_bytes: int) -> int:
        """Memory on the GPU that is large enough, told to the engine."""
        address, have = self._buffers.get(name, (0, 0))
        if have < size_bytes:
            if have:
                _done(cuda.cudaFree(address))
            address = _done(cuda.cudaMalloc(size_bytes))
            self._buffers[name] = (address, size_bytes)
            self._context.set_tensor_address(name, address)
        return address

    def _tensor(self, name: str) -> EngineTensor:
        return EngineTensor(
            name=name,
            dtype=np.dtype(trt.nptype(self._engine.get_tensor_dtype(name))).name,
            shape=tuple(None if size < 0 else size for size in self._engine.get_tensor_shape(name)),
        )


def _done(result: tuple[Any, ...]) -> Any:
    """What a CUDA call gave, once its code says success."""
    code, *values = result
    if code != cuda.cudaError_t.cudaSuccess:
        raise RuntimeError(f"CUDA: {code.name}")
    return values[0] if values else None


@contextlib.contextmanager
def _load_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise InputError(
            f"{path}: tensorrt cannot load it: {first_line(error)}",
            hint="engines do not travel: build it on this device",
        ) from error
