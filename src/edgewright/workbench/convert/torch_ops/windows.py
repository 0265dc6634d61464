"""Operators that slide a window over the axes behind the channels: convolutions and pools."""

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

from edgewright.errors import UnavailableError
from edgewright.workbench.convert.torch_ops.values import Attributes, Operator, Value


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


def _global(reduce: Callable[..., torch.Tensor]) -> Operator:
    return lambda inputs, _: reduce(inputs[0], tuple(range(2, inputs[0].ndim)), keepdim=True)


def _padded(x: torch.Tensor, pads: list[int], value: float = 0.0) -> torch.Tensor:
    return functional.pad(x, pads, value=value) if any(pads) else x


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


OPERATORS: dict[str, Operator] = {
    "AveragePool": _average_pool,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "GlobalAveragePool": _global(torch.mean),
    "GlobalMaxPool": _global(torch.amax),
    "MaxPool": _max_pool,
}
