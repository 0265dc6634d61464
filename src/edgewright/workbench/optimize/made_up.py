"""Networks of many shapes, made up from a seed: what a machine is measured on before it predicts.

Weights are random; time and memory do not depend on them.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SEED = 20
PER_FAMILY = 6
_OPSET, _IR_VERSION = 20, 10


class _Net:
    """A chain of layers under construction."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> None:
        self._rng = rng
        self._shape = shape
        self._nodes: list[onnx.NodeProto] = []
        self._stored: list[onnx.TensorProto] = []
        self.last = "x"

    def weight(self, *shape: int) -> str:
        name = f"w{len(self._stored)}"
        array = self._rng.normal(0, 0.1, shape).astype(np.float32)
        self._stored.append(numpy_helper.from_array(array, name))
        return name

    def add(self, kind: str, *more: str, **attributes: Any) -> "_Net":
        name = f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, [self.last, *more], [name], **attributes))
        self.last = name
        return self

    def join(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """A node with these inputs; `last` stays where it is."""
        kept, self.last = self.last, inputs[0]
        name = self.add(kind, *inputs[1:], **attributes).last
        self.last = kept
        return name

    def numbers(self, *values: int) -> str:
        name = f"w{len(self._stored)}"
        self._stored.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def number(self, value: float) -> str:
        name = f"w{len(self._stored)}"
        self._stored.append(numpy_helper.from_array(np.array([value], np.float32), name))
        return name

    def conv(self, before: int, after: int, kernel: tuple[int, ...], **more: Any) -> "_Net":
        groups = int(more.get("group", 1))
        pads = [size // 2 for size in kernel] * 2
        weight, bias = self.weight(after, before // groups, *kernel), self.weight(after)
        return self.add("Conv", weight, bias, pads=pads, **more).add("Relu")

    def dense(self, before: int, after: int) -> "_Net":
        return self.add("Gemm", self.weight(before, after), self.weight(after))

    def recurrent(self, before: int, after: int, *, gru: bool) -> "_Net":
        """From [steps, batch, before] to [steps, batch, after]."""
        kind, gates = ("GRU", 3) if gru else ("LSTM", 4)
        stored = [self.weight(1, gates * after, size) for size in (before, after)]
        stored.append(self.weight(1, 2 * gates * after))
        return self.add(kind, *stored, hidden_size=after).add("Squeeze", self.numbers(1))

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(
            self._nodes,
            "made-up",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *self._shape])],
            [helper.make_tensor_value_info(self.last, TensorProto.FLOAT, ["batch", "answers"])],
            self._stored,
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION
        )


def yardstick() -> onnx.ModelProto:
    """A small fixed network over time, well above the cost of a call."""
    rng = np.random.default_rng(0)
    return _over_time(rng, steps=64, channels=8, widths=(64, 64))


def made_up_networks() -> dict[str, onnx.ModelProto]:
    """As many of each family; the same for every call."""
    rng = np.random.default_rng(SEED)
    found = {}
    for name, family in _FAMILIES.items():
        for number in range(PER_FAMILY):
            found[f"made-up {name} {number}"] = family(rng)
    return found


def _drawn(rng: np.random.Generator, low: int, high: int, *, step: int = 1) -> int:
    """Even over magnitudes."""
    value = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    return max(round(value / step) * step, step)


def _dense(rng: np.random.Generator) -> onnx.ModelProto:
    sizes = [_drawn(rng, 16, 3072, step=4) for _ in range(int(rng.integers(2, 6)))]
    net = _Net(rng, (sizes[0],))
    for before, after in itertools.pairwise(sizes):
        net.dense(before, after).add("Relu")
    return net.model()


def _time_family(rng: np.random.Generator) -> onnx.ModelProto:
    widths = tuple(_drawn(rng, 8, 192, step=8) for _ in range(int(rng.integers(2, 6))))
    return _over_time(rng, steps=_drawn(rng, 32, 200), channels=6, widths=widths)


def _over_time(
    rng: np.random.Generator, *, steps: int, channels: int, widths: tuple[int, ...]
) -> onnx.ModelProto:
    net = _Net(rng, (channels, steps))
    before = channels
    for width in widths:
        net.conv(before, width, (int(rng.choice([3, 5])),))
        before = width
    return net.add("GlobalAveragePool").add("Flatten").dense(before, 6).model()


def _picture_family(rng: np.random.Generator) -> onnx.ModelProto:
    size = _drawn(rng, 16, 64, step=8)
    net, before = _Net(rng, (3, size, size)), 3
    for _ in range(int(rng.integers(2, 6))):
        width = _drawn(rng, 8, 64, step=8)
        net.conv(before, width, (3, 3))
        before = width
    return net.add("GlobalAveragePool").add("Flatten").dense(before, 10).model()


def _separable_family(rng: np.random.Generator) -> onnx.ModelProto:
    size = _drawn(rng, 16, 64, step=8)
    before = _drawn(rng, 16, 48, step=8)
    net = _Net(rng, (3, size, size)).conv(3, before, (3, 3))
    for _ in range(int(rng.integers(2, 6))):
        after = _drawn(rng, 16, 96, step=8)
        net.conv(before, before, (3, 3), group=before).conv(before, after, (1, 1))
        before = after
    return net.add("GlobalAveragePool").add("Flatten").dense(before, 10).model()


def _residual_family(rng: np.random.Generator) -> onnx.ModelProto:
    width, steps = _drawn(rng, 16, 160, step=8), _drawn(rng, 32, 128)
    net = _Net(rng, (6, steps)).conv(6, width, (3,))
    for _ in range(int(rng.integers(1, 5))):
        before = net.last
        net.conv(width, width, (3,)).conv(width, width, (3,)).add("Add", before).add("Relu")
    return net.add("GlobalAveragePool").add("Flatten").dense(width, 6).model()


def _attention_family(rng: np.random.Generator) -> onnx.ModelProto:
    width, steps = _drawn(rng, 16, 96, step=8), _drawn(rng, 16, 128)
    net = _Net(rng, (steps, 6))
    net.add("MatMul", net.weight(6, width))
    for _ in range(int(rng.integers(1, 4))):
        before = net.last
        asked, told, value = (
            net.join("MatMul", before, net.weight(width, width)) for _ in range(3)
        )
        turned = net.join("Transpose", told, perm=[0, 2, 1])
        shares = net.join("Softmax", net.join("MatMul", asked, turned), axis=-1)
        net.last = net.join("Add", net.join("MatMul", shares, value), before)
        net.add("LayerNormalization", net.weight(width), net.weight(width))
        inside = net.last
        net.add("MatMul", net.weight(width, 2 * width)).add("Relu")
        net.add("MatMul", net.weight(2 * width, width)).add("Add", inside)
        net.add("LayerNormalization", net.weight(width), net.weight(width))
    net.add("ReduceMean", net.numbers(1), keepdims=0)
    return net.dense(width, 6).model()


def _statistics_family(rng: np.random.Generator) -> onnx.ModelProto:
    """Many small nodes: means, spreads, products, functions, and what is put together of them."""
    channels, steps = _drawn(rng, 3, 12), _drawn(rng, 32, 160)
    net = _Net(rng, (channels, steps))
    axis = net.numbers(2)
    parts: list[str] = []
    width = 0
    for _ in range(int(rng.integers(2, 7))):
        mean = net.join("ReduceMean", net.last, axis)
        moving = net.join("Sub", net.last, mean)
        square = net.join("ReduceMean", net.join("Mul", moving, moving), axis, keepdims=0)
        spread = net.join("Sqrt", square)
        bins = _drawn(rng, 8, 50)
        waves = net.join("MatMul", moving, net.weight(steps, bins))
        power = net.join("Log", net.join("Exp", net.join("Relu", waves)))
        flat = net.join("Flatten", power)
        highest = net.join("Flatten", net.join("ReduceMax", moving, axis))
        parts += [spread, flat, highest]
        width += channels * (bins + 2)
        net.last = net.join("Tanh", moving)
    net.last = net.join("Concat", *parts, axis=1)
    return net.dense(width, 32).add("Relu").dense(32, 6).model()


def _strip_family(rng: np.random.Generator) -> onnx.ModelProto:
    """Signals as pictures of one row, shortened by pooling, with short cuts."""
    channels, steps = _drawn(rng, 3, 9), _drawn(rng, 48, 160)
    net, before = _Net(rng, (channels, 1, steps)), channels
    for _ in range(int(rng.integers(1, 5))):
        width = _drawn(rng, 16, 200, step=8)
        net.conv(before, width, (1, int(rng.choice([3, 5, 7]))))
        inside = net.last
        net.conv(width, width, (1, 3)).add("Add", inside).add("Relu")
        net.add("MaxPool", kernel_shape=[1, 2], strides=[1, 2])
        before = width
    net.add("ReduceMean", net.numbers(2, 3), keepdims=0)
    return net.dense(before, 32).add("Relu").dense(32, 6).model()


def _causal_family(rng: np.random.Generator) -> onnx.ModelProto:
    """Wide dilated convolutions over time that look back only, each pair with a short cut."""
    channels, steps = _drawn(rng, 3, 12), _drawn(rng, 40, 200)
    net, before = _Net(rng, (steps, channels)).add("Transpose", perm=[0, 2, 1]), channels
    for block in range(int(rng.integers(1, 4))):
        width, kernel = _drawn(rng, 24, 320, step=8), int(rng.choice([2, 3, 5, 7]))
        pads, dilations = [(kernel - 1) << block, 0], [1 << block]
        given = net.last
        for taken in (before, width):
            weight, bias = net.weight(width, taken, kernel), net.weight(width)
            net.add("Conv", weight, bias, pads=pads, dilations=dilations).add("Relu")
        short = net.join("Conv", given, net.weight(width, before, 1), net.weight(width))
        net.add("Add", short).add("Relu")
        before = width
    return net.add("GlobalAveragePool").add("Flatten").dense(before, 12).model()


def _hourglass_family(rng: np.random.Generator) -> onnx.ModelProto:
    """Pictures made small and large again."""
    size, width, depth = _drawn(rng, 16, 64, step=8), _drawn(rng, 8, 32, step=8), 2
    net, before, kept = _Net(rng, (3, size, size)), 3, []
    for level in range(depth):
        net.conv(before, width << level, (3, 3)).conv(width << level, width << level, (3, 3))
        before = width << level
        kept.append((net.last, before))
        net.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    net.conv(before, 2 * before, (3, 3))
    before *= 2
    for side, wide in reversed(kept):
        weight = net.weight(before, wide, 2, 2)
        net.add("ConvTranspose", weight, net.weight(wide), kernel_shape=[2, 2], strides=[2, 2])
        net.add("Concat", side, axis=1).conv(2 * wide, wide, (3, 3))
        before = wide
    return net.add("GlobalAveragePool").add("Flatten").dense(before, 4).model()


def _recurrent_family(rng: np.random.Generator) -> onnx.ModelProto:
    """A layer or two that go step by step."""
    width, steps = _drawn(rng, 3, 24), _drawn(rng, 16, 128)
    net = _Net(rng, (steps, width)).add("Transpose", perm=[1, 0, 2])
    for _ in range(int(rng.integers(1, 3))):
        hidden = _drawn(rng, 16, 160, step=8)
        net.recurrent(width, hidden, gru=bool(rng.integers(2)))
        width = hidden
    net.add("ReduceMean", net.numbers(0), keepdims=0)
    return net.dense(width, 6).model()


def _headed_family(rng: np.random.Generator) -> onnx.ModelProto:
    """A few convolutions, standardised before and flattened into heavy dense layers after."""
    channels, steps = _drawn(rng, 3, 9), _drawn(rng, 32, 100)
    net, width = _Net(rng, (channels, steps)), _drawn(rng, 8, 48, step=8)
    net.add("Sub", net.weight(channels, 1)).add("Div", net.weight(channels, 1))
    net.conv(channels, width, (3,)).conv(width, width, (5,)).add("Flatten")
    sizes = [
        width * steps,
        *(_drawn(rng, 64, 2048, step=8) for _ in range(int(rng.integers(1, 4)))),
    ]
    for before, after in itertools.pairwise(sizes):
        net.dense(before, after).add("Relu")
    return net.dense(sizes[-1], 6).add("Sigmoid").model()


def _gated_family(rng: np.random.Generator) -> onnx.ModelProto:
    """Convolutions over time, then steps one after the other."""
    channels, steps = _drawn(rng, 3, 9), _drawn(rng, 32, 128)
    width, hidden = _drawn(rng, 16, 96, step=8), _drawn(rng, 16, 128, step=8)
    net = _Net(rng, (channels, steps)).conv(channels, width, (5,)).conv(width, width, (3,))
    net.add("Transpose", perm=[2, 0, 1])
    net.recurrent(width, hidden, gru=bool(rng.integers(2))).add(
        "ReduceMean", net.numbers(0), keepdims=0
    )
    return net.dense(hidden, 64).add("Relu").dense(64, 6).model()


def _narrow_family(rng: np.random.Generator) -> onnx.ModelProto:
    """Signals as pictures of one row, channel by channel and then across channels."""
    channels, steps = _drawn(rng, 3, 9), _drawn(rng, 48, 200)
    before = _drawn(rng, 16, 64, step=8)
    net = _Net(rng, (channels, 1, steps)).conv(channels, before, (1, 5))
    for _ in range(int(rng.integers(2, 6))):
        after = _drawn(rng, 16, 160, step=8)
        net.conv(before, before, (1, 5), group=before).conv(before, after, (1, 1))
        before = after
    return net.add("GlobalAveragePool").add("Flatten").dense(before, 6).model()


def _heads_family(rng: np.random.Generator) -> onnx.ModelProto:
    """Attention of several heads, the way that libraries write it."""
    heads, steps = int(rng.choice([2, 4])), _drawn(rng, 16, 100)
    width = heads * _drawn(rng, 8, 32, step=8)
    net = _Net(rng, (steps, 6))
    split = net.numbers(1, steps, heads, width // heads)
    whole = net.numbers(1, steps, width)
    net.add("MatMul", net.weight(6, width)).add("Add", net.weight(steps, width))
    for _ in range(int(rng.integers(1, 4))):
        before, parts = net.last, []
        for _ in range(3):
            line = net.join(
                "Add", net.join("MatMul", before, net.weight(width, width)), net.weight(width)
            )
            parts.append(net.join("Transpose", net.join("Reshape", line, split), perm=[0, 2, 1, 3]))
        told = net.join("Transpose", parts[1], perm=[0, 1, 3, 2])
        near = net.join("Mul", net.join("MatMul", parts[0], told), net.weight(1))
        seen = net.join("MatMul", net.join("Softmax", near, axis=-1), parts[2])
        net.last = net.join("Reshape", net.join("Transpose", seen, perm=[0, 2, 1, 3]), whole)
        net.add("MatMul", net.weight(width, width)).add("Add", before)
        net.add("LayerNormalization", net.weight(width), net.weight(width))
        inside = net.last
        net.add("MatMul", net.weight(width, 4 * width)).add("Add", net.weight(4 * width)).add(
            "Gelu"
        )
        net.add("MatMul", net.weight(4 * width, width)).add("Add", inside)
        net.add("LayerNormalization", net.weight(width), net.weight(width))
    net.add("ReduceMean", net.numbers(1), keepdims=0)
    return net.dense(width, 6).model()


def _moments_family(rng: np.random.Generator) -> onnx.ModelProto:
    """Differences, powers and their moments, a few values of each, then a dense head."""
    channels, steps = _drawn(rng, 3, 12), _drawn(rng, 32, 160)
    net = _Net(rng, (channels, steps))
    axis, parts = net.numbers(2), list[str]()
    for _ in range(int(rng.integers(3, 9))):
        late = net.join("Slice", net.last, net.numbers(1), net.numbers(steps), axis)
        early = net.join("Slice", net.last, net.numbers(0), net.numbers(-1), axis)
        steps -= 1
        net.last = net.join("Sub", late, early)
        size = net.join("Abs", net.last)
        for kind in ("ReduceMean", "ReduceMax"):
            parts.append(net.join(kind, size, axis, keepdims=0))
        power = net.join(
            "ReduceSum",
            net.join("Pow", size, net.number(float(rng.integers(2, 4)))),
            axis,
            keepdims=0,
        )
        parts.append(net.join("Sqrt", power))
        net.last = net.join("Div", net.last, net.weight(channels, 1))
    count = len(parts) * channels
    net.last = net.join("Concat", *parts, axis=1)
    return net.dense(count, 64).add("Relu").dense(64, 6).model()


_FAMILIES: dict[str, Callable[[np.random.Generator], onnx.ModelProto]] = {
    "dense": _dense,
    "time": _time_family,
    "picture": _picture_family,
    "separable": _separable_family,
    "residual": _residual_family,
    "attention": _attention_family,
    "statistics": _statistics_family,
    "strip": _strip_family,
    "causal": _causal_family,
    "hourglass": _hourglass_family,
    "recurrent": _recurrent_family,
    "headed": _headed_family,
    "gated": _gated_family,
    "narrow": _narrow_family,
    "heads": _heads_family,
    "moments": _moments_family,
}
