"""What a graph asks for one sample: arithmetic by kind, values that move, nodes. Pure."""

from collections import Counter
from collections.abc import Mapping

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edgewright.workbench.optimize.predicting import Work

Weights = dict[str, NDArray[np.generic]]
Shapes = dict[str, tuple[int, ...]]

_FREE = frozenset(
    {"Constant", "ConstantOfShape", "Flatten", "Identity", "Reshape", "Shape", "Squeeze"}
) | {"Unsqueeze"}
"""Nodes that move nothing."""

_FUNCTIONS = frozenset(
    {"Asinh", "Erf", "Exp", "Gelu", "Log", "Pow", "Sigmoid", "Softplus", "Sqrt", "Tanh"}
)
_NORMALISING = frozenset({"Softmax", "LogSoftmax", "LayerNormalization"})
_REARRANGING = frozenset({"Transpose", "Gather", "Slice", "Concat", "Split", "Pad", "Expand"})
_SUMMING = frozenset({"AveragePool", "GlobalAveragePool", "MaxPool"})

_ABSORBED = frozenset({"BatchNormalization", "Clip", "Relu"})
_ABSORBING = frozenset({"Conv", "ConvTranspose", "Gemm"})
"""Engines do the first in the same pass as the second, where nothing else reads what is between."""

_RANK_OVER_TIME = 3


class _Graph(msgspec.Struct, frozen=True):
    """What a node's cost is read from."""

    shapes: Shapes
    weights: Weights

    def size(self, name: str) -> int:
        """Values of a tensor; 0 where its shape is unknown."""
        stored = self.weights.get(name)
        shape = self.shapes.get(name) if stored is None else stored.shape
        return int(np.prod(shape)) if shape else 0


def work_of(model: onnx.ModelProto, *, file_bytes: int = 0) -> Work:
    """From inferred shapes, every free size as 1."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    graph = _Graph(
        shapes={value.name: _shape(value) for value in values},
        weights={t.name: numpy_helper.to_array(t) for t in inferred.initializer},
    )
    asked: Counter[str] = Counter()
    absorbed = _absorbed(inferred)
    for node in inferred.node:
        if node.output[0] not in absorbed:
            asked.update(_asked(node, graph))
    return Work(
        **asked,
        weights=sum(array.size for array in graph.weights.values() if array.dtype.kind == "f"),
        largest=max((graph.size(name) for name in graph.shapes), default=0),
        nodes=len(inferred.node),
        file_bytes=file_bytes,
    )


def _absorbed(graph: onnx.GraphProto) -> set[str]:
    """Outputs of nodes that cost nothing of their own."""
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    read = Counter(name for node in graph.node for name in node.input)
    return {
        node.output[0]
        for node in graph.node
        if node.op_type == "Constant"
        or (
            node.op_type in _ABSORBED
            and made_by.get(node.input[0]) in _ABSORBING
            and read[node.input[0]] == 1
        )
    }


def _asked(node: onnx.NodeProto, graph: _Graph) -> Mapping[str, int]:
    """What one node adds to `Work`, by field."""
    weight = graph.weights.get(node.input[1]) if len(node.input) > 1 else None
    asked: Mapping[str, int]
    match node.op_type:
        case "Conv" | "ConvTranspose" if weight is not None:
            return _convolution(node, weight, graph)
        case "Gemm" if weight is not None:
            asked = {"matrix": weight.size}
        case "MatMul" if graph.shapes.get(node.output[0]):
            asked = _product(node, graph)
        case "GRU" | "LSTM" | "RNN" if weight is not None:
            steps = graph.shapes.get(node.input[0], (1,))[0]
            stored = weight.size + graph.size(node.input[2])
            asked = {"recurrent": steps * stored, "recurrent_values": graph.size(node.output[0])}
        case _:
            asked = _moved(node, graph)
    return {"launches": 1, **asked}


def _moved(node: onnx.NodeProto, graph: _Graph) -> Mapping[str, int]:
    """Values that a node without weights makes, or takes in to sum them up."""
    kind, out = node.op_type, graph.size(node.output[0])
    if kind in _FREE:
        return {}
    if kind in _FUNCTIONS | _NORMALISING:
        return {"functions": out}
    if kind.startswith("Reduce"):
        return {"rearranged": max(out, graph.size(node.input[0]))}
    if kind in _SUMMING:
        return {"activations": graph.size(node.input[0])}
    return {"rearranged" if kind in _REARRANGING else "activations": out}


def _convolution(
    node: onnx.NodeProto, weight: NDArray[np.generic], graph: _Graph
) -> Mapping[str, int]:
    """A filter sees the channels of its own group only, as the weight's shape says."""
    out, taps = graph.size(node.output[0]), int(np.prod(weight.shape[1:]))
    if node.op_type == "ConvTranspose":
        return {"area_convolutions": 1, "over_area": graph.size(node.input[0]) * taps}
    if weight.ndim == _RANK_OVER_TIME:
        rolled_out = out // max(weight.shape[0], 1) * taps
        return {"time_convolutions": 1, "over_time": out * taps, "unrolled": rolled_out}
    groups = next((a.i for a in node.attribute if a.name == "group"), 1)
    if groups > 1:
        return {"launches": 1, "grouped": out * taps, "grouped_values": out}
    return {"area_convolutions": 1, "over_area": out * taps, "area_values": out}


def _product(node: onnx.NodeProto, graph: _Graph) -> Mapping[str, int]:
    shape = graph.shapes[node.output[0]]
    out, inner = graph.size(node.output[0]), graph.shapes.get(node.input[0], (0,))[-1]
    if int(np.prod(shape[:-1])) == 1:
        return {"matrix": out * inner}
    return {"products": out * inner, "product_values": out}


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim)
