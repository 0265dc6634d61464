"""Values taken out, put together, padded and resized."""

import torch
from torch.nn import functional

from edgewright.errors import UnavailableError
from edgewright.workbench.convert.torch_ops.values import (
    Attributes,
    Operator,
    Value,
    floats_of,
    number_of,
    sizes_of,
)


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
        return [size for value in inputs for size in sizes_of(value)]
    return torch.cat(inputs, dim=attributes["axis"])


def _slice(inputs: list[Value], _: Attributes) -> Value:
    x = inputs[0]
    starts, ends = sizes_of(inputs[1]), sizes_of(inputs[2])
    rank = 1 if isinstance(x, list) else x.ndim
    axes = sizes_of(inputs[3]) if len(inputs) > 3 and inputs[3] is not None else range(len(starts))
    steps = sizes_of(inputs[4]) if len(inputs) > 4 else [1] * len(starts)
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
    pads = sizes_of(inputs[1])
    value = number_of(inputs[2]) if len(inputs) > 2 and inputs[2] is not None else 0.0
    axes = sizes_of(inputs[3]) if len(inputs) > 3 else list(range(x.ndim))
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
        return torch.split(inputs[0], sizes_of(inputs[1]), dim=axis)
    return torch.chunk(inputs[0], attributes["num_outputs"], dim=axis)


def _resize(inputs: list[Value], attributes: Attributes) -> Value:
    x = inputs[0]
    mode = attributes.get("mode", "nearest")
    where = attributes.get("coordinate_transformation_mode", "half_pixel")
    nearest = attributes.get("nearest_mode", "round_prefer_floor")
    if len(inputs) > 3 and inputs[3] is not None:
        sizes = sizes_of(inputs[3])[2:]
    else:
        scales = floats_of(inputs[2])[2:]
        sizes = [int(size * scale) for size, scale in zip(x.shape[2:], scales, strict=True)]
    if mode == "nearest" and where == "asymmetric" and nearest == "floor":
        return functional.interpolate(x, size=sizes, mode="nearest")
    if mode == "linear" and where in {"half_pixel", "pytorch_half_pixel", "align_corners"}:
        kind = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(sizes)]
        return functional.interpolate(
            x, size=sizes, mode=kind, align_corners=where == "align_corners"
        )
    raise UnavailableError(f"Resize {mode}/{where}/{nearest} has no torch counterpart here")


def _depth_to_space(inputs: list[Value], attributes: Attributes) -> Value:
    x, block = inputs[0], attributes["blocksize"]
    if attributes.get("mode", "DCR") == "CRD":
        return functional.pixel_shuffle(x, block)
    rows, channels, height, width = x.shape
    left = channels // block**2
    split = x.reshape(rows, block, block, left, height, width).permute(0, 3, 4, 1, 5, 2)
    return split.reshape(rows, left, height * block, width * block)


OPERATORS: dict[str, Operator] = {
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
    "Gather": _gather,
    "Pad": _pad,
    "Resize": _resize,
    "Slice": _slice,
    "Split": _split,
    "Tile": lambda inputs, _: inputs[0].repeat(sizes_of(inputs[1])),
}
