"""Normalising layers."""

from torch.nn import functional

from edgewright.workbench.convert.torch_ops.values import Attributes, Operator, Value


def _norm(inputs: list[Value], attributes: Attributes) -> Value:
    x, weight, bias, mean, variance = inputs
    return functional.batch_norm(
        x, mean, variance, weight, bias, eps=attributes.get("epsilon", 1e-5)
    )


def _layer_norm(inputs: list[Value], attributes: Attributes) -> Value:
    x = inputs[0]
    axis = attributes.get("axis", -1) % x.ndim
    bias = inputs[2] if len(inputs) > 2 else None
    return functional.layer_norm(
        x, x.shape[axis:], inputs[1], bias, eps=attributes.get("epsilon", 1e-5)
    )


def _instance_norm(inputs: list[Value], attributes: Attributes) -> Value:
    return functional.instance_norm(
        inputs[0],
        weight=inputs[1],
        bias=inputs[2],
        use_input_stats=True,
        eps=attributes.get("epsilon", 1e-5),
    )


OPERATORS: dict[str, Operator] = {
    "BatchNormalization": _norm,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
}
