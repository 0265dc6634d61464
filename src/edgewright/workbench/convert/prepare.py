"""A graph made ready for converters that want fixed shapes and four dimensions.

Every rewrite keeps what the graph computes and the names of its inputs and outputs.
"""

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgewright.errors import InputError
from edgewright.runtimes.base import Array
from edgewright.workbench.convert.onnx_file import cleaned, input_names

_AXIS = "edgewright_axis_2"
_ALIKE = frozenset(
    {
        "Abs", "Add", "BatchNormalization", "Clip", "Div", "Dropout", "Elu", "Exp", "HardSigmoid",
        "HardSwish", "Identity", "LeakyRelu", "Log", "Mul", "Neg", "Pow", "PRelu", "Relu",
        "Sigmoid", "Softplus", "Sqrt", "Sub", "Sum", "Tanh",
    }
)  # fmt: skip
"""Operators that work element by element, or channel by channel on axis 1."""


def with_batch(model: onnx.ModelProto, rows: int = 1) -> onnx.ModelProto:
    """A copy whose free first axes are all `rows`, with every shape that follows from it.

    Raises:
        InputError: another axis of an input is free too; the message names it.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    fed = set(input_names(copy))
    for value in copy.graph.input:
        dims = value.type.tensor_type.shape.dim
        for axis, dim in enumerate(dims):
            if dim.dim_value or value.name not in fed:
                continue
            if axis:
                raise InputError(
                    f"input {value.name!r}: axis {axis} ({dim.dim_param or 'unnamed'}) is free, "
                    "this format wants a number",
                    hint="export the model with that axis fixed",
                )
            dim.dim_value = rows
    for value in copy.graph.output:
        value.type.tensor_type.ClearField("shape")
    del copy.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(copy, data_prop=True)


def shapes_of(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Shapes that inference knows; a free size is 0."""
    values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    shapes = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in values
        if value.type.tensor_type.HasField("shape")
    }
    return shapes | {t.name: tuple(t.dims) for t in model.graph.initializer}


def with_four_dimensions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every one-dimensional convolution and pooling as a two-dimensional one of height 1, and what
    lies between them in four dimensions too: Unsqueeze and Squeeze stay at the rim only.

    Accelerators and channel-last engines have kernels for four dimensions alone, and would
    transpose around each convolution otherwise.
    """
    rewriting = _Rewriting(model)
    if not rewriting.widen():
        return model
    while rewriting.sink() or rewriting.cancel():
        pass
    return rewriting.result()


class _Rewriting:
    """The graph while its three-dimensional parts turn into four-dimensional ones."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = onnx.ModelProto()
        self._model.CopyFrom(model)
        self._nodes = [_copied(node) for node in model.graph.node]
        self._stored = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        self._shapes = shapes_of(onnx.shape_inference.infer_shapes(model, data_prop=True))
        self._outputs = {value.name for value in model.graph.output}
        self._count = 0

    def widen(self) -> bool:
        """Each operator of one spatial axis between an Unsqueeze and a Squeeze."""
        nodes: list[onnx.NodeProto] = []
        found = False
        for node in self._nodes:
            if len(self._shapes.get(node.input[0], ()) if node.input else ()) == 3:
                wide = self._widened(node)
                if wide:
                    nodes += wide
                    found = True
                    continue
            nodes.append(node)
        self._nodes = nodes
        if found:
            self._stored[_AXIS] = np.array([2], np.int64)
        return found

    def _widened(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        match node.op_type:
            case "Conv" | "ConvTranspose" if self._stored.get(node.input[1], np.zeros(0)).ndim == 3:
                weight = f"{node.input[1]}_2d"
                self._stored[weight] = np.ascontiguousarray(
                    self._stored[node.input[1]][:, :, None, :]
                )
                inputs = [weight, *node.input[2:]]
            case "MaxPool" | "AveragePool" if len(node.output) == 1:
                inputs = []
            case "GlobalAveragePool" | "GlobalMaxPool":
                inputs = []
            case _:
                return []
        wide = helper.make_node(node.op_type, ["", *inputs], [""], name=node.name)
        wide.attribute.extend(_attribute_2d(attribute) for attribute in node.attribute)
        return self._between(node, wide)

    def _between(self, node: onnx.NodeProto, wide: onnx.NodeProto) -> list[onnx.NodeProto]:
        before, after = f"{node.output[0]}_4d_in", f"{node.output[0]}_4d"
        wide.input[0], wide.output[0] = before, after
        return [
            helper.make_node("Unsqueeze", [node.input[0], _AXIS], [before], name=f"{before}_up"),
            wide,
            helper.make_node("Squeeze", [after, _AXIS], [node.output[0]], name=f"{after}_down"),
        ]

    def sink(self) -> bool:
        """Move a Squeeze behind an operator that does not care; True when one moved."""
        makers = {name: node for node in self._nodes for name in node.output}
        for position, node in enumerate(self._nodes):
            if not _is_alike(node):
                continue
            feeds = [self._lifted(name, makers) for name in node.input]
            whole = all(feed is not None for feed in feeds)
            if not whole or not any(_is_down(makers.get(name)) for name in node.input):
                continue
            lifted = _copied(node)
            del lifted.input[:]
            lifted.input.extend(str(feed) for feed in feeds)
            lifted.output[0] = f"{node.output[0]}_4d"
            down = helper.make_node(
                "Squeeze",
                [lifted.output[0], _AXIS],
                [node.output[0]],
                name=f"{lifted.output[0]}_down",
            )
            self._nodes[position : position + 1] = [lifted, down]
            return True
        return False

    def _lifted(self, name: str, makers: dict[str, onnx.NodeProto]) -> str | None:
        """The four-dimensional counterpart of an operand; None where there is none."""
        maker = makers.get(name)
        if not name or _is_down(maker):
            return maker.input[0] if maker is not None and name else ""
        if name not in self._stored:
            return None
        array = self._stored[name]
        if array.ndim <= 1:
            # A number, one per channel of BatchNormalization, or a row along the last axis.
            return name
        wide = f"{name}_4d"
        self._stored[wide] = np.ascontiguousarray(np.expand_dims(array, -2))
        return wide

    def cancel(self) -> bool:
        """Take out an Unsqueeze that undoes a Squeeze; True when one went."""
        makers = {name: node for node in self._nodes for name in node.output}
        for node in self._nodes:
            if not _is_up(node) or not _is_down(makers.get(node.input[0])):
                continue
            source, gone = makers[node.input[0]].input[0], node.output[0]
            for other in self._nodes:
                for index, name in enumerate(other.input):
                    if name == gone:
                        other.input[index] = source
            self._nodes.remove(node)
            return True
        return False

    def result(self) -> onnx.ModelProto:
        """The graph again, without what nobody reads."""
        used = self._outputs | {name for node in self._nodes for name in node.input}
        while True:
            kept = [node for node in self._nodes if used & set(node.output)]
            if len(kept) == len(self._nodes):
                break
            self._nodes = kept
            used = self._outputs | {name for node in kept for name in node.input}
        graph = self._model.graph
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self._nodes)
        graph.initializer.extend(
            numpy_helper.from_array(array, name)
            for name, array in self._stored.items()
            if name in used
        )
        return onnx.shape_inference.infer_shapes(cleaned(self._model), data_prop=True)


def cut(
    model: onnx.ModelProto, *, start: Iterable[str] = (), end: Iterable[str] = ()
) -> onnx.ModelProto:
    """The part of a graph from the tensors `start` to the tensors `end`; empty keeps that side.

    Raises:
        InputError: there is no such tensor.
    """
    first, last = tuple(start), tuple(end)
    if not first and not last:
        return model
    known = {name for node in model.graph.node for name in (*node.input, *node.output)}
    for name in (*first, *last):
        if name not in known:
            raise InputError(f"no tensor {name!r} to cut the graph at", hint="see --report")
    extractor = onnx.utils.Extractor(onnx.shape_inference.infer_shapes(model))
    return extractor.extract_model(
        list(first) or list(input_names(model)),
        list(last) or [value.name for value in model.graph.output],
    )


def _attribute_2d(attribute: onnx.AttributeProto) -> onnx.AttributeProto:
    match attribute.name:
        case "kernel_shape" | "strides" | "dilations":
            return helper.make_attribute(attribute.name, [1, *attribute.ints])
        case "output_padding" | "output_shape":
            return helper.make_attribute(attribute.name, [0, *attribute.ints])
        case "pads":
            left, right = attribute.ints
            return helper.make_attribute("pads", [0, left, 0, right])
        case _:
            return attribute


def _is_alike(node: onnx.NodeProto) -> bool:
    if node.op_type == "Concat":
        return any(a.name == "axis" and a.i in {0, 1} for a in node.attribute)
    return node.op_type in _ALIKE and len(node.output) == 1


def _is_down(node: onnx.NodeProto | None) -> bool:
    return node is not None and node.op_type == "Squeeze" and node.input[1:] == [_AXIS]


def _is_up(node: onnx.NodeProto) -> bool:
    return node.op_type == "Unsqueeze" and node.input[1:] == [_AXIS]


def _copied(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy


def rows_of(array: Array, rows: int) -> Array:
    """The first rows, the last one repeated where there are fewer."""
    return array[np.minimum(np.arange(rows), len(array) - 1)]
