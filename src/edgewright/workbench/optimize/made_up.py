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
PER_FAMILY = 9
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

    def conv(self, before: int, after: int, kernel: tuple[int, ...], **more: Any) -> "_Net":
        groups = int(more.get("group", 1))
        pads = [size // 2 for size in kernel] * 2
        weight, bias = self.weight(after, before // groups, *kernel), self.weight(after)
        return self.add("Conv", weight, bias, pads=pads, **more).add("Relu")

    def dense(self, before: int, after: int) -> "_Net":
        return self.add("Gemm", self.weight(before, after), self.weight(after))

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
    """Nine of each family; the same for every call."""
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
    sizes = [_drawn(rng, 16, 2048, step=4) for _ in range(int(rng.integers(2, 6)))]
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


_FAMILIES: dict[str, Callable[[np.random.Generator], onnx.ModelProto]] = {
    "dense": _dense,
    "time": _time_family,
    "picture": _picture_family,
    "separable": _separable_family,
    "residual": _residual_family,
    "attention": _attention_family,
    "statistics": _statistics_family,
}
