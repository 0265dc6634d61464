"""Rewrites of an ONNX graph that keep what it computes: names for every node, Conv1d as Conv2d,
weights stored in fewer bytes.
"""

from collections.abc import Callable

import numpy as np
import onnx
import onnx.version_converter
import onnxslim
from onnx import helper, numpy_helper

from edgewright.errors import UnavailableError
from edgewright.runtimes.base import Array, first_line
from edgewright.workbench.convert import opset_of

MIN_STORED_VALUES = 256
"""Smaller constants (biases, scales, shapes) are not worth a conversion node."""

MIN_QUANTISED_OPSET = 13
"""QuantizeLinear knows channels from here on; before 10 there is none at all."""

_AXIS = "edgewright_axis_2"


def prepared(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which every node has its own name and every tensor a known type."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    taken: set[str] = set()
    for position, node in enumerate(copy.graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{position}"
        taken.add(node.name)
    del copy.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(copy)


def raised(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph in an operator set that has scales per channel; the same when it is in one already.

    Raises:
        UnavailableError: onnx knows no way up.
    """
    before = opset_of(model)
    if before >= MIN_QUANTISED_OPSET:
        return model
    try:
        newer = onnx.version_converter.convert_version(model, MIN_QUANTISED_OPSET)
    except Exception as error:
        raise UnavailableError(
            f"the model is of operator set {before}, integers want {MIN_QUANTISED_OPSET}, and "
            f"onnx does not raise it: {first_line(error)}",
            hint="export it again",
        ) from error
    return prepared(newer)


def tidied(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """The graph with constants folded, duplicates merged and batch norms joined to convolutions;
    None when nothing went.

    Raises:
        UnavailableError: the optimiser does not take this graph.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    try:
        slim: onnx.ModelProto = onnxslim.slim(copy, verbose=False)
    except Exception as error:
        raise UnavailableError(f"onnxslim refused: {type(error).__name__}: {error}") from error
    if len(slim.graph.node) >= len(model.graph.node):
        return None
    return prepared(slim)


def with_conv2d(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """Every Conv1d as a Conv2d of height 1, for which engines have better kernels; None if there
    is no Conv1d.
    """
    weights = _initializers(model)
    replaced = [
        node
        for node in model.graph.node
        if node.op_type == "Conv" and node.input[1] in weights and weights[node.input[1]].ndim == 3
    ]
    if not replaced:
        return None
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    names = {node.name for node in replaced}
    nodes: list[onnx.NodeProto] = []
    for node in copy.graph.node:
        nodes += _as_conv2d(node) if node.name in names else [node]
    _replace_nodes(copy.graph, nodes)
    widened = {node.input[1] for node in replaced}
    for name in sorted(widened):
        array = np.ascontiguousarray(weights[name][:, :, None, :])
        copy.graph.initializer.append(numpy_helper.from_array(array, f"{name}_2d"))
    copy.graph.initializer.append(numpy_helper.from_array(np.array([2], np.int64), _AXIS))
    _drop_unused(copy.graph)
    return prepared(copy)


def with_fp16_weights(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """Weights stored in 16 bits and widened when the model is loaded: half the size, same speed."""

    def store(name: str, array: Array) -> tuple[list[onnx.TensorProto], onnx.NodeProto] | None:
        if np.abs(array).max() > np.finfo(np.float16).max:
            return None
        stored = numpy_helper.from_array(array.astype(np.float16), f"{name}_fp16")
        cast = helper.make_node(
            "Cast", [stored.name], [name], name=f"{name}_widen", to=onnx.TensorProto.FLOAT
        )
        return [stored], cast

    return _with_stored_weights(model, store)


def with_int8_weights(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """Weights stored in 8 bits per output channel and widened by the engine."""

    def store(name: str, array: Array) -> tuple[list[onnx.TensorProto], onnx.NodeProto] | None:
        if array.ndim < 2:
            return None
        flat = np.abs(array).reshape(len(array), -1).max(axis=1)
        scale = np.where(flat > 0, flat / 127, 1.0).astype(np.float32)
        shaped = scale.reshape(-1, *([1] * (array.ndim - 1)))
        stored = np.clip(np.rint(array / shaped), -127, 127).astype(np.int8)
        tensors = [
            numpy_helper.from_array(stored, f"{name}_int8"),
            numpy_helper.from_array(scale, f"{name}_scale"),
            numpy_helper.from_array(np.zeros(len(scale), np.int8), f"{name}_zero"),
        ]
        widen = helper.make_node(
            "DequantizeLinear", [t.name for t in tensors], [name], name=f"{name}_widen", axis=0
        )
        return tensors, widen

    return _with_stored_weights(model, store)


Store = Callable[[str, Array], tuple[list[onnx.TensorProto], onnx.NodeProto] | None]


def _with_stored_weights(model: onnx.ModelProto, store: Store) -> onnx.ModelProto | None:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    kept: list[onnx.TensorProto] = []
    wideners: list[onnx.NodeProto] = []
    for tensor in copy.graph.initializer:
        array = numpy_helper.to_array(tensor)
        smaller = None
        if array.dtype == np.float32 and array.size >= MIN_STORED_VALUES:
            smaller = store(tensor.name, array)
        if smaller is None:
            kept.append(tensor)
        else:
            kept += smaller[0]
            wideners.append(smaller[1])
    if not wideners:
        return None
    del copy.graph.initializer[:]
    copy.graph.initializer.extend(kept)
    _replace_nodes(copy.graph, [*wideners, *copy.graph.node])
    return copy


def _as_conv2d(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    wide, deep = f"{node.output[0]}_4d", f"{node.output[0]}_4d_out"
    conv = helper.make_node(
        "Conv", [wide, f"{node.input[1]}_2d", *node.input[2:]], [deep], name=node.name
    )
    for attribute in node.attribute:
        match attribute.name:
            case "kernel_shape" | "strides" | "dilations":
                conv.attribute.append(helper.make_attribute(attribute.name, [1, *attribute.ints]))
            case "pads":
                left, right = attribute.ints
                conv.attribute.append(helper.make_attribute("pads", [0, left, 0, right]))
            case _:
                conv.attribute.append(attribute)
    return [
        helper.make_node("Unsqueeze", [node.input[0], _AXIS], [wide], name=f"{node.name}_in"),
        conv,
        helper.make_node("Squeeze", [deep, _AXIS], [node.output[0]], name=f"{node.name}_out"),
    ]


def _initializers(model: onnx.ModelProto) -> dict[str, Array]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def _replace_nodes(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    copies = [onnx.NodeProto() for _ in nodes]
    for copy, node in zip(copies, nodes, strict=True):
        copy.CopyFrom(node)
    del graph.node[:]
    graph.node.extend(copies)


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    copies = [onnx.TensorProto() for _ in kept]
    for copy, tensor in zip(copies, kept, strict=True):
        copy.CopyFrom(tensor)
    del graph.initializer[:]
    graph.initializer.extend(copies)
