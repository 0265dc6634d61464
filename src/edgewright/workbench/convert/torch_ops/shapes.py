"""The same values in another shape."""

import functools
import operator

import torch

from edgewright.workbench.convert.torch_ops.values import (
    Attributes,
    Operator,
    Value,
    axes_of,
    sizes_of,
)


def _reshape(inputs: list[Value], _: Attributes) -> Value:
    x, sizes = inputs[0], sizes_of(inputs[1])
    if not isinstance(x, torch.Tensor):
        return sizes_of(x)
    wanted = [x.shape[i] if isinstance(s, int) and s == 0 else s for i, s in enumerate(sizes)]
    return x.reshape(wanted)


def _squeeze(inputs: list[Value], attributes: Attributes) -> Value:
    x = inputs[0]
    if isinstance(x, list):
        return x[0]
    if len(inputs) < 2 and "axes" not in attributes:
        return x.squeeze()
    return x.squeeze(axes_of(inputs, attributes, x.ndim))


def _unsqueeze(inputs: list[Value], attributes: Attributes) -> Value:
    x = inputs[0]
    if not isinstance(x, torch.Tensor):
        return [x]
    axes = sizes_of(inputs[1]) if len(inputs) > 1 else attributes["axes"]
    for axis in sorted(axis % (x.ndim + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _flatten(inputs: list[Value], attributes: Attributes) -> Value:
    axis = attributes.get("axis", 1)
    return (
        inputs[0].flatten(axis)
        if axis == 1
        else inputs[0].reshape(functools.reduce(operator.mul, inputs[0].shape[:axis], 1), -1)
    )


def _transpose(inputs: list[Value], attributes: Attributes) -> Value:
    order = attributes.get("perm", list(reversed(range(inputs[0].ndim))))
    return inputs[0].permute(order)


def _expand(inputs: list[Value], _: Attributes) -> Value:
    x, sizes = inputs[0], sizes_of(inputs[1])
    shape = list(x.shape)
    missing = len(sizes) - len(shape)
    wanted = [
        shape[axis - missing] if axis >= missing and isinstance(size, int) and size == 1 else size
        for axis, size in enumerate(sizes)
    ]
    return x.expand(shape[: max(-missing, 0)] + wanted)


def _filled(inputs: list[Value], attributes: Attributes) -> Value:
    return torch.full(sizes_of(inputs[0]), attributes.get("value", [0.0])[0])


OPERATORS: dict[str, Operator] = {
    "ConstantOfShape": _filled,
    "Expand": _expand,
    "Flatten": _flatten,
    "Identity": lambda inputs, _: inputs[0],
    "Reshape": _reshape,
    "Shape": lambda inputs, attributes: list(inputs[0].shape)[
        attributes.get("start", 0) : attributes.get("end")
    ],
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
