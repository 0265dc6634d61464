"""`convert`: one model, several engine formats, each file real, repeatable and the same model."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from edgewright import _fs
from edgewright.errors import GateError
from edgewright.runtimes.base import Array
from edgewright.workbench.convert.formats import WRITERS, check_available, find_format
from edgewright.workbench.convert.gates import check_file
from edgewright.workbench.convert.onnx_file import (
    input_names,
    onnx_bytes,
    opset_of,
    output_names,
    read_onnx,
)
from edgewright.workbench.convert.record import ExportRecord, record_of
from edgewright.workbench.verify import STRICT, verify

Answer = Callable[[Mapping[str, Array]], Mapping[str, Array]]

_PARITY_ROWS = 3


def convert(
    model: Path, formats: Iterable[str], out: Path, *, reference: Answer | None = None
) -> tuple[ExportRecord, ...]:
    """Write `out/<model's stem>.<suffix>` for each format, checked and compared to the model.

    `reference` answers for the model; without one ONNX Runtime does, with no optimisation.
    Nothing is written unless every format can be.

    Raises:
        InputError: no such format, or not a model.
        UnavailableError: a format's toolchain is absent; the message says what to install.
        GateError: a written file does not answer like the model; it is removed.
    """
    wanted = [find_format(name) for name in dict.fromkeys(formats)]
    source = read_onnx(model)
    for entry in wanted:
        check_available(entry)
    made = [(entry, WRITERS[entry.name](source)) for entry in wanted]
    records = []
    for entry, content in made:
        path = out / f"{model.stem}{entry.suffix}"
        _check_parity(source, entry.name, content, reference)
        _fs.write_atomic(path, content)
        check_file(path, entry.name)
        records.append(
            record_of(
                path,
                content,
                format_name=entry.name,
                inputs=input_names(source),
                outputs=output_names(source),
                opset=opset_of(source) if entry.name == "onnx" else None,
            )
        )
    return tuple(records)


def _check_parity(
    source: onnx.ModelProto, format_name: str, content: bytes, reference: Answer | None
) -> None:
    candidate = _ANSWERERS[format_name](content, source)
    report = verify(
        reference or _unoptimised(onnx_bytes(source), source),
        candidate,
        _random_rows(source),
        order=STRICT,
    )
    if not report.ok:
        raise GateError(
            f"parity of the {format_name} file ({report.reasons[0]}): checks missed",
            measured=len(report.reasons),
            limit=0,
            hint="no file was written; please report the model that shows this",
        )


def _unoptimised(content: bytes, source: onnx.ModelProto) -> Answer:
    """The graph node by node as it is written, without any fusion."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = list(output_names(source))

    def answer(arrays: Mapping[str, Array]) -> dict[str, Array]:
        results = session.run(names, dict(arrays))
        return {name: np.asarray(a) for name, a in zip(names, results, strict=True)}

    return _in_fixed_batches(source, answer)


def _torchscript_answer(content: bytes, source: onnx.ModelProto) -> Answer:
    from edgewright.workbench.convert.torch_answers import (  # noqa: PLC0415  # only torch formats need torch
        torchscript_answer,
    )

    return _in_fixed_batches(
        source, torchscript_answer(content, input_names(source), output_names(source))
    )


def _torch_export_answer(content: bytes, source: onnx.ModelProto) -> Answer:
    from edgewright.workbench.convert.torch_answers import (  # noqa: PLC0415  # only torch formats need torch
        torch_export_answer,
    )

    return _in_fixed_batches(
        source, torch_export_answer(content, input_names(source), output_names(source))
    )


_ANSWERERS: dict[str, Callable[[bytes, onnx.ModelProto], Answer]] = {
    "onnx": _unoptimised,
    "torch-export": _torch_export_answer,
    "torchscript": _torchscript_answer,
}


def _random_rows(model: onnx.ModelProto) -> dict[str, Array]:
    """Inputs that any model takes; integer inputs may be indices, so they stay small."""
    rng = np.random.default_rng(0)
    arrays: dict[str, Array] = {}
    for entry in model.graph.input:
        if entry.name in input_names(model):
            kind = onnx.helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type)
            shape = [dim.dim_value or 1 for dim in entry.type.tensor_type.shape.dim]
            drawn = rng.normal(size=(_rows(model), *shape[1:]))
            arrays[entry.name] = (
                np.where(drawn > 0, drawn, 0).astype(kind)
                if (kind.kind in "iub")
                else drawn.astype(kind)
            )
    return arrays


def _fixed_batch(model: onnx.ModelProto) -> int | None:
    weights = {tensor.name for tensor in model.graph.initializer}
    for entry in model.graph.input:
        dims = entry.type.tensor_type.shape.dim
        if entry.name not in weights and dims and dims[0].dim_value:
            return int(dims[0].dim_value)
    return None


def _rows(model: onnx.ModelProto) -> int:
    return (_fixed_batch(model) or 1) * _PARITY_ROWS


def _in_fixed_batches(model: onnx.ModelProto, answer: Answer) -> Answer:
    """Feed a model with a fixed batch in pieces of that size, repeating the last row to fill."""
    batch = _fixed_batch(model)
    if batch is None:
        return answer
    size = batch

    def in_batches(arrays: Mapping[str, Array]) -> dict[str, Array]:
        rows = len(next(iter(arrays.values())))
        parts = []
        for start in range(0, rows, size):
            picked = np.minimum(np.arange(start, start + size), rows - 1)
            parts.append(dict(answer({name: a[picked] for name, a in arrays.items()})))
        return {name: np.concatenate([part[name] for part in parts])[:rows] for name in parts[0]}

    return in_batches
