"""What a graph asks for one sample: arithmetic by kind, values that move, nodes. Pure."""

from collections import Counter

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edgewright.workbench.optimize.predicting import Work

Weights = dict[str, NDArray[np.generic]]
Shapes = dict[str, tuple[int, ...]]

_FREE = frozenset({"Constant", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
"""Nodes that move nothing."""

_FUNCTIONS = frozenset({"Exp", "Log", "Sqrt", "Pow", "Erf", "Gelu", "Tanh", "Sigmoid", "Softplus"})
_NORMALISING = frozenset({"Softmax", "LogSoftmax", "LayerNormalization"})
_REARRANGING = frozenset({"Transpose", "Gather", "Slice", "Concat", "Split", "Pad", "Expand"})

_RANK_OVER_TIME = 3


def work_of(model: onnx.ModelProto, *, file_bytes: int = 0) -> Work:
    """From inferred shapes, every free size as 1."""
    inferred = onnx.shape_inference.infer_shapes(model)
    graph = inferred.graph
    values = (*graph.value_info, *graph.input, *graph.output)
    shapes = {value.name: _shape(value) for value in values}
    weights: Weights = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    macs: Counter[str] = Counter()
    nodes: Counter[str] = Counter()
    for node in graph.node:
        kind, count = _macs(node, shapes, weights)
        macs[kind] += count
        nodes[kind] += 1
    sizes = [int(np.prod(shape)) for shape in shapes.values() if shape]
    moved: Counter[str] = Counter()
    for node in graph.node:
        kind, count = _moves(node, shapes)
        moved[kind] += count
    return Work(
        over_time=macs["over_time"],
        over_area=macs["over_area"],
        time_convolutions=nodes["over_time"],
        area_convolutions=nodes["over_area"] + nodes["grouped"],
        grouped=macs["grouped"],
        matrix=macs["matrix"],
        products=macs["products"],
        recurrent=macs["recurrent"],
        weights=sum(array.size for array in weights.values() if array.dtype.kind == "f"),
        functions=moved["functions"],
        rearranged=moved["rearranged"],
        activations=moved["activations"],
        largest=max(sizes, default=0),
        nodes=len(graph.node),
        file_bytes=file_bytes,
    )


def _moves(node: onnx.NodeProto, shapes: Shapes) -> tuple[str, int]:
    """How many values a node touches, and how: those that come out, or go in to be summed up."""
    if node.op_type in _FREE:
        return "", 0
    out = int(np.prod(shapes[node.output[0]])) if shapes.get(node.output[0]) else 0
    if node.op_type.startswith("Reduce"):
        return "rearranged", max(out, int(np.prod(shapes.get(node.input[0], (1,)))))
    if node.op_type in _FUNCTIONS | _NORMALISING:
        return "functions", out
    if node.op_type in _REARRANGING:
        return "rearranged", out
    return "activations", out


def _macs(node: onnx.NodeProto, shapes: Shapes, weights: Weights) -> tuple[str, int]:
    out = shapes.get(node.output[0], ())
    weight = weights.get(node.input[1]) if len(node.input) > 1 else None
    match node.op_type:
        case "Conv" if weight is not None and out:
            # A filter sees the channels of its own group only, as the weight's shape says.
            groups = next((a.i for a in node.attribute if a.name == "group"), 1)
            kind = "over_time" if weight.ndim == _RANK_OVER_TIME else "over_area"
            return kind if groups == 1 else "grouped", int(np.prod(out)) * int(
                np.prod(weight.shape[1:])
            )
        case "ConvTranspose" if weight is not None:
            inside = shapes.get(node.input[0], ())
            return "over_area", int(np.prod(inside)) * int(np.prod(weight.shape[1:]))
        case "Gemm" if weight is not None:
            return "matrix", weight.size
        case "MatMul" if out:
            inner = shapes.get(node.input[0], (0,))[-1]
            rows = int(np.prod(out[:-1]))
            return "matrix" if rows == 1 else "products", int(np.prod(out)) * inner
        case "GRU" | "LSTM" | "RNN" if weight is not None:
            steps = shapes.get(node.input[0], (1,))[0]
            recurrent = weights.get(node.input[2])
            both = weight.size + (recurrent.size if recurrent is not None else 0)
            return "recurrent", steps * both
        case _:
            return "", 0


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim)
