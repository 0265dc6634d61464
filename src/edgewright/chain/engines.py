"""Which engine runs which file: entry points of `edgewright.runtimes`, loaded when used.

>>> engine_for_format("onnx").name
'onnxruntime'
"""

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from edgewright.bundle import Bundle, open_bundle
from edgewright.contract import Contract
from edgewright.errors import InputError, UnavailableError
from edgewright.runtimes import Runtime
from edgewright.runtimes.model import LoadedModel, infer_contract

GROUP = "edgewright.runtimes"

# What a bare file's ending says, and which extra brings the engine of a format.
FORMAT_BY_SUFFIX = {".onnx": "onnx", ".npz": "reference", ".tflite": "litert", ".xml": "openvino"}
EXTRA_BY_FORMAT = {"litert": "litert", "openvino": "openvino", "executorch": "executorch"}


def engine_points() -> tuple[EntryPoint, ...]:
    """The engines that are declared, installed or not, sorted by name."""
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
            hint=f"pip install 'edgewright[{point.name}]'",
        ) from error
    return runtime


def engine_for_format(name: str) -> Runtime:
    """The engine that opens a format.

    Raises:
        UnavailableError: no installed engine does.
    """
    for point in engine_points():
        try:
            runtime = load_engine(point)
        except UnavailableError:
            continue
        if name in runtime.formats:
            return runtime
    extra = EXTRA_BY_FORMAT.get(name)
    raise UnavailableError(
        f"no engine for format {name!r} is installed here",
        hint=f"pip install 'edgewright[{extra}]'" if extra else "see `edgewright doctor`",
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


def open_model_of(bundle: Bundle, *, threads: int = 1) -> LoadedModel:
    """The model of an unpacked bundle that was verified just now."""
    runtime = engine_for_format(bundle.manifest.format)
    session = runtime.open(bundle.file(bundle.blob("model")), threads=threads)
    return LoadedModel(bundle.manifest.contract, session)
