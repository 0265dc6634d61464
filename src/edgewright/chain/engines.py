"""Which engine runs which file: entry points of `edgewright.runtimes`, loaded when used.

>>> engine_for_format("onnx").name
'onnxruntime'
"""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from edgewright.bundle import Bundle, open_bundle
from edgewright.bundle.hooks import require_hooks_allowed
from edgewright.chain.hooks import hook_sources, with_hooks
from edgewright.contract import Contract
from edgewright.contract.decoding import suggestion
from edgewright.errors import InputError, UnavailableError
from edgewright.runtimes import Runtime
from edgewright.runtimes.model import LoadedModel, infer_contract

GROUP = "edgewright.runtimes"

# What a bare file's ending says, and which engine opens a format (the first where two could).
FORMAT_BY_SUFFIX = {
    ".engine": "tensorrt",
    ".hef": "hailo",
    ".npz": "reference",
    ".onnx": "onnx",
    ".pte": "executorch",
    ".tflite": "litert",
    ".xml": "openvino",
}
ENGINE_BY_FORMAT = {
    "edgetpu": "edgetpu",
    "executorch": "executorch",
    "hailo": "hailo",
    "litert": "litert",
    "onnx": "onnxruntime",
    "openvino": "openvino",
    "reference": "reference",
    "tensorrt": "tensorrt",
}
_INSTALL = {
    "edgetpu": "pip install 'edgewright[litert]'",
    "executorch": "pip install 'edgewright[executorch]'",
    "hailo": "install HailoRT and its Python package from Hailo's developer zone",
    "litert": "pip install 'edgewright[litert]'",
    "openvino": "pip install 'edgewright[openvino]'",
    "openvino-gpu": "pip install 'edgewright[openvino]'",
    "openvino-npu": "pip install 'edgewright[openvino]'",
    "tensorrt": "install TensorRT (part of JetPack) and cuda-python",
}


@cache
def engine_points() -> tuple[EntryPoint, ...]:
    """The engines that are declared, installed or not, sorted by name. Looked up once: it reads a
    file of every installed package, which made each swap of a small model ten times as long.
    """
    return tuple(sorted(entry_points(group=GROUP), key=lambda point: point.name))


def load_engine(point: EntryPoint) -> Runtime:
    """The engine behind an entry point.

    Raises:
        UnavailableError: its package is not installed.
    """
    try:
        runtime: Runtime = point.load()()
    except ImportError as error:
        raise UnavailableError(
            f"engine {point.name!r} cannot run here: {error}",
            hint=_INSTALL.get(point.name, f"install what {point.value} needs"),
        ) from error
    return runtime


def engine_named(name: str) -> Runtime:
    """The engine of a name, able or not: its `availability` says.

    Raises:
        UnavailableError: its package is not installed.
        InputError: there is no such engine.
    """
    points = {point.name: point for point in engine_points()}
    if name not in points:
        raise InputError(f"unknown engine {name!r}", hint=suggestion(name, list(points)))
    return load_engine(points[name])


def engine_for_format(name: str) -> Runtime:
    """The engine that opens a format. Others are not even imported: some take seconds and hundreds
    of megabytes.

    Raises:
        UnavailableError: it is not installed, or no engine opens this format.
    """
    if name in ENGINE_BY_FORMAT:
        return engine_named(ENGINE_BY_FORMAT[name])
    for point in engine_points():
        if point.name in ENGINE_BY_FORMAT.values():
            continue
        try:
            runtime = load_engine(point)
        except UnavailableError:
            continue
        if name in runtime.formats:
            return runtime
    raise UnavailableError(
        f"no engine for format {name!r} is installed here", hint="see `edgewright doctor`"
    )


def open_engine_file(path: Path, contract: Contract | None, *, threads: int = 1) -> LoadedModel:
    """A bare engine file; its contract is inferred when none is given.

    Raises:
        InputError: no such file, an unknown ending, or not a model.
    """
    kind = FORMAT_BY_SUFFIX.get(path.suffix)
    if kind is None:
        raise InputError(
            f"{path}: unknown kind of model file {path.suffix!r}",
            hint=f"known: {', '.join(sorted(FORMAT_BY_SUFFIX))}, .ewb",
        )
    session = engine_for_format(kind).open(path, threads=threads)
    return LoadedModel(contract or infer_contract(session), session)


def open_unpacked(folder: Path, *, threads: int = 1) -> LoadedModel:
    """The model of an unpacked bundle, re-verified now."""
    return open_model_of(open_bundle(folder), threads=threads)


def open_model_of(bundle: Bundle, *, threads: int = 1, allow_hooks: bool = False) -> LoadedModel:
    """The model of an unpacked bundle that was verified just now, between its hooks.

    Raises:
        TrustError: it carries hooks, and they are not allowed.
        UnavailableError: no engine for it is installed here, or no hook can be confined here.
        DeviceError: a hook cannot be loaded.
    """
    require_hooks_allowed(bundle.manifest, allowed=allow_hooks)
    runtime = engine_for_format(bundle.manifest.format)
    session = runtime.open(bundle.file(bundle.blob("model")), threads=threads)
    return with_hooks(bundle.manifest.contract, session, hook_sources(bundle))
