"""What stands between layers."""

import torch
from torch.nn import functional

from edgewright.workbench.convert.torch_ops.values import Attributes, Operator, Value, binary, unary


def _gelu(inputs: list[Value], attributes: Attributes) -> Value:
    return functional.gelu(inputs[0], approximate=attributes.get("approximate", "none"))


def _leaky(inputs: list[Value], attributes: Attributes) -> Value:
    return functional.leaky_relu(inputs[0], attributes.get("alpha", 0.01))


def _hard_sigmoid(inputs: list[Value], attributes: Attributes) -> Value:
    slope, shift = attributes.get("alpha", 0.2), attributes.get("beta", 0.5)
    return torch.clamp(inputs[0] * slope + shift, 0.0, 1.0)


OPERATORS: dict[str, Operator] = {
    "Dropout": lambda inputs, _: inputs[0],
    "Elu": lambda inputs, attributes: functional.elu(inputs[0], attributes.get("alpha", 1.0)),
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": unary(functional.hardswish),
    "LeakyRelu": _leaky,
    "LogSoftmax": lambda inputs, attributes: torch.log_softmax(
        inputs[0], attributes.get("axis", -1)
    ),
    "Mish": unary(functional.mish),
    "PRelu": binary(lambda x, slope: torch.where(x >= 0, x, x * slope)),
    "Relu": unary(torch.relu),
    "Selu": unary(functional.selu),
    "Sigmoid": unary(torch.sigmoid),
    "Softmax": lambda inputs, attributes: torch.softmax(inputs[0], attributes.get("axis", -1)),
    "Softplus": unary(functional.softplus),
    "Softsign": unary(functional.softsign),
    "Tanh": unary(torch.tanh),
}
