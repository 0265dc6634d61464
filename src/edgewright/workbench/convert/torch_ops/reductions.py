"""Many values to one."""

from collections.abc import Callable

import torch

from edgewright.workbench.convert.torch_ops.values import Attributes, Operator, Value, axes_of


def _reduced(reduce: Callable[..., torch.Tensor]) -> Operator:
    def run(inputs: list[Value], attributes: Attributes) -> Value:
        axes = axes_of(inputs, attributes, inputs[0].ndim)
        return reduce(inputs[0], axes, keepdim=bool(attributes.get("keepdims", 1)))

    return run


def _argument(pick: Callable[..., torch.Tensor]) -> Operator:
    def run(inputs: list[Value], attributes: Attributes) -> Value:
        keep = bool(attributes.get("keepdims", 1))
        return pick(inputs[0], dim=attributes.get("axis", 0), keepdim=keep)

    return run


OPERATORS: dict[str, Operator] = {
    "ArgMax": _argument(torch.argmax),
    "ArgMin": _argument(torch.argmin),
    "ReduceL2": _reduced(torch.linalg.vector_norm),
    "ReduceMax": _reduced(torch.amax),
    "ReduceMean": _reduced(torch.mean),
    "ReduceMin": _reduced(torch.amin),
    "ReduceSum": _reduced(torch.sum),
}
