"""Element by element, products of matrices, comparisons."""

import functools
import operator

import torch

from edgewright.errors import UnavailableError
from edgewright.workbench.convert.torch_ops.values import (
    Attributes,
    Operator,
    Value,
    as_operand,
    binary,
    number_of,
    unary,
)


def _gemm(inputs: list[Value], attributes: Attributes) -> Value:
    left = inputs[0].T if attributes.get("transA") else inputs[0]
    right = inputs[1].T if attributes.get("transB") else inputs[1]
    product = attributes.get("alpha", 1.0) * (left @ right)
    if len(inputs) < 3:
        return product
    return product + attributes.get("beta", 1.0) * inputs[2]


def _einsum(inputs: list[Value], attributes: Attributes) -> Value:
    return torch.einsum(attributes["equation"], *inputs)


def _clip(inputs: list[Value], attributes: Attributes) -> Value:
    low = inputs[1] if len(inputs) > 1 else attributes.get("min")
    high = inputs[2] if len(inputs) > 2 else attributes.get("max")
    return torch.clamp(
        inputs[0],
        None if low is None else number_of(low),
        None if high is None else number_of(high),
    )


def _cast(inputs: list[Value], attributes: Attributes) -> Value:
    kinds = {1: torch.float32, 6: torch.int32, 7: torch.int64, 9: torch.bool, 10: torch.float16}
    if not isinstance(inputs[0], torch.Tensor):
        return inputs[0]
    if attributes["to"] not in kinds:
        raise UnavailableError(f"Cast to type {attributes['to']} has no torch counterpart here")
    return inputs[0].to(kinds[attributes["to"]])


def _where(inputs: list[Value], _: Attributes) -> Value:
    condition, yes, no = (as_operand(value) for value in inputs)
    return torch.where(condition, yes, no)


OPERATORS: dict[str, Operator] = {
    "Abs": unary(torch.abs),
    "Add": binary(operator.add),
    "And": binary(torch.logical_and),
    "Cast": _cast,
    "Ceil": unary(torch.ceil),
    "Clip": _clip,
    "Cos": unary(torch.cos),
    "Div": binary(operator.truediv),
    "Einsum": _einsum,
    "Equal": binary(operator.eq),
    "Erf": unary(torch.erf),
    "Exp": unary(torch.exp),
    "Floor": unary(torch.floor),
    "Gemm": _gemm,
    "Greater": binary(operator.gt),
    "GreaterOrEqual": binary(operator.ge),
    "Less": binary(operator.lt),
    "LessOrEqual": binary(operator.le),
    "Log": unary(torch.log),
    "MatMul": binary(operator.matmul),
    "Max": lambda inputs, _: functools.reduce(torch.maximum, inputs),
    "Min": lambda inputs, _: functools.reduce(torch.minimum, inputs),
    "Mul": binary(operator.mul),
    "Neg": unary(torch.neg),
    "Not": unary(torch.logical_not),
    "Or": binary(torch.logical_or),
    "Pow": binary(operator.pow),
    "Reciprocal": unary(torch.reciprocal),
    "Round": unary(torch.round),
    "Sign": unary(torch.sign),
    "Sin": unary(torch.sin),
    "Sqrt": unary(torch.sqrt),
    "Sub": binary(operator.sub),
    "Sum": lambda inputs, _: functools.reduce(operator.add, inputs),
    "Where": _where,
}
