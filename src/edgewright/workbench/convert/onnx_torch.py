"""An ONNX graph as a torch module, so that torch's own exporters can write it in their formats."""

from typing import Any

import onnx
import torch
from onnx import helper, numpy_helper

from edgewright.errors import UnavailableError
from edgewright.workbench.convert.onnx_file import input_names, output_names
from edgewright.workbench.convert.torch_ops import OPERATORS, Value

_SIZE_DTYPES = frozenset({onnx.TensorProto.INT64, onnx.TensorProto.INT32})

# Operands that are settings of the operator, numbers to torch: limits, fill values, scales.
_SETTINGS = {"Clip": (1, 2), "Pad": (2,), "Resize": (2,)}


class OnnxModule(torch.nn.Module):
    """Runs the graph node by node. Inputs and outputs keep their order.

    Raises:
        UnavailableError: the graph has an operator without a torch counterpart here.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__()
        self._inputs = input_names(model)
        self._outputs = output_names(model)
        self._steps = [_step(node) for node in model.graph.node if node.op_type != "Constant"]
        self._weights: dict[str, str] = {}
        self._constants: dict[str, Value] = {}
        settings = _settings(model)
        for position, (name, tensor) in enumerate(_constants(model)):
            is_size = tensor.data_type in _SIZE_DTYPES and len(tensor.dims) < 2
            if is_size or name in settings:
                self._constants[name] = numpy_helper.to_array(tensor).tolist()
            else:
                self._weights[name] = f"weight_{position}"
                array = torch.from_numpy(numpy_helper.to_array(tensor).copy())
                self.register_buffer(f"weight_{position}", array)

    def forward(self, *arguments: torch.Tensor) -> Any:
        """One pass."""
        values: dict[str, Value] = dict(self._constants)
        for name, place in self._weights.items():
            values[name] = self.passed(name, getattr(self, place))
        for name, argument in zip(self._inputs, arguments, strict=True):
            values[name] = self.passed(name, argument)
        for step in self._steps:
            inputs = [values[name] if name else None for name in step.inputs]
            result = OPERATORS[step.operator](inputs, step.attributes)
            results = result if isinstance(result, tuple) else (result,)
            for name, one in zip(step.outputs, results, strict=False):
                if name:
                    values[name] = self.passed(name, one)
        answers = tuple(values[name] for name in self._outputs)
        return answers[0] if len(answers) == 1 else answers

    def passed(self, name: str, value: Value) -> Value:
        """What readers of a tensor get; a subclass may round it, or look at it."""
        del name
        return value


class _Step:
    """A node without protobuf, which torch.export cannot look into."""

    def __init__(self, node: onnx.NodeProto) -> None:
        self.operator = node.op_type
        self.inputs = list(node.input)
        while self.inputs and not self.inputs[-1]:
            self.inputs.pop()
        self.outputs = list(node.output)
        self.attributes = {
            attribute.name: _plain(helper.get_attribute_value(attribute))
            for attribute in node.attribute
        }


def _step(node: onnx.NodeProto) -> _Step:
    if node.op_type not in OPERATORS or node.domain not in {"", "ai.onnx"}:
        raise UnavailableError(
            f"operator {node.op_type} (node {node.name or node.output[0]!r}) has no torch "
            "counterpart here",
            hint="export to this format from the torch module itself",
        )
    return _Step(node)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value).reshape(-1).tolist()
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def _settings(model: onnx.ModelProto) -> set[str]:
    """Constants that nothing reads but as a setting."""
    as_setting: set[str] = set()
    as_tensor: set[str] = set()
    for node in model.graph.node:
        places = _SETTINGS.get(node.op_type, ())
        for index, name in enumerate(node.input):
            (as_setting if index in places else as_tensor).add(name)
    return as_setting - as_tensor


def _constants(model: onnx.ModelProto) -> list[tuple[str, onnx.TensorProto]]:
    nodes = (node for node in model.graph.node if node.op_type == "Constant")
    return [(tensor.name, tensor) for tensor in model.graph.initializer] + [
        (node.output[0], _constant_value(node)) for node in nodes
    ]


def _constant_value(node: onnx.NodeProto) -> onnx.TensorProto:
    attribute = node.attribute[0]
    match attribute.name:
        case "value":
            tensor: onnx.TensorProto = attribute.t
            return tensor
        case "value_int" | "value_ints":
            value = helper.get_attribute_value(attribute)
            ints = value if isinstance(value, (list, tuple)) else [value]
            shape = [len(ints)] if attribute.name == "value_ints" else []
            return helper.make_tensor(node.output[0], onnx.TensorProto.INT64, shape, ints)
        case "value_float" | "value_floats":
            value = helper.get_attribute_value(attribute)
            floats = value if isinstance(value, (list, tuple)) else [value]
            shape = [len(floats)] if attribute.name == "value_floats" else []
            return helper.make_tensor(node.output[0], onnx.TensorProto.FLOAT, shape, floats)
        case _:
            raise UnavailableError(f"a Constant of kind {attribute.name} has no torch counterpart")
