"""ONNX operators in torch, for the operators that exported networks use.

Shapes that a graph computes (Shape, Gather, Concat, ...) stay python lists of sizes, so that
torch.export keeps a free batch free.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from edgewright.errors import UnavailableError
from edgewright.workbench.convert.torch_recurrent import gru, lstm

Value = Any
"""A tensor, or a list of sizes that the graph computes."""
Attributes = dict[str, Any]
Operator = Callable[[list[Value], Attributes], Value]


def _pads(attributes: Attributes, kernel: Sequence[int], sizes: Sequence[int]) -> list[int]:
    """Padding in torch's order (last axis first); `sizes` are the input's spatial axes."""
    rank = len(kernel)
    auto = attributes.get("auto_pad", "NOTSET")
    if auto in {"SAME_UPPER", "SAME_LOWER"}:
        pads = _same_pads(attributes, kernel, sizes, upper=auto == "SAME_UPPER")
    else:
        pads = list(attributes.get("pads", [0] * (2 * rank)))
    ordered: list[int] = []
    for axis in reversed(range(rank)):
        ordered += [pads[axis], pads[axis + rank]]
    return ordered


def _same_pads(
    attributes: Attributes, kernel: Sequence[int], sizes: Sequence[int], *, upper: bool
) -> list[int]:
    """As much as keeps ceil(size / stride) places; the odd one goes to the end, or to the start."""
    rank = len(kernel)
    strides = attributes.get("strides", [1] * rank)
    dilations = attributes.get("dilations", [1] * rank)
    firsts, lasts = [], []
    for size, width, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        reach = (width - 1) * dilation + 1
        missing = max((-(-size // stride) - 1) * stride + reach - size, 0)
        less = missing // 2
        firsts.append(less if upper else missing - less)
        lasts.append(missing - less if upper else less)
    return firsts + lasts


def _padded(x: torch.Tensor, pads: list[int], value: float = 0.0) -> torch.Tensor:
    return functional.pad(x, pads, value=value) if any(pads) else x


def _conv(inputs: list[Value], attributes: Attributes) -> Value:
    x, weight = inputs[0], inputs[1]
    rank = weight.ndim - 2
    run = (functional.conv1d, functional.conv2d, functional.conv3d)[rank - 1]
    return run(
        _padded(x, _pads(attributes, weight.shape[2:], x.shape[2:])),
        weight,
        inputs[2] if len(inputs) > 2 else None,
        stride=tuple(attributes.get("strides", [1] * rank)),
        dilation=tuple(attributes.get("dilations", [1] * rank)),
        groups=attributes.get("group", 1),
    )


def _conv_transpose(inputs: list[Value], attributes: Attributes) -> Value:
    rank = inputs[1].ndim - 2
    pads = attributes.get("pads", [0] * (2 * rank))
    if pads[:rank] != pads[rank:]:
        raise UnavailableError("ConvTranspose with uneven padding has no torch counterpart here")
    run = (
        functional.conv_transpose1d,
        functional.conv_transpose2d,
        functional.conv_transpose3d,
    )[rank - 1]
    return run(
        inputs[0],
        inputs[1],
        inputs[2] if len(inputs) > 2 else None,
        stride=tuple(attributes.get("strides", [1] * rank)),
        padding=tuple(pads[:rank]),
        output_padding=tuple(attributes.get("output_padding", [0] * rank)),
        groups=attributes.get("group", 1),
        dilation=tuple(attributes.get("dilations", [1] * rank)),
    )


def _gemm(inputs: list[Value], attributes: Attributes) -> Value:
    left = inputs[0].T if attributes.get("transA") else inputs[0]
    right = inputs[1].T if attributes.get("transB") else inputs[1]
    product = attributes.get("alpha", 1.0) * (left @ right)
    if len(inputs) < 3:
        return product
    return product + attributes.get("beta", 1.0) * inputs[2]


def _max_pool(inputs: list[Value], attributes: Attributes) -> Value:
    kernel = attributes["kernel_shape"]
    rank = len(kernel)
    run = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[rank - 1]
    pads = _pads(attributes, kernel, inputs[0].shape[2:])
    x = _padded(inputs[0], pads, float("-inf"))
    return run(
        x,
        kernel,
        stride=attributes.get("strides", [1] * rank),
        dilation=attributes.get("dilations", [1] * rank),
        ceil_mode=bool(attributes.get("ceil_mode", 0)),
    )


def _average_pool(inputs: list[Value], attributes: Attributes) -> Value:
    kernel = attributes["kernel_shape"]
    rank = len(kernel)
    x = inputs[0]
    pads = _pads(attributes, kernel, x.shape[2:])
    run = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)[rank - 1]
    strides = attributes.get("strides", [1] * rank)
    ceil = bool(attributes.get("ceil_mode", 0))
    if not any(pads):
        return run(x, kernel, stride=strides, ceil_mode=ceil)
    if ceil:
        raise UnavailableError("AveragePool with padding and ceil_mode has no torch counterpart")
    mean = run(_padded(x, pads), kernel, stride=strides)
    if attributes.get("count_include_pad"):
        return mean
    share = run(_padded(torch.ones_like(x[:1, :1]), pads), kernel, stride=strides)
    return mean / share


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


def _sizes(value: Value) -> list[Any]:
    """A shape operand as python sizes."""
    if isinstance(value, list):
        return value
    if not isinstance(value, torch.Tensor):
        return [value]
    return [int(size) for size in value.reshape(-1).tolist()]


def _axes(inputs: list[Value], attributes: Attributes, rank: int) -> tuple[int, ...]:
    if len(inputs) > 1 and inputs[1] is not None:
        return tuple(int(axis) % rank for axis in _sizes(inputs[1]))
    axes = attributes.get("axes")
    return tuple(axis % rank for axis in axes) if axes else tuple(range(rank))


def _reduced(reduce: Callable[..., torch.Tensor]) -> Operator:
    def run(inputs: list[Value], attributes: Attributes) -> Value:
        axes = _axes(inputs, attributes, inputs[0].ndim)
        return reduce(inputs[0], axes, keepdim=bool(attributes.get("keepdims", 1)))

    return run


def _reshape(inputs: list[Value], _: Attributes) -> Value:
    x, sizes = inputs[0], _sizes(inputs[1])
    if not isinstance(x, torch.Tensor):
        return _sizes(x)
    wanted = [x.shape[i] if isinstance(s, int) and s == 0 else s for i, s in enumerate(sizes)]
    return x.reshape(wanted)


def _squeeze(inputs: list[Value], attributes: Attributes) -> Value:
    x = inputs[0]
    if isinstance(x, list):
        return x[0]
    if len(inputs) < 2 and "axes" not in attributes:
        return x.squeeze()
    return x.squeeze(_axes(inputs, attributes, x.ndim))


def _unsqueeze(inputs: list[Value], attributes: Attributes) -> Value:
    x = inputs[0]
    if not isinstance(x, torch.Tensor):
        return [x]
    axes = _sizes(inputs[1]) if len(inputs) > 1 else attributes["axes"]
    for axis in sorted(axis % (x.ndim + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _gather(inputs: list[Value], attributes: Attributes) -> Value:
    x, index = inputs
    axis = attributes.get("axis", 0)
    if isinstance(x, list):
        return [x[i] for i in index] if isinstance(index, list) else x[index]
    if not isinstance(index, (list, torch.Tensor)):
        return x.select(axis, index)
    if isinstance(index, list):
        index = torch.tensor(index)
    flat = torch.index_select(x, axis, index.reshape(-1) % x.shape[axis])
    axis %= x.ndim
    return flat.reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


def _concat(inputs: list[Value], attributes: Attributes) -> Value:
    if not all(isinstance(value, torch.Tensor) for value in inputs):
        return [size for value in inputs for size in _sizes(value)]
    return torch.cat(inputs, dim=attributes["axis"])


def _slice(inputs: list[Value], _: Attributes) -> Value:
    x = inputs[0]
    starts, ends = _sizes(inputs[1]), _sizes(inputs[2])
    rank = 1 if isinstance(x, list) else x.ndim
    axes = _sizes(inputs[3]) if len(inputs) > 3 and inputs[3] is not None else range(len(starts))
    steps = _sizes(inputs[4]) if len(inputs) > 4 else [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if step < 1:
            raise UnavailableError("Slice with a negative step has no torch counterpart here")
        if isinstance(x, list):
            x = x[start:end:step]
        else:
            where = [slice(None)] * rank
            where[axis] = slice(start, min(end, 2**31 - 1), step)
            x = x[tuple(where)]
    return x


def _pad(inputs: list[Value], attributes: Attributes) -> Value:
    x = inputs[0]
    pads = _sizes(inputs[1])
    value = _number(inputs[2]) if len(inputs) > 2 and inputs[2] is not None else 0.0
    axes = _sizes(inputs[3]) if len(inputs) > 3 else list(range(x.ndim))
    by_axis = {axis % x.ndim: (pads[i], pads[i + len(axes)]) for i, axis in enumerate(axes)}
    ordered = [size for axis in reversed(range(x.ndim)) for size in by_axis.get(axis, (0, 0))]
    modes = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}
    mode = modes[attributes.get("mode", "constant")]
    if mode == "constant":
        return functional.pad(x, ordered, value=value)
    while len(ordered) > 2 and not any(ordered[-2:]):
        ordered = ordered[:-2]
    return functional.pad(x, ordered, mode=mode)


def _split(inputs: list[Value], attributes: Attributes) -> Value:
    axis = attributes.get("axis", 0)
    if len(inputs) > 1:
        return torch.split(inputs[0], _sizes(inputs[1]), dim=axis)
    return torch.chunk(inputs[0], attributes["num_outputs"], dim=axis)


def _resize(inputs: list[Value], attributes: Attributes) -> Value:
    x = inputs[0]
    mode = attributes.get("mode", "nearest")
    where = attributes.get("coordinate_transformation_mode", "half_pixel")
    nearest = attributes.get("nearest_mode", "round_prefer_floor")
    if len(inputs) > 3 and inputs[3] is not None:
        sizes = _sizes(inputs[3])[2:]
    else:
        scales = _floats(inputs[2])[2:]
        sizes = [int(size * scale) for size, scale in zip(x.shape[2:], scales, strict=True)]
    if mode == "nearest" and where == "asymmetric" and nearest == "floor":
        return functional.interpolate(x, size=sizes, mode="nearest")
    if mode == "linear" and where in {"half_pixel", "pytorch_half_pixel", "align_corners"}:
        kind = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(sizes)]
        return functional.interpolate(
            x, size=sizes, mode=kind, align_corners=where == "align_corners"
        )
    raise UnavailableError(f"Resize {mode}/{where}/{nearest} has no torch counterpart here")


def _clip(inputs: list[Value], attributes: Attributes) -> Value:
    low = inputs[1] if len(inputs) > 1 else attributes.get("min")
    high = inputs[2] if len(inputs) > 2 else attributes.get("max")
    return torch.clamp(
        inputs[0],
        None if low is None else _number(low),
        None if high is None else _number(high),
    )


def _number(value: Value) -> float:
    """A setting, stored as a number or as one in a list."""
    return float(value[0] if isinstance(value, list) else value)


def _floats(value: Value) -> list[float]:
    return list(value) if isinstance(value, list) else [float(one) for one in value.tolist()]


def _global(reduce: Callable[..., torch.Tensor]) -> Operator:
    return lambda inputs, _: reduce(inputs[0], tuple(range(2, inputs[0].ndim)), keepdim=True)


def _binary(run: Callable[[Any, Any], Any]) -> Operator:
    def apply(inputs: list[Value], _: Attributes) -> Value:
        left, right = inputs
        if isinstance(left, torch.Tensor) or isinstance(right, torch.Tensor):
            return run(_as_operand(left), _as_operand(right))
        on_sizes = operator.floordiv if run is operator.truediv else run
        if not isinstance(left, list) and not isinstance(right, list):
            return on_sizes(left, right)
        return [on_sizes(a, b) for a, b in zip(*_same_length(left, right), strict=True)]

    return apply


def _as_operand(value: Value) -> Value:
    return torch.tensor(value) if isinstance(value, list) else value


def _same_length(left: Value, right: Value) -> tuple[list[Any], list[Any]]:
    first, second = _sizes(left), _sizes(right)
    count = max(len(first), len(second))
    return first * (count // len(first)), second * (count // len(second))


def _flatten(inputs: list[Value], attributes: Attributes) -> Value:
    axis = attributes.get("axis", 1)
    return (
        inputs[0].flatten(axis)
        if axis == 1
        else inputs[0].reshape(functools.reduce(operator.mul, inputs[0].shape[:axis], 1), -1)
    )


def _unary(run: Callable[[torch.Tensor], torch.Tensor]) -> Operator:
    return lambda inputs, _: run(inputs[0])


def _cast(inputs: list[Value], attributes: Attributes) -> Value:
    kinds = {1: torch.float32, 6: torch.int32, 7: torch.int64, 9: torch.bool, 10: torch.float16}
    if not isinstance(inputs[0], torch.Tensor):
        return inputs[0]
    if attributes["to"] not in kinds:
        raise UnavailableError(f"Cast to type {attributes['to']} has no torch counterpart here")
    return inputs[0].to(kinds[attributes["to"]])


def _expand(inputs: list[Value], _: Attributes) -> Value:
    x, sizes = inputs[0], _sizes(inputs[1])
    shape = list(x.shape)
    missing = len(sizes) - len(shape)
    wanted = [
        shape[axis - missing] if axis >= missing and isinstance(size, int) and size == 1 else size
        for axis, size in enumerate(sizes)
    ]
    return x.expand(shape[: max(-missing, 0)] + wanted)


def _gelu(inputs: list[Value], attributes: Attributes) -> Value:
    return functional.gelu(inputs[0], approximate=attributes.get("approximate", "none"))


def _leaky(inputs: list[Value], attributes: Attributes) -> Value:
    return functional.leaky_relu(inputs[0], attributes.get("alpha", 0.01))


def _transpose(inputs: list[Value], attributes: Attributes) -> Value:
    order = attributes.get("perm", list(reversed(range(inputs[0].ndim))))
    return inputs[0].permute(order)


def _where(inputs: list[Value], _: Attributes) -> Value:
    condition, yes, no = (_as_operand(value) for value in inputs)
    return torch.where(condition, yes, no)


def _filled(inputs: list[Value], attributes: Attributes) -> Value:
    return torch.full(_sizes(inputs[0]), attributes.get("value", [0.0])[0])


def _argument(pick: Callable[..., torch.Tensor]) -> Operator:
    def run(inputs: list[Value], attributes: Attributes) -> Value:
        keep = bool(attributes.get("keepdims", 1))
        return pick(inputs[0], dim=attributes.get("axis", 0), keepdim=keep)

    return run


def _instance_norm(inputs: list[Value], attributes: Attributes) -> Value:
    return functional.instance_norm(
        inputs[0],
        weight=inputs[1],
        bias=inputs[2],
        use_input_stats=True,
        eps=attributes.get("epsilon", 1e-5),
    )


def _depth_to_space(inputs: list[Value], attributes: Attributes) -> Value:
    x, block = inputs[0], attributes["blocksize"]
    if attributes.get("mode", "DCR") == "CRD":
        return functional.pixel_shuffle(x, block)
    rows, channels, height, width = x.shape
    left = channels // block**2
    split = x.reshape(rows, block, block, left, height, width).permute(0, 3, 4, 1, 5, 2)
    return split.reshape(rows, left, height * block, width * block)


def _einsum(inputs: list[Value], attributes: Attributes) -> Value:
    return torch.einsum(attributes["equation"], *inputs)


def _hard_sigmoid(inputs: list[Value], attributes: Attributes) -> Value:
    slope, shift = attributes.get("alpha", 0.2), attributes.get("beta", 0.5)
    return torch.clamp(inputs[0] * slope + shift, 0.0, 1.0)


OPERATORS: dict[str, Operator] = {
    "Abs": _unary(torch.abs),
    "Add": _binary(operator.add),
    "And": _binary(torch.logical_and),
    "ArgMax": _argument(torch.argmax),
    "ArgMin": _argument(torch.argmin),
    "AveragePool": _average_pool,
    "BatchNormalization": _norm,
    "Cast": _cast,
    "Ceil": _unary(torch.ceil),
    "Clip": _clip,
    "Concat": _concat,
    "ConstantOfShape": _filled,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Cos": _unary(torch.cos),
    "DepthToSpace": _depth_to_space,
    "Div": _binary(operator.truediv),
    "Dropout": lambda inputs, _: inputs[0],
    "Einsum": _einsum,
    "Elu": lambda inputs, attributes: functional.elu(inputs[0], attributes.get("alpha", 1.0)),
    "Equal": _binary(operator.eq),
    "Erf": _unary(torch.erf),
    "Exp": _unary(torch.exp),
    "Expand": _expand,
    "Flatten": _flatten,
    "Floor": _unary(torch.floor),
    "GRU": gru,
    "Gather": _gather,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": _global(torch.mean),
    "GlobalMaxPool": _global(torch.amax),
    "Greater": _binary(operator.gt),
    "GreaterOrEqual": _binary(operator.ge),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _unary(functional.hardswish),
    "Identity": lambda inputs, _: inputs[0],
    "InstanceNormalization": _instance_norm,
    "LSTM": lstm,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": _leaky,
    "Less": _binary(operator.lt),
    "LessOrEqual": _binary(operator.le),
    "Log": _unary(torch.log),
    "LogSoftmax": lambda inputs, attributes: torch.log_softmax(
        inputs[0], attributes.get("axis", -1)
    ),
    "MatMul": _binary(operator.matmul),
    "Max": lambda inputs, _: functools.reduce(torch.maximum, inputs),
    "MaxPool": _max_pool,
    "Min": lambda inputs, _: functools.reduce(torch.minimum, inputs),
    "Mish": _unary(functional.mish),
    "Mul": _binary(operator.mul),
    "Neg": _unary(torch.neg),
    "Not": _unary(torch.logical_not),
    "Or": _binary(torch.logical_or),
    "PRelu": _binary(lambda x, slope: torch.where(x >= 0, x, x * slope)),
    "Pad": _pad,
    "Pow": _binary(operator.pow),
    "Reciprocal": _unary(torch.reciprocal),
    "ReduceL2": _reduced(torch.linalg.vector_norm),
    "ReduceMax": _reduced(torch.amax),
    "ReduceMean": _reduced(torch.mean),
    "ReduceMin": _reduced(torch.amin),
    "ReduceSum": _reduced(torch.sum),
    "Relu": _unary(torch.relu),
    "Reshape": _reshape,
    "Resize": _resize,
    "Round": _unary(torch.round),
    "Selu": _unary(functional.selu),
    "Shape": lambda inputs, attributes: list(inputs[0].shape)[
        attributes.get("start", 0) : attributes.get("end")
    ],
    "Sigmoid": _unary(torch.sigmoid),
    "Sign": _unary(torch.sign),
    "Sin": _unary(torch.sin),
    "Slice": _slice,
    "Softmax": lambda inputs, attributes: torch.softmax(inputs[0], attributes.get("axis", -1)),
    "Softplus": _unary(functional.softplus),
    "Softsign": _unary(functional.softsign),
    "Split": _split,
    "Sqrt": _unary(torch.sqrt),
    "Squeeze": _squeeze,
    "Sub": _binary(operator.sub),
    "Sum": lambda inputs, _: functools.reduce(operator.add, inputs),
    "Tanh": _unary(torch.tanh),
    "Tile": lambda inputs, _: inputs[0].repeat(_sizes(inputs[1])),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _where,
}
