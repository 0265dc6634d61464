"""torch's own files: TorchScript archives and `torch.export` programs. Pickled modules are refused:
reading one runs whatever code it holds.
"""

import hashlib
import io
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch

from edgewright._fs import read_limited
from edgewright.errors import InputError
from edgewright.runtimes.base import Array
from edgewright.workbench.convert._quiet import quiet
from edgewright.workbench.convert.onnx_file import LIMIT_BYTES, cleaned, onnx_bytes
from edgewright.workbench.given.model_file import ModelFile
from edgewright.workbench.given.same_answers import check_same_answers
from edgewright.workbench.given.samples import ONE_ARRAY

OPSET = 18
PARITY_ROWS = 8
BATCH = "batch"

_LOGS = ("torch.onnx", "torch.onnx._internal.exporter._registration", "torch.export")


def read_torchscript(path: Path, arrays: Mapping[str, Array]) -> ModelFile:
    """A TorchScript archive; the sample arrays are named like its `forward` arguments.

    Raises:
        InputError: no TorchScript, or arrays that are not its arguments.
    """
    content = read_limited(path, limit_bytes=LIMIT_BYTES)
    _refuse_pickle(path, content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = torch.jit.load(  # type: ignore[no-untyped-call]  # torch leaves it untyped
                io.BytesIO(content), map_location="cpu"
            ).eval()
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{path}: torch cannot read it: {_first_line(error)}",
            hint="save it with torch.jit.save, or torch.export.save as .pt2",
        ) from error
    names = tuple(argument.name for argument in module.forward.schema.arguments[1:])
    example = _example(names, arrays, path)
    with torch.inference_mode():
        answers = _answers(module(*example))
    outputs = _output_names(len(answers))
    axes = {name: {0: BATCH} for name in (*names, *outputs)}
    buffer = io.BytesIO()
    with _exporting(path), torch.no_grad():
        torch.onnx.export(
            module,
            example,
            buffer,  # type: ignore[arg-type]  # this exporter takes a file
            dynamo=False,  # the other exporter does not take TorchScript
            input_names=list(names),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
        )
    return _checked(
        buffer.getvalue(),
        {name: answer.numpy() for name, answer in zip(outputs, answers, strict=True)},
        dict(zip(names, (each.numpy() for each in example), strict=True)),
        how="TorchScript, exported as ONNX",
        source=path.name,
        digest=hashlib.sha256(content).hexdigest(),
    )


def read_exported_program(path: Path, arrays: Mapping[str, Array]) -> ModelFile:
    """A `torch.export` program; the sample arrays are named like its inputs.

    Raises:
        InputError: no such program, or arrays that are not its inputs.
    """
    content = read_limited(path, limit_bytes=LIMIT_BYTES)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.load(io.BytesIO(content))
    except (RuntimeError, ValueError, KeyError, zipfile.BadZipFile, AssertionError) as error:
        raise InputError(
            f"{path}: torch.export cannot read it: {_first_line(error)}",
            hint="save it with torch.export.save",
        ) from error
    names = tuple(str(name) for name in program.graph_signature.user_inputs)
    example = _example(names, arrays, path)
    fixed = _fixed_batch(program, names)
    if fixed is not None:
        example = tuple(_rows(each, fixed) for each in example)
    with torch.inference_mode():
        answers = _answers(program.module()(*example))
    outputs = _output_names(len(answers))
    with _exporting(path), torch.no_grad():
        exported = torch.onnx.export(
            program,
            dynamo=True,
            external_data=False,
            verbose=False,
            input_names=list(names),
            output_names=list(outputs),
        )
    if exported is None:
        raise InputError(f"{path}: torch exported nothing", hint="export it as ONNX yourself")
    model = exported.model_proto
    _name_batch(model)
    return _checked(
        onnx_bytes(cleaned(model)),
        {name: answer.numpy() for name, answer in zip(outputs, answers, strict=True)},
        dict(zip(names, (each.numpy() for each in example), strict=True)),
        how="torch.export program, exported as ONNX",
        source=path.name,
        digest=hashlib.sha256(content).hexdigest(),
    )


def _checked(
    content: bytes,
    answers: Mapping[str, Array],
    inputs: Mapping[str, Array],
    *,
    how: str,
    source: str,
    digest: str,
) -> ModelFile:
    check_same_answers(content, inputs, answers, source=source)
    return ModelFile(
        engine="onnx",
        content=onnx_bytes(cleaned(onnx.load_model_from_string(content))),
        how=f"{how}; same answers on {len(next(iter(inputs.values())))} samples",
        source=source,
        source_sha256=digest,
    )


def _refuse_pickle(path: Path, content: bytes) -> None:
    """A TorchScript archive holds code; weights or a pickled module do not."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise InputError(
            f"{path}: not a torch archive ({error})", hint="save it with torch.jit.save"
        ) from error
    if not any("/code/" in name for name in names):
        raise InputError(
            f"{path}: holds pickled weights without a network that can be read safely",
            hint="save the module itself: torch.jit.save(torch.jit.trace(module, example), ...) "
            "or torch.export.save(torch.export.export(module, (example,)), 'model.pt2')",
        )


def _example(
    names: tuple[str, ...], arrays: Mapping[str, Array], path: Path
) -> tuple[torch.Tensor, ...]:
    if not arrays:
        raise InputError(
            f"{path}: sample inputs are needed to read it", hint="add --data samples.npz"
        )
    known = dict(arrays)
    if "" in known and len(names) == 1:
        known[names[0]] = known.pop("")
    if missing := [name for name in names if name not in known]:
        raise InputError(
            f"{path}: no array for input(s) {missing}, the samples hold {sorted(known)}",
            hint=f"name the arrays like the module's arguments: {', '.join(names)}"
            + ONE_ARRAY * (len(names) == 1),
        )
    return tuple(_rows(_tensor(known[name]), PARITY_ROWS) for name in names)


def _tensor(array: Array) -> torch.Tensor:
    wide = array.astype(np.float32) if array.dtype == np.float64 else array
    return torch.from_numpy(np.array(wide))


def _rows(tensor: torch.Tensor, count: int) -> torch.Tensor:
    """So many rows, from the beginning again where there are fewer."""
    return tensor[torch.arange(count) % max(len(tensor), 1)] if tensor.ndim else tensor


def _answers(result: object) -> tuple[torch.Tensor, ...]:
    parts = result if isinstance(result, tuple | list) else (result,)
    if not all(isinstance(part, torch.Tensor) for part in parts):
        raise InputError(
            "the module gives something that is no tensor", hint="wrap it: tensors out"
        )
    return tuple(part.contiguous() for part in parts)


def _output_names(count: int) -> tuple[str, ...]:
    return ("output",) if count == 1 else tuple(f"output_{at}" for at in range(count))


def _fixed_batch(program: torch.export.ExportedProgram, names: tuple[str, ...]) -> int | None:
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name == names[0]:
            shape = node.meta["val"].shape
            return int(shape[0]) if shape and isinstance(shape[0], int) else None
    return None


def _name_batch(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        if dims and not dims[0].dim_value:
            dims[0].dim_param = BATCH


class _exporting:  # noqa: N801 - reads as a verb where it is used
    """Translates what the exporters raise, and keeps them quiet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._quiet = quiet(*_LOGS)
        self._warnings = warnings.catch_warnings()

    def __enter__(self) -> None:
        self._quiet.__enter__()
        self._warnings.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._warnings.__exit__(None, None, None)
        self._quiet.__exit__(None, None, None)
        if isinstance(error, RuntimeError | ValueError | torch.onnx.OnnxExporterError):
            raise InputError(
                f"{self._path}: torch cannot export it as ONNX: {_first_line(error)}",
                hint="export it as ONNX where it was trained",
            ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
