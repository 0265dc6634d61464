"""What operators take and give, and how their settings are read."""

import operator
from collections.abc import Callable
from typing import Any

import torch

Value = Any
"""A tensor, or a list of sizes that the graph computes."""
Attributes = dict[str, Any]
Operator = Callable[[list[Value], Attributes], Value]


def sizes_of(value: Value) -> list[Any]:
    """A shape operand as python sizes."""
    if isinstance(value, list):
        return value
    if not isinstance(value, torch.Tensor):
        return [value]
    return [int(size) for size in value.reshape(-1).tolist()]


def axes_of(inputs: list[Value], attributes: Attributes, rank: int) -> tuple[int, ...]:
    """From the second input, the attribute, or all; counted from the front."""
    if len(inputs) > 1 and inputs[1] is not None:
        return tuple(int(axis) % rank for axis in sizes_of(inputs[1]))
    axes = attributes.get("axes")
    return tuple(axis % rank for axis in axes) if axes else tuple(range(rank))


def number_of(value: Value) -> float:
    """A setting, stored as a number or as one in a list."""
    return float(value[0] if isinstance(value, list) else value)


def floats_of(value: Value) -> list[float]:
    """A list of numbers, stored as one or as a tensor."""
    return list(value) if isinstance(value, list) else [float(one) for one in value.tolist()]


def as_operand(value: Value) -> Value:
    """What stands beside a tensor."""
    return torch.tensor(value) if isinstance(value, list) else value


def unary(run: Callable[[torch.Tensor], torch.Tensor]) -> Operator:
    """An operator of one tensor."""
    return lambda inputs, _: run(inputs[0])


def binary(run: Callable[[Any, Any], Any]) -> Operator:
    """An operator of two, tensors or sizes; sizes stay python numbers."""

    def apply(inputs: list[Value], _: Attributes) -> Value:
        left, right = inputs
        if isinstance(left, torch.Tensor) or isinstance(right, torch.Tensor):
            return run(as_operand(left), as_operand(right))
        on_sizes = operator.floordiv if run is operator.truediv else run
        if not isinstance(left, list) and not isinstance(right, list):
            return on_sizes(left, right)
        return [on_sizes(a, b) for a, b in zip(*_same_length(left, right), strict=True)]

    return apply


def _same_length(left: Value, right: Value) -> tuple[list[Any], list[Any]]:
    first, second = sizes_of(left), sizes_of(right)
    count = max(len(first), len(second))
    return first * (count // len(first)), second * (count // len(second))
