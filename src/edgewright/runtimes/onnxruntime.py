"""ONNX Runtime, on the CPU, with the settings that are right on a small shared box.

One thread unless told otherwise and no spinning (the default costs twice the throughput beside
other work). The graph must be one file: weights beside it are refused by ONNX Runtime when the
bytes alone are given, which is how files from a bundle's blob folder are opened.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort

from edgewright._fs import read_limited
from edgewright.errors import DeviceError, InputError
from edgewright.runtimes.base import Array, Availability, EngineTensor, compile_feeds

MODEL_LIMIT_BYTES = 2 << 30

_DTYPES = {
    "tensor(bool)": "bool",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(float16)": "float16",
    "tensor(float)": "float32",
    "tensor(double)": "float64",
}


class OnnxRuntime:
    """The engine itself."""

    name = "onnxruntime"
    formats = ("onnx",)

    def availability(self) -> Availability:
        """Importing this file already showed that it is here."""
        return Availability(available=True, version=ort.__version__)

    def open(self, path: Path, *, threads: int = 1) -> "OnnxSession":
        """Load a model file; see `Runtime.open`."""
        content = read_limited(path, limit_bytes=MODEL_LIMIT_BYTES)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        with _load_errors(path):
            return OnnxSession(
                ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            )


class OnnxSession:
    """A loaded ONNX model."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self.inputs = tuple(_tensor(node) for node in session.get_inputs())
        self.outputs = tuple(_tensor(node) for node in session.get_outputs())
        self._names = [tensor.name for tensor in self.outputs]
        self._checked = compile_feeds(self.inputs)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """One pass; see `Session.run`."""
        checked = self._checked(feeds)
        try:
            results = self._session.run(self._names, checked)
        except Exception as error:
            raise DeviceError(
                f"onnxruntime failed: {_first_line(error)}", hint="verify the model on this device"
            ) from error
        return dict(zip(self._names, map(np.asarray, results), strict=True))

    def close(self) -> None:
        """Let go of the model's memory."""
        del self._session


@contextlib.contextmanager
def _load_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise InputError(
            f"{path}: onnxruntime cannot load it: {_first_line(error)}",
            hint="check that it is a whole ONNX file whose weights are inside",
        ) from error


def _tensor(node: ort.NodeArg) -> EngineTensor:
    if node.type not in _DTYPES:
        raise InputError(f"tensor {node.name!r} has type {node.type}, which is not supported")
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in node.shape)
    return EngineTensor(name=node.name, dtype=_DTYPES[node.type], shape=shape)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
