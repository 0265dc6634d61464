"""A torch module to one self-contained ONNX file, checked afterwards instead of trusted.

The exporter keeps its own opset silently, writes weights beside the file by default and leaves
absolute source paths in node notes (FACTS section 2, trap 1); every one of these is looked at here
before a byte reaches the disk.
"""

import contextlib
import copy
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from torch.nn.utils import parametrize

from edgewright.errors import InputError
from edgewright.runtimes.base import Array
from edgewright.workbench.convert._quiet import quiet
from edgewright.workbench.convert.gates import check_file
from edgewright.workbench.convert.onnx_file import (
    cleaned,
    input_names,
    opset_of,
    output_names,
    parse_onnx,
    write_onnx,
)
from edgewright.workbench.convert.record import ExportRecord, record_of

OPSET = 20
BATCH_AXIS = "batch"
_EXPORTER_LOG = "torch.onnx._internal.exporter._registration"


def export_onnx(
    module: torch.nn.Module,
    example: Mapping[str, Array] | tuple[Array, ...],
    path: Path,
    *,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
) -> ExportRecord:
    """Write `module` as ONNX; the first axis of every input and output is called "batch".

    `example` gives one array per input, by name or in the order of `inputs`.

    Raises:
        InputError: the example does not fit the names, or torch cannot export the module.
    """
    arguments = _arguments(example, inputs)
    module = plain_weights(module)
    batch = torch.export.Dim(BATCH_AXIS)
    module = _plain_weights(module)
    with _in_evaluation(module), _translated(module), torch.no_grad():
        program = torch.onnx.export(
            module,
            arguments,
            dynamo=True,
            external_data=False,
            verbose=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple({0: batch} for _ in arguments),
        )
    if program is None:
        raise InputError(f"torch exported nothing for {type(module).__name__}")
    model = cleaned(program.model_proto)
    _name_batch_axis(model)
    _check_promise(model, inputs, outputs)
    content = write_onnx(model, path)
    check_file(path, "onnx")
    return record_of(
        path, content, format_name="onnx", inputs=inputs, outputs=outputs, opset=opset_of(model)
    )


def plain_weights(module: torch.nn.Module) -> torch.nn.Module:
    """The module, or a copy with weight norm and the like worked into its weights: as a formula a
    file would compute them anew for every answer, and no quantiser would find them.
    """
    if not any(parametrize.is_parametrized(part) for part in module.modules()):
        return module
    plain = copy.deepcopy(module)
    for part in plain.modules():
        if parametrize.is_parametrized(part):
            _settle(part)
    return plain


def _settle(layer: torch.nn.Module) -> None:
    """Torch's own way back takes the formula from the layer's class, which copies share."""
    names = list(layer.parametrizations)  # type: ignore[arg-type]  # a ModuleDict
    values = {name: getattr(layer, name).detach().clone() for name in names}
    layer.__class__ = parametrize.type_before_parametrizations(layer)
    del layer.parametrizations
    for name, value in values.items():
        layer.register_parameter(name, torch.nn.Parameter(value))


def _arguments(
    example: Mapping[str, Array] | tuple[Array, ...], inputs: tuple[str, ...]
) -> tuple[torch.Tensor, ...]:
    if isinstance(example, Mapping):
        if set(example) != set(inputs):
            raise InputError(f"the example holds {sorted(example)}, the inputs are {list(inputs)}")
        arrays = tuple(example[name] for name in inputs)
    else:
        arrays = tuple(example)
    if len(arrays) != len(inputs):
        raise InputError(f"the example holds {len(arrays)} arrays, the inputs are {list(inputs)}")
    return tuple(torch.from_numpy(_two_rows(array)) for array in arrays)


def _two_rows(array: Array) -> Array:
    """At least two rows: torch takes a size of 1 for a constant."""
    rows = np.asarray(array)
    return np.array(np.concatenate([rows, rows]) if len(rows) == 1 else rows)


def _plain_weights(module: torch.nn.Module) -> torch.nn.Module:
    """The module, or a copy whose computed weights (weight norm) are numbers, as a device wants."""
    if not any(parametrize.is_parametrized(part) for part in module.modules()):
        return module
    copied = copy.deepcopy(module)
    for part in list(copied.modules()):
        computed = getattr(part, "parametrizations", {})
        for name in list(computed):
            parametrize.remove_parametrizations(part, name)
    return copied


@contextlib.contextmanager
def _in_evaluation(module: torch.nn.Module) -> Iterator[None]:
    """Dropout off and statistics frozen, then back as it was."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, was_training in modes:
            part.training = was_training


@contextlib.contextmanager
def _translated(module: torch.nn.Module) -> Iterator[None]:
    try:
        with warnings.catch_warnings(), quiet(_EXPORTER_LOG):
            warnings.simplefilter("ignore")
            yield
    except (torch.onnx.OnnxExporterError, RuntimeError, TypeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"torch cannot export {type(module).__name__} as ONNX: {reason}",
            hint="try torch.export.export(module, example) alone; it names the line at fault",
        ) from error


def _name_batch_axis(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        if dims and not dims[0].dim_value:
            dims[0].dim_param = BATCH_AXIS


def _check_promise(
    model: onnx.ModelProto, inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> None:
    """The exporter did what it was told."""
    parse_onnx(model.SerializeToString(deterministic=True), source="the exported model")
    if opset_of(model) != OPSET:
        raise InputError(f"the exporter kept opset {opset_of(model)}, {OPSET} was asked for")
    if input_names(model) != inputs or output_names(model) != outputs:
        raise InputError(
            f"the exported model takes {list(input_names(model))} and gives "
            f"{list(output_names(model))}, expected {list(inputs)} and {list(outputs)}",
            hint="name every tensor that the module takes and gives, in order",
        )
    fixed = [
        value.name
        for value in model.graph.input
        if value.type.tensor_type.shape.dim[0].dim_param != BATCH_AXIS
    ]
    if fixed:
        raise InputError(
            f"the first axis of {fixed} became a constant during export",
            hint="avoid python branches on the batch size inside forward()",
        )
