"""torch's own file formats from an ONNX model: TorchScript and torch.export."""

import contextlib
import io
import re
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx
import torch

from edgewright import _fs
from edgewright.errors import UnavailableError
from edgewright.workbench.convert._quiet import quiet
from edgewright.workbench.convert.artefact import Artefact, Job
from edgewright.workbench.convert.onnx_torch import OnnxModule

_LOCAL_NOTES = (".debug_pkl", "traced_inputs.pkl", "traced_inputs/")

# Classes that were traced before in this process get a numbered module; the names end in newlines
# or brackets wherever they occur, so the number can go.
_NUMBER = re.compile(rb"\.___torch_mangle_\d+")
_NUMBER_IN_PATH = re.compile(r"/___torch_mangle_\d+(?=\.py$)")

_TORCH_TYPES: dict[int, torch.dtype] = {
    onnx.TensorProto.FLOAT: torch.float32,
    onnx.TensorProto.INT64: torch.int64,
    onnx.TensorProto.INT32: torch.int32,
    onnx.TensorProto.BOOL: torch.bool,
}


def torchscript_artefact(job: Job) -> Artefact:
    """`net.pt`."""
    name = f"{job.stem}.pt"
    return Artefact(name, {name: torchscript_bytes(job.model)})


def torch_export_artefact(job: Job) -> Artefact:
    """`net.pt2`."""
    name = f"{job.stem}.pt2"
    return Artefact(name, {name: torch_export_bytes(job.model)})


def torchscript_bytes(model: onnx.ModelProto) -> bytes:
    """A traced and frozen TorchScript archive, without the notes that hold local source paths.

    Raises:
        UnavailableError: the graph has an operator without a torch counterpart here.
    """
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        frozen = torch.jit.freeze(traced(model))
        with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
            path = Path(folder) / "model.pt"
            frozen.save(str(path))
            return _without_notes(path, Path(folder) / "clean" / "model.pt")


def torch_export_bytes(model: onnx.ModelProto) -> bytes:
    """A torch.export archive (.pt2) with a free batch where the ONNX model has one.

    Raises:
        UnavailableError: torch cannot export the graph.
    """
    buffer = io.BytesIO()
    with _refusals():
        torch.export.save(exported(model), buffer)
    return buffer.getvalue()


def exported(model: onnx.ModelProto) -> torch.export.ExportedProgram:
    """The graph as torch.export holds it, without notes on who made it where.

    Raises:
        UnavailableError: torch cannot export the graph.
    """
    module = OnnxModule(model).eval()
    batch = torch.export.Dim("batch")
    shapes = tuple({0: batch} if free else None for free in _has_free_batch(model))
    with _refusals():
        program = torch.export.export(module, _example(model), dynamic_shapes=(shapes,))
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)
    return program


def traced(model: onnx.ModelProto) -> torch.jit.ScriptModule:
    """The graph as a traced module, not frozen."""
    module = OnnxModule(model).eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        made: torch.jit.ScriptModule = torch.jit.trace(  # type: ignore[no-untyped-call]  # torch leaves it untyped
            module, _example(model), check_trace=False
        )
    return made


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        with warnings.catch_warnings(), quiet("torch.fx", "torch._dynamo", "torch.export"):
            warnings.simplefilter("ignore")
            yield
    except (RuntimeError, ValueError, TypeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UnavailableError(
            f"torch.export cannot take this graph: {reason}",
            hint="export to this format from the torch module itself",
        ) from error


def _example(model: onnx.ModelProto) -> tuple[torch.Tensor, ...]:
    weights = {tensor.name for tensor in model.graph.initializer}
    return tuple(_zeros(entry) for entry in model.graph.input if entry.name not in weights)


def _zeros(entry: onnx.ValueInfoProto) -> torch.Tensor:
    tensor_type = entry.type.tensor_type
    if tensor_type.elem_type not in _TORCH_TYPES:
        raise UnavailableError(f"input {entry.name!r} has a type that torch files do not take")
    sizes = [dim.dim_value or 2 for dim in tensor_type.shape.dim]
    return torch.zeros(sizes, dtype=_TORCH_TYPES[tensor_type.elem_type])


def _has_free_batch(model: onnx.ModelProto) -> list[bool]:
    weights = {tensor.name for tensor in model.graph.initializer}
    return [
        bool(entry.type.tensor_type.shape.dim) and not entry.type.tensor_type.shape.dim[0].dim_value
        for entry in model.graph.input
        if entry.name not in weights
    ]


def _without_notes(source: Path, path: Path) -> bytes:
    """Copy an archive record by record; the reader needs none of the notes."""
    _fs.make_dirs(path.parent)
    reader = torch._C.PyTorchFileReader(str(source))  # noqa: SLF001  # the format's only reader
    writer = torch._C.PyTorchFileWriter(str(path))  # noqa: SLF001  # and its only writer
    for name in sorted(reader.get_all_records()):
        if any(note in name for note in _LOCAL_NOTES) or name.startswith(".data/"):
            continue
        content = reader.get_record(name)
        if name.startswith("code/") or name == "data.pkl":
            content = _NUMBER.sub(b"", content)
        writer.write_record(_NUMBER_IN_PATH.sub("", name), content, len(content))
    writer.write_end_of_file()
    return path.read_bytes()
