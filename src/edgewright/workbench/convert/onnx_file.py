"""Reading, cleaning and writing ONNX files: whole, standard, self-contained, free of local paths.

Whatever enters the workbench as ONNX passes `read_onnx` once; whatever leaves it passes
`onnx_bytes`. The same model gives the same bytes.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types
from onnx import helper

from edgewright import _fs
from edgewright.errors import InputError

LIMIT_BYTES = 2**31 - 1
"""Protobuf cannot hold more in one file."""

MIN_OPSET = 18
"""The oldest operator set that this tool writes."""

_STANDARD_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_ENGINE_DOMAINS = _STANDARD_DOMAINS | {"com.microsoft"}


def read_onnx(path: Path, *, takes_in: bool = True) -> onnx.ModelProto:
    """A valid, self-contained model; `takes_in` weights from files beside it.

    Raises:
        InputError: absent, no ONNX model, weights in other files, or an operator that only its
            maker's engine knows.
    """
    content = _fs.read_limited(path, limit_bytes=LIMIT_BYTES)
    return parse_onnx(content, source=str(path), folder=path.parent if takes_in else None)


def whole_onnx(path: Path) -> bytes:
    """The bytes of a model whose weights lie beside it, with them inside; none where nothing lies
    beside it.

    Raises:
        InputError: as `read_onnx`.
    """
    content = _fs.read_limited(path, limit_bytes=LIMIT_BYTES)
    model = _parsed(content, str(path))
    beside = any(
        tensor.data_location == onnx.TensorProto.EXTERNAL
        for graph in graphs_of(model.graph)
        for tensor in graph.initializer
    )
    return onnx_bytes(parse_onnx(content, source=str(path), folder=path.parent)) if beside else b""


def parse_onnx(content: bytes, *, source: str, folder: Path | None = None) -> onnx.ModelProto:
    """The same for bytes at hand; `source` names them in errors. Weights that lie in other files of
    `folder` are taken in, as long as one file can hold all.
    """
    model = _parsed(content, source)
    if not model.ir_version or not model.graph.node or not model.opset_import:
        raise _not_onnx(source, "no graph inside")
    if folder is not None:
        _take_in_external_data(model, source, folder, LIMIT_BYTES - len(content))
    _refuse_external_data(model, source)
    _refuse_custom_operators(model, source)
    try:
        onnx.checker.check_model(model, full_check=False)
    except (onnx.checker.ValidationError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise _not_onnx(source, f"the ONNX checker says: {reason}") from error
    return model


def onnx_bytes(model: onnx.ModelProto) -> bytes:
    """The one byte string of a model."""
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def write_onnx(model: onnx.ModelProto, path: Path) -> bytes:
    """Write a model as one step; returns the bytes written."""
    content = onnx_bytes(model)
    _fs.write_atomic(path, content)
    return content


def cleaned(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without what the engine never reads: notes of the exporter (they hold source paths),
    unused weights, stale intermediate shapes. Nodes stand in the order of execution, as the format
    demands; quantisers append theirs at the end.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _strip_notes(copy)
    _drop_unused_initializers(copy.graph)
    _sort_nodes(copy.graph)
    del copy.graph.value_info[:]
    return copy


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the standard operator set."""
    return next(
        (entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), 0
    )


def input_names(model: onnx.ModelProto) -> tuple[str, ...]:
    """Inputs that a caller feeds (weights listed as inputs are none)."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return tuple(entry.name for entry in model.graph.input if entry.name not in weights)


def output_names(model: onnx.ModelProto) -> tuple[str, ...]:
    """What the model gives."""
    return tuple(entry.name for entry in model.graph.output)


def graphs_of(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and every graph inside its control-flow nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node:
                    yield from graphs_of(inner)


def _parsed(content: bytes, source: str) -> onnx.ModelProto:
    try:
        return onnx.load_model_from_string(content)
    except (DecodeError, ValueError) as error:
        raise _not_onnx(source, "the bytes are no protobuf message") from error


def _not_onnx(source: str, why: str) -> InputError:
    return InputError(
        f"{source} is not an ONNX model: {why}",
        hint="export it again, for example with torch.onnx.export(..., dynamo=True)",
    )


def _take_in_external_data(
    model: onnx.ModelProto, source: str, folder: Path, left_bytes: int
) -> None:
    """Exporters write weights beside the file by default; a place outside the folder is refused."""
    for graph in graphs_of(model.graph):
        for tensor in graph.initializer:
            if tensor.data_location != onnx.TensorProto.EXTERNAL:
                continue
            location, offset, size = _place_of(tensor, source)
            left_bytes -= size
            if left_bytes < 0:
                raise InputError(
                    f"{source}: with its weights from {location!r} the model is "
                    f"larger than {LIMIT_BYTES} bytes, which no ONNX file can hold",
                    hint="models of that size are not made for edge devices: prune or quantise it "
                    "first",
                )
            path = folder / location
            if not path.resolve().is_relative_to(folder.resolve()):
                raise InputError(
                    f"{source}: weights lie outside of its folder ({location})",
                    hint="save it with external_data=False",
                )
            with _fs.file_errors(path, doing="reading weights from"), path.open("rb") as file:
                file.seek(offset)
                content = file.read(size)
            if len(content) != size:
                raise InputError(
                    f"{path}: holds {len(content)} of the {size} bytes of {tensor.name!r}",
                    hint="the file was cut off; export the model again",
                )
            tensor.raw_data = content
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]


def _place_of(tensor: onnx.TensorProto, source: str) -> tuple[str, int, int]:
    """In which file a tensor lies, from where on, and how many bytes it has."""
    told = {entry.key: entry.value for entry in tensor.external_data}
    try:
        offset = int(told.get("offset", "0"))
        size = math.prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        length = int(told.get("length", size))
    except (KeyError, ValueError) as error:
        raise _misplaced(tensor, source, str(error)) from error
    if offset < 0 or min(tensor.dims, default=0) < 0:
        raise _misplaced(tensor, source, f"offset {offset}, shape {list(tensor.dims)}")
    if length != size:
        raise _misplaced(tensor, source, f"{length} bytes are told, its shape takes {size}")
    return told.get("location", ""), offset, size


def _misplaced(tensor: onnx.TensorProto, source: str, why: str) -> InputError:
    return InputError(
        f"{source}: where weights {tensor.name!r} lie beside it cannot be read: {why}",
        hint="export the model again",
    )


def _refuse_external_data(model: onnx.ModelProto, source: str) -> None:
    for graph in graphs_of(model.graph):
        for tensor in graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                where = next((e.value for e in tensor.external_data if e.key == "location"), "?")
                raise InputError(
                    f"{source} keeps its weights in another file ({where}), one file was expected",
                    hint="save it with external_data=False (or onnx.save_model(..., "
                    "save_as_external_data=False))",
                )


def _refuse_custom_operators(model: onnx.ModelProto, source: str) -> None:
    own = {(function.domain, function.name) for function in model.functions}
    for graph in graphs_of(model.graph):
        for node in graph.node:
            if node.domain not in _ENGINE_DOMAINS and (node.domain, node.op_type) not in own:
                raise InputError(
                    f"{source}: node {node.name or node.output[0]!r} uses the custom operator "
                    f"{node.domain}.{node.op_type}, which no engine here knows",
                    hint="export the model with standard operators, or cut this node off and run "
                    "it as a pre- or postprocessing step",
                )


def _strip_notes(model: onnx.ModelProto) -> None:
    model.doc_string = ""
    del model.metadata_props[:]
    for graph in graphs_of(model.graph):
        graph.doc_string = ""
        del graph.metadata_props[:]
        values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer, *graph.node)
        for value in values:
            value.doc_string = ""
            del value.metadata_props[:]
    for function in model.functions:
        function.doc_string = ""
        del function.metadata_props[:]
        for node in function.node:
            node.doc_string = ""
            del node.metadata_props[:]


def _sort_nodes(graph: onnx.GraphProto) -> None:
    """Every node after those it reads from; nodes that could stand anywhere keep their order."""
    made = {name for node in graph.node for name in node.output}
    waiting = list(graph.node)
    ready: set[str] = set()
    ordered: list[onnx.NodeProto] = []
    while waiting:
        later = []
        for node in waiting:
            if all(name in ready for name in _reads(node) if name in made):
                ordered.append(node)
                ready.update(node.output)
            else:
                later.append(node)
        if len(later) == len(waiting):
            return
        waiting = later
    copies = [onnx.NodeProto() for _ in ordered]
    for copy, node in zip(copies, ordered, strict=True):
        copy.CopyFrom(node)
    del graph.node[:]
    graph.node.extend(copies)


def _reads(node: onnx.NodeProto) -> set[str]:
    """What a node reads, inside its control-flow graphs too."""
    names = set(node.input)
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            for below in inner.node:
                names |= _reads(below)
    return names


def _drop_unused_initializers(graph: onnx.GraphProto) -> None:
    used = {name for inner in graphs_of(graph) for node in inner.node for name in node.input}
    used |= {entry.name for entry in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    dropped = {tensor.name for tensor in graph.initializer} - {tensor.name for tensor in kept}
    inputs = [entry for entry in graph.input if entry.name not in dropped]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.input[:]
    graph.input.extend(inputs)
