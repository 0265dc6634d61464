"""The reference engine's layers, each the plainest numpy that says what it means."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from edgewright.runtimes.base import Array


class Call(NamedTuple):
    """What one layer works on."""

    inputs: list[Array]
    weights: Mapping[str, Array]
    numbers: Mapping[str, int | float]


def _linear(call: Call) -> Array:
    result = call.inputs[0] @ call.weights["weight"].T
    return result + call.weights["bias"] if "bias" in call.weights else result


def _conv1d(call: Call) -> Array:
    """Input [rows, channels, time], weight [out, in, taps], zero padding left and right."""
    (x,), weight = call.inputs, call.weights["weight"]
    dilation, stride = int(call.numbers.get("dilation", 1)), int(call.numbers.get("stride", 1))
    left, right = int(call.numbers.get("pad_left", 0)), int(call.numbers.get("pad_right", 0))
    padded = np.pad(x, ((0, 0), (0, 0), (left, right)))
    taps = weight.shape[2]
    length = (padded.shape[2] - dilation * (taps - 1) - 1) // stride + 1
    result = np.zeros((x.shape[0], weight.shape[0], length), x.dtype)
    for tap in range(taps):
        start = tap * dilation
        piece = padded[:, :, start : start + (length - 1) * stride + 1 : stride]
        result += np.einsum("oi,nit->not", weight[:, :, tap], piece)
    return result + call.weights["bias"][:, None] if "bias" in call.weights else result


def _batch_norm(call: Call) -> Array:
    """Channels on axis 1, running statistics."""
    (x,) = call.inputs
    shape = (1, -1) + (1,) * (x.ndim - 2)
    std = np.sqrt(call.weights["var"] + np.float32(call.numbers["eps"]))
    normal = (x - call.weights["mean"].reshape(shape)) / std.reshape(shape)
    return normal * call.weights["scale"].reshape(shape) + call.weights["shift"].reshape(shape)


def _affine(call: Call) -> Array:
    """(x - mean) / std along the last axis: the normalisation inside a graph."""
    return (call.inputs[0] - call.weights["mean"]) / call.weights["std"]


def _max_pool1d(call: Call) -> Array:
    (x,), size = call.inputs, int(call.numbers["size"])
    length = x.shape[2] // size
    pooled: Array = x[:, :, : length * size].reshape(*x.shape[:2], length, size).max(axis=3)
    return pooled


def _concat(call: Call) -> Array:
    return np.concatenate(call.inputs, axis=int(call.numbers["axis"]))


def _mean(call: Call) -> Array:
    result: Array = call.inputs[0].mean(axis=int(call.numbers["axis"]), dtype=np.float32)
    return result


def _max(call: Call) -> Array:
    result: Array = call.inputs[0].max(axis=int(call.numbers["axis"]))
    return result


def _swap(call: Call) -> Array:
    return call.inputs[0].swapaxes(int(call.numbers["first"]), int(call.numbers["second"]))


def _relu(call: Call) -> Array:
    return np.maximum(call.inputs[0], 0)


def _add(call: Call) -> Array:
    return call.inputs[0] + call.inputs[1]


def _sigmoid(call: Call) -> Array:
    result: Array = 1 / (1 + np.exp(-call.inputs[0].astype(np.float64)))
    return result.astype(call.inputs[0].dtype)


OPS: dict[str, Callable[[Call], Array]] = {
    "add": _add,
    "affine": _affine,
    "batch_norm": _batch_norm,
    "concat": _concat,
    "conv1d": _conv1d,
    "linear": _linear,
    "max": _max,
    "max_pool1d": _max_pool1d,
    "mean": _mean,
    "relu": _relu,
    "sigmoid": _sigmoid,
    "swap": _swap,
}
