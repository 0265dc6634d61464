"""ONNX Runtime, with the settings that are right on a small shared box.

One thread unless told otherwise and no spinning (the default costs twice the throughput beside
other work). The graph must be one file: weights outside of a graph that comes as bytes are looked
for below the process's own folder, where anybody may have put them and no hash covers them. So ONNX
Runtime is told to look where nothing can be.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import onnxruntime as ort

from edgewright._fs import read_limited
from edgewright.errors import DeviceError, InputError, UnavailableError
from edgewright.runtimes._onnxruntime_bound import BoundPass, BoundPasses
from edgewright.runtimes.base import (
    Array,
    Availability,
    EngineTensor,
    Placement,
    compile_feeds,
    first_line,
)

MODEL_LIMIT_BYTES = 2 << 30

_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
_CPU = "CPUExecutionProvider"
_GPU_INSTALL = "install onnxruntime-gpu in the place of onnxruntime, with NVIDIA's libraries"

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
    """The engine on one of its execution providers; nodes that the provider refuses run on the CPU,
    and the session's placement counts them.
    """

    name = "onnxruntime"
    formats: tuple[str, ...] = ("onnx",)
    device = "CPU"
    provider = _CPU

    def availability(self) -> Availability:
        """Importing this file already showed that the engine is here, not that the provider is."""
        if self.provider in ort.get_available_providers():
            return Availability(available=True, version=ort.__version__)
        return Availability(
            available=False,
            version=ort.__version__,
            reason=f"this onnxruntime has no {self.provider}",
            install=_GPU_INSTALL,
        )

    def open(self, path: Path, *, threads: int = 1) -> "OnnxSession":
        """Load a model file; see `Runtime.open`."""
        state = self.availability()
        if not state.available:
            raise UnavailableError(state.reason, hint=state.install)
        content = read_limited(path, limit_bytes=MODEL_LIMIT_BYTES)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry(_WEIGHTS_FOLDER, os.devnull)
        if self.provider != _CPU:
            options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        with _load_errors(path):
            session = ort.InferenceSession(
                content, options, providers=list(dict.fromkeys([self.provider, _CPU]))
            )
        if self.provider not in session.get_providers():
            raise UnavailableError(
                f"onnxruntime could not start {self.provider} and would fall back to the CPU",
                hint=f"check the driver; {_GPU_INSTALL}",
            )
        return OnnxSession(session, _placement(session, self, threads))


class CudaOnnxRuntime(OnnxRuntime):
    """On an NVIDIA GPU. It claims no format: who asks for a format gets the CPU unless told."""

    name = "onnxruntime-cuda"
    formats = ()
    device = "CUDA"
    provider = "CUDAExecutionProvider"


class TensorRtOnnxRuntime(OnnxRuntime):
    """On an NVIDIA GPU through TensorRT, which compiles the graph when it is loaded."""

    name = "onnxruntime-tensorrt"
    formats = ()
    device = "TensorRT"
    provider = "TensorrtExecutionProvider"


class OnnxSession:
    """A loaded ONNX model."""

    def __init__(self, session: ort.InferenceSession, placement: Placement) -> None:
        self._session = session
        self.placement = placement
        self.inputs = tuple(_tensor(node) for node in session.get_inputs())
        self.outputs = tuple(_tensor(node) for node in session.get_outputs())
        self._names = [tensor.name for tensor in self.outputs]
        self._run = _plain_run(session)
        self._settings = ort.RunOptions()
        self._checked = compile_feeds(self.inputs)
        self._bound = BoundPasses(session)
        self._may_bind = placement.device == "CPU"

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """One pass; see `Session.run`."""
        quick = self._bound.run(feeds)
        if quick is not None:
            return quick
        checked = self._checked(feeds)
        try:
            results = self._run(self._names, checked, self._settings)
        except Exception as error:
            raise DeviceError(
                f"onnxruntime failed: {first_line(error)}", hint="verify the model on this device"
            ) from error
        outputs = dict(zip(self._names, results, strict=True))
        if self._may_bind:
            self._bound.learn(checked, outputs)
        return outputs

    def bind(self, feeds: Mapping[str, Array]) -> BoundPass | None:
        """A pass that keeps its tensors; see `Bindable.bind`."""
        return self._bound.bind(feeds, self.run(feeds)) if self._may_bind else None

    def close(self) -> None:
        """Let go of the model's memory."""
        self._bound.close()
        del self._session, self._run


def _plain_run(session: ort.InferenceSession) -> Callable[..., list[Array]]:
    """The engine's own call. `InferenceSession.run` checks once more what was checked here, and
    where a provider fails it would ask another one by itself: a silent fallback, so it is off.
    """
    session.disable_fallback()
    inner = getattr(session, "_sess", None)
    run: Callable[..., list[Array]] = session.run if inner is None else inner.run
    return run


def _placement(session: ort.InferenceSession, runtime: OnnxRuntime, threads: int) -> Placement:
    elsewhere: dict[str, int] = {}
    if runtime.provider != _CPU:
        if not hasattr(session, "get_provider_graph_assignment_info"):
            raise UnavailableError(
                f"onnxruntime {ort.__version__} cannot say which nodes {runtime.provider} runs",
                hint="install 1.24 or newer, so that a fallback to the CPU is seen",
            )
        for part in session.get_provider_graph_assignment_info():
            if part.ep_name != runtime.provider:
                nodes = len(part.get_nodes())
                elsewhere[part.ep_name] = elsewhere.get(part.ep_name, 0) + nodes
    return Placement(
        engine="onnxruntime",
        device=runtime.device,
        precision="as-is",
        threads=threads,
        elsewhere=elsewhere,
    )


@contextlib.contextmanager
def _load_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        reason = first_line(error)
        if "External data path" in reason:
            raise InputError(
                f"{path}: its weights are in another file",
                hint='put them inside: edgewright convert --to onnx, or onnx.save(model, "..."), '
                "which does so unless told otherwise",
            ) from error
        raise InputError(
            f"{path}: onnxruntime cannot load it: {reason}",
            hint="check that it is a whole ONNX file whose weights are inside",
        ) from error


def _tensor(node: ort.NodeArg) -> EngineTensor:
    if node.type not in _DTYPES:
        raise InputError(f"tensor {node.name!r} has type {node.type}, which is not supported")
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in node.shape)
    first = node.shape[0] if node.shape else None
    rows = first if isinstance(first, str) else ""
    return EngineTensor(name=node.name, dtype=_DTYPES[node.type], shape=shape, rows=rows)
