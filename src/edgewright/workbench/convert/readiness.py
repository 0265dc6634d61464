"""Will a format take this model? Node by node, without any vendor's software.

The operator lists follow the vendors' published tables, written down from knowledge and not
compared line by line: a "no" is a place to look at, the vendor's own parser has the last word.
"""

from collections.abc import Iterable

import msgspec
import onnx

from edgewright.errors import EdgewrightError
from edgewright.workbench.convert.formats import (
    EVERY,
    FORMATS,
    Format,
    check_available,
    find_format,
)
from edgewright.workbench.convert.onnx_file import input_names, opset_of
from edgewright.workbench.convert.prepare import shapes_of, with_batch, with_four_dimensions

_BASIC = frozenset(
    {
        "Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Conv", "Flatten", "Gemm",
        "GlobalAveragePool", "Identity", "LeakyRelu", "MaxPool", "Mul", "Pad", "Relu", "Reshape",
        "Resize", "Sigmoid", "Softmax", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
_MORE = _BASIC | {
    "ArgMax", "Cast", "ConvTranspose", "DepthToSpace", "Div", "Elu", "Erf", "Exp", "Expand",
    "Gather", "Gelu", "GlobalMaxPool", "HardSigmoid", "HardSwish", "InstanceNormalization",
    "LayerNormalization", "MatMul", "Max", "Min", "Neg", "PRelu", "Pow", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceSum", "Slice", "Softplus", "Split", "Sqrt", "Tile", "Where",
}  # fmt: skip
_TAKES: dict[str, frozenset[str]] = {
    "edgetpu": _BASIC | {"Div", "ReduceMean", "ReduceMax", "ReduceSum", "Slice", "Split"},
    "ethos-u": _BASIC
    | {"ConvTranspose", "Exp", "HardSwish", "MatMul", "ReduceMean", "Slice", "Split"},
    "hailo": _BASIC
    | {
        "ArgMax", "ConvTranspose", "DepthToSpace", "Div", "Elu", "Exp", "Gelu", "GlobalMaxPool",
        "HardSigmoid", "HardSwish", "LayerNormalization", "MatMul", "Pow", "PRelu", "ReduceMax",
        "ReduceMean", "ReduceSum", "Slice", "Split", "Sqrt",
    },
    "qnn": _MORE | {"GRU", "LSTM"},
    "qualcomm-ai-hub": _MORE | {"GRU", "LSTM"},
    "rknn": _MORE | {"GRU", "LSTM"},
    "tensorrt": _MORE | {"GRU", "LSTM", "Shape", "ConstantOfShape", "Einsum", "Equal", "Greater"},
    "vitis-ai": _BASIC | {"ConvTranspose", "DepthToSpace", "HardSigmoid", "HardSwish", "MatMul"},
}  # fmt: skip
_FOUR_ONLY = frozenset({"edgetpu", "ethos-u", "hailo", "vitis-ai"})
_SHAPERS = frozenset(
    {"Flatten", "Gemm", "Identity", "MatMul", "Reshape", "Softmax", "Squeeze", "Transpose",
     "Unsqueeze"}
)  # fmt: skip
_CONSTANT = frozenset({"Constant"})


class NodeReadiness(msgspec.Struct, frozen=True, kw_only=True):
    """One node that a format will not take as it is."""

    node: str
    operator: str
    shape: tuple[int, ...]
    reason: str


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """A model against one format. `start` and `end` are cuts that leave out what stands at the
    rim; `inner` counts refused nodes between them, which no cut helps.
    """

    format: str
    toolchain: bool
    missing: str
    opset: int
    nodes: int
    refused: tuple[NodeReadiness, ...]
    rewritten: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    end: tuple[str, ...] = ()
    inner: int = 0

    @property
    def verdict(self) -> str:
        """One word and what is behind it."""
        if not self.refused:
            return "ready"
        if not self.inner:
            return "ready when cut"
        return f"not ready: {self.inner} nodes inside"


def readiness(model: onnx.ModelProto, formats: Iterable[str]) -> tuple[Readiness, ...]:
    """What stands between a model and each format; `all` stands for every one there is.

    Raises:
        InputError: there is no such format, or an axis beside the batch is free.
    """
    named = dict.fromkeys(formats)
    wanted = [find_format(name) for name in (FORMATS if EVERY in named else named)]
    fixed = with_batch(model)
    wide = with_four_dimensions(fixed)
    return tuple(_one(entry, fixed, wide) for entry in wanted)


def _one(entry: Format, fixed: onnx.ModelProto, wide: onnx.ModelProto) -> Readiness:
    missing = ""
    try:
        check_available(entry)
    except EdgewrightError as error:
        missing = str(error)
    graph = wide.graph
    shapes = shapes_of(wide)
    bad = [found for node in graph.node if (found := _refusal(entry.name, node, shapes))]
    widened = [
        node.name or node.output[0]
        for node in fixed.graph.node
        if node.op_type == "Conv" and len(shapes_of(fixed).get(node.input[1], ())) == 3
    ]
    start, end, inner = _cuts(graph, {one.node for one in bad}, set(input_names(wide)))
    return Readiness(
        format=entry.name,
        toolchain=not missing,
        missing=missing,
        opset=opset_of(fixed),
        nodes=len(graph.node),
        refused=tuple(bad),
        rewritten=tuple(f"{name}: Conv1d as Conv2d" for name in widened),
        start=start,
        end=end,
        inner=inner,
    )


def _refusal(
    format_name: str, node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]
) -> NodeReadiness | None:
    taken = _taken(format_name)
    shape = shapes.get(node.output[0], ())
    reason = ""
    if node.op_type in _CONSTANT:
        return None
    if taken is not None and node.op_type not in taken:
        reason = f"{format_name} has no operator {node.op_type}"
    elif shape and 0 in shape and taken is not None:
        reason = "its shape is not known before it runs"
    elif format_name in _FOUR_ONLY and len(shape) not in {0, 2, 4} and node.op_type not in _SHAPERS:
        reason = f"{len(shape)} dimensions, {format_name} computes in four"
    if not reason:
        return None
    return NodeReadiness(node=_name(node), operator=node.op_type, shape=shape, reason=reason)


def _taken(format_name: str) -> frozenset[str] | None:
    """None where anything ONNX Runtime knows is taken, or torch's own list decides."""
    if format_name in _TAKES:
        return _TAKES[format_name]
    if format_name in {"onnx", "openvino"}:
        return None
    from edgewright.workbench.convert.torch_ops import (  # noqa: PLC0415  # only this needs torch
        OPERATORS,
    )

    return frozenset(OPERATORS)


def _cuts(
    graph: onnx.GraphProto, bad: set[str], given: set[str]
) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    """Refused nodes that only inputs lead to are cut off in front, those that lead to outputs only
    behind; tensors to cut at, and how many are left between.
    """
    ready, front = set(given), set[str]()
    for node in graph.node:
        live = [name for name in node.input if name in given or _made(graph, name)]
        if _name(node) in bad and live and all(name in ready for name in live):
            front.add(_name(node))
            ready.update(node.output)
    back, wanted = set[str](), {value.name for value in graph.output}
    for node in reversed(graph.node):
        readers = [other for other in graph.node if set(node.output) & set(other.input)]
        only_out = set(node.output) <= wanted or all(_name(o) in back for o in readers)
        if _name(node) in bad and only_out:
            back.add(_name(node))
    back -= front
    start = _border(graph, front) if front else ()
    last = [node for node in graph.node if _name(node) in back]
    end = tuple(
        dict.fromkeys(
            name
            for node in last
            for name in node.input
            if _made(graph, name) and not any(name in other.output for other in last)
        )
    )
    return start, end if back else (), len(bad - front - back)


def _border(graph: onnx.GraphProto, front: set[str]) -> tuple[str, ...]:
    made = [name for node in graph.node if _name(node) in front for name in node.output]
    rest = [node for node in graph.node if _name(node) not in front]
    return tuple(name for name in made if any(name in node.input for node in rest))


def _made(graph: onnx.GraphProto, name: str) -> bool:
    return any(name in node.output for node in graph.node)


def _name(node: onnx.NodeProto) -> str:
    return str(node.name or node.output[0])
