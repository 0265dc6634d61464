"""Thirty planted faults and fifty clean rewrites, fixed as lists that the checker never sees.

Networks are small, seeded and built from ONNX nodes, so that every fault is one edit of a graph and
its node is known.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from edgewright.runtimes.onnxruntime import OnnxRuntime
from edgewright.workbench.convert import cleaned
from edgewright.workbench.optimize.maker import OnnxMaker
from edgewright.workbench.optimize.rewrite import prepared, with_conv2d
from edgewright.workbench.optimize.variants import StaticInt8
from edgewright.workbench.verify import ParityReport, check_arrays, run_rows, verify
from edgewright.workbench.verify.bisection import locate_with

Graph = onnx.GraphProto
ROWS = 16
SEED = 20261121


@dataclass(frozen=True)
class Fault:
    """One edit of one network, and the node that it spoils."""

    name: str
    net: str
    node: str
    edit: Callable[[Graph], None]
    renamed: bool = False


# Networks


class _Net:
    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._stored: list[onnx.TensorProto] = []

    def weight(self, name: str, *shape: int, scale: float | None = None) -> str:
        fan_in = int(np.prod(shape[1:])) or 1
        values = self._rng.normal(size=shape) * (scale or np.sqrt(2 / fan_in))
        return self.store(name, values.astype(np.float32))

    def store(self, name: str, values: Any) -> str:
        self._stored.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def add(self, name: str, operator: str, *inputs: str, **attributes: Any) -> str:
        self._nodes.append(
            helper.make_node(operator, list(inputs), [f"{name}_out"], name=name, **attributes)
        )
        return f"{name}_out"

    def build(self, shape: list[int], last: str, classes: int) -> onnx.ModelProto:
        self._nodes[-1].output[0] = "y"
        assert last == f"{self._nodes[-1].name}_out"
        graph = helper.make_graph(
            self._nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", classes])],
            self._stored,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def sensor_net(seed: int = SEED) -> onnx.ModelProto:
    """Normalisation in the graph, causal convolutions, a residual, two kinds of pooling."""
    net = _Net(seed)
    net.store("mean", np.linspace(-1, 1, 6, dtype=np.float32))
    net.store("std", np.linspace(0.5, 2, 6, dtype=np.float32))
    x = net.add("centre", "Sub", "x", "mean")
    x = net.add("divide", "Div", x, "std")
    x = net.add("to_channels", "Transpose", x, perm=[0, 2, 1])
    net.weight("w1", 16, 6, 5)
    net.weight("b1", 16, scale=0.1)
    x = net.add("conv1", "Conv", x, "w1", "b1", pads=[4, 0])
    x = net.add("relu1", "Relu", x)
    net.weight("w2", 16, 16, 3)
    h = net.add("conv2", "Conv", x, "w2", pads=[4, 0], dilations=[2])
    h = net.add("relu2", "Relu", h)
    x = net.add("residual", "Add", h, x)
    net.weight("w3", 24, 16, 3)
    x = net.add("conv3", "Conv", x, "w3", pads=[1, 1], strides=[2])
    x = net.add("relu3", "Relu", x)
    net.store("time", np.array([2], np.int64))
    mean = net.add("mean_pool", "ReduceMean", x, "time", keepdims=0)
    peak = net.add("max_pool", "ReduceMax", x, "time", keepdims=0)
    x = net.add("join", "Concat", mean, peak, axis=1)
    net.weight("w4", 48, 8, scale=0.2)
    net.weight("b4", 8, scale=0.1)
    x = net.add("head", "Gemm", x, "w4", "b4")
    return net.build([40, 6], x, 8)


def picture_net(seed: int = SEED) -> onnx.ModelProto:
    """Convolutions with BatchNorm, pooling, depthwise and pointwise, clipped activations."""
    net = _Net(seed)
    net.weight("k1", 12, 3, 3, 3)
    x = net.add("conv1", "Conv", "x", "k1", pads=[1, 1, 1, 1])
    rng = np.random.default_rng(seed + 1)
    for name, values in (
        ("gamma", 1 + 0.2 * rng.normal(size=12)),
        ("beta", 0.2 * rng.normal(size=12)),
        ("moving_mean", 0.3 * rng.normal(size=12)),
        ("moving_var", np.abs(1 + 0.3 * rng.normal(size=12))),
    ):
        net.store(name, values.astype(np.float32))
    x = net.add("norm1", "BatchNormalization", x, "gamma", "beta", "moving_mean", "moving_var")
    net.store("zero", np.array(0, np.float32))
    net.store("six", np.array(6, np.float32))
    x = net.add("relu6", "Clip", x, "zero", "six")
    x = net.add("pool", "MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    net.weight("k2", 12, 1, 3, 3)
    x = net.add("depthwise", "Conv", x, "k2", pads=[1, 1, 1, 1], group=12)
    net.weight("k3", 20, 12, 1, 1)
    x = net.add("pointwise", "Conv", x, "k3")
    x = net.add("sigmoid", "Sigmoid", x)
    x = net.add("average", "AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = net.add("flat", "Flatten", x)
    net.weight("k4", 320, 10, scale=0.1)
    x = net.add("head", "Gemm", x, "k4")
    x = net.add("shares", "Softmax", x, axis=1)
    return net.build([3, 16, 16], x, 10)


def attention_net(seed: int = SEED) -> onnx.ModelProto:
    """One attention block with LayerNormalization and GELU."""
    net = _Net(seed)
    net.weight("we", 8, 24)
    x = net.add("embed", "MatMul", "x", "we")
    for name in ("wq", "wk", "wv", "wo"):
        net.weight(name, 24, 24, scale=0.3)
    q = net.add("query", "MatMul", x, "wq")
    k = net.add("key", "MatMul", x, "wk")
    v = net.add("value", "MatMul", x, "wv")
    k = net.add("key_turned", "Transpose", k, perm=[0, 2, 1])
    s = net.add("scores", "MatMul", q, k)
    net.store("root", np.array(np.sqrt(24), np.float32))
    s = net.add("scaled", "Div", s, "root")
    s = net.add("softmax", "Softmax", s, axis=-1)
    a = net.add("mixed", "MatMul", s, v)
    a = net.add("out", "MatMul", a, "wo")
    x = net.add("residual", "Add", a, x)
    net.store("g1", np.ones(24, np.float32))
    net.store("c1", np.full(24, 0.1, np.float32))
    x = net.add("norm", "LayerNormalization", x, "g1", "c1", epsilon=1e-5)
    net.weight("wf", 24, 32, scale=0.3)
    x = net.add("feed", "MatMul", x, "wf")
    x = net.add("gelu", "Gelu", x)
    net.store("tokens", np.array([1], np.int64))
    x = net.add("pooled", "ReduceMean", x, "tokens", keepdims=0)
    net.weight("wh", 32, 5, scale=0.3)
    x = net.add("head", "Gemm", x, "wh")
    return net.build([12, 8], x, 5)


def integer_net(seed: int = SEED) -> onnx.ModelProto:
    """`sensor_net` in integers: QuantizeLinear and DequantizeLinear pairs."""
    model = sensor_net(seed)
    maker = OnnxMaker(model, inputs_of(model), OnnxRuntime().open)
    recipe = StaticInt8(activations="u8", weights="s8", reduce_range=True)
    return onnx.load_model_from_string(maker.make(recipe))


NETS: dict[str, Callable[[], onnx.ModelProto]] = {
    "sensor": sensor_net,
    "picture": picture_net,
    "attention": attention_net,
    "integer": integer_net,
}


def inputs_of(model: onnx.ModelProto, rows: int = ROWS) -> dict[str, np.ndarray]:
    """Seeded golden inputs."""
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    rng = np.random.default_rng(SEED + 7)
    return {"x": rng.normal(size=(rows, *shape[1:])).astype(np.float32)}


# Edits


def _node(graph: Graph, name: str) -> onnx.NodeProto:
    return next(node for node in graph.node if node.name == name)


def _store(graph: Graph, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    tensor = next(tensor for tensor in graph.initializer if tensor.name == name)
    changed = np.ascontiguousarray(change(numpy_helper.to_array(tensor).copy()))
    tensor.CopyFrom(numpy_helper.from_array(changed, name))


def weights(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Graph], None]:
    """Change stored numbers."""
    return lambda graph: _store(graph, name, change)


def attribute(node: str, **values: Any) -> Callable[[Graph], None]:
    """Change constants of an operator."""

    def edit(graph: Graph) -> None:
        changed = _node(graph, node)
        kept = [a for a in changed.attribute if a.name not in values]
        del changed.attribute[:]
        changed.attribute.extend(kept)
        changed.attribute.extend(helper.make_attribute(k, v) for k, v in values.items())

    return edit


def operator(node: str, kind: str, *, inputs: int | None = None) -> Callable[[Graph], None]:
    """Replace an operator silently."""

    def edit(graph: Graph) -> None:
        changed = _node(graph, node)
        changed.op_type = kind
        del changed.input[inputs or len(changed.input) :]

    return edit


def without(node: str) -> Callable[[Graph], None]:
    """Drop a node; whoever read it reads its input."""

    def edit(graph: Graph) -> None:
        gone = _node(graph, node)
        for other in graph.node:
            for index, name in enumerate(other.input):
                if name == gone.output[0]:
                    other.input[index] = gone.input[0]
        graph.node.remove(gone)

    return edit


def before(node: str, kind: str, name: str, **attributes: Any) -> Callable[[Graph], None]:
    """Put a node in front of another one's first input."""

    def edit(graph: Graph) -> None:
        reader = _node(graph, node)
        added = helper.make_node(kind, [reader.input[0]], [f"{name}_new"], name=name, **attributes)
        reader.input[0] = f"{name}_new"
        graph.node.insert(list(graph.node).index(reader), added)

    return edit


def swapped_inputs(node: str) -> Callable[[Graph], None]:
    """Exchange the first two inputs."""

    def edit(graph: Graph) -> None:
        changed = _node(graph, node)
        changed.input[0], changed.input[1] = changed.input[1], changed.input[0]

    return edit


def _one(array: np.ndarray, change: float) -> np.ndarray:
    array.flat[array.size // 2] += change
    return array


def _turned(array: np.ndarray) -> np.ndarray:
    return array[::-1].copy()


def _first_quantiser(kind: str, skip: int = 0) -> Callable[[Graph], str]:
    return lambda graph: [node for node in graph.node if node.op_type == kind][skip].name


def quantiser(
    kind: str, place: int, change: Callable[[np.ndarray], np.ndarray], *, skip: int = 0
) -> Callable[[Graph], None]:
    """Give one quantiser (and no other) its own wrong scale (1) or zero point (2)."""

    def edit(graph: Graph) -> None:
        node = _node(graph, _first_quantiser(kind, skip)(graph))
        tensor = next(t for t in graph.initializer if t.name == node.input[place])
        changed = change(numpy_helper.to_array(tensor).copy())
        name = f"{node.input[place]}_wrong"
        graph.initializer.append(numpy_helper.from_array(np.asarray(changed), name))
        node.input[place] = name

    return edit


INTEGER = integer_net()


def _quantiser_name(kind: str, skip: int = 0) -> str:
    return _first_quantiser(kind, skip)(INTEGER.graph)


FAULTS: tuple[Fault, ...] = (
    Fault("one changed weight", "sensor", "conv1", weights("w1", lambda a: _one(a, 0.5))),
    Fault("one changed bias", "sensor", "conv1", weights("b1", lambda a: _one(a, 0.3))),
    Fault(
        "weights rounded to 4 bits", "sensor", "conv2", weights("w2", lambda a: np.rint(a * 7) / 7)
    ),
    Fault("wrong stride", "sensor", "conv3", attribute("conv3", strides=[1])),
    Fault("wrong dilation", "sensor", "conv2", attribute("conv2", dilations=[1], pads=[2, 0])),
    Fault("padding on the wrong side", "sensor", "conv1", attribute("conv1", pads=[0, 4])),
    Fault("mean not subtracted", "sensor", "divide", without("centre")),
    Fault("not divided by std", "sensor", "to_channels", without("divide")),
    Fault("std in reverse order", "sensor", "divide", weights("std", _turned)),
    Fault("residual dropped", "sensor", "conv3", without("residual")),
    Fault("joined in the wrong order", "sensor", "join", swapped_inputs("join")),
    Fault("sum instead of mean", "sensor", "mean_pool", operator("mean_pool", "ReduceSum")),
    Fault("relu became elu", "sensor", "relu2", operator("relu2", "Elu"), renamed=True),
    Fault("time reversed weights", "sensor", "conv2", weights("w2", lambda a: a[..., ::-1])),
    Fault("channels swapped", "picture", "conv1", weights("k1", lambda a: a[:, ::-1])),
    Fault(
        "rows and columns exchanged",
        "picture",
        "turn",
        before("conv1", "Transpose", "turn", perm=[0, 1, 3, 2]),
    ),
    Fault("wrong moving variance", "picture", "norm1", weights("moving_var", lambda a: a * 2)),
    Fault("wrong epsilon", "picture", "norm1", attribute("norm1", epsilon=0.1), renamed=True),
    Fault("relu6 became relu1", "picture", "relu6", weights("six", lambda a: a / 6)),
    Fault("maximum became average", "picture", "pool", operator("pool", "AveragePool")),
    Fault(
        "padding counted in the average",
        "picture",
        "average",
        attribute("average", count_include_pad=1),
    ),
    Fault("sigmoid became hard", "picture", "sigmoid", operator("sigmoid", "HardSigmoid")),
    Fault("softmax over the batch (opset 12)", "picture", "shares", attribute("shares", axis=0)),
    Fault("scores not scaled", "attention", "softmax", without("scaled"), renamed=True),
    Fault("softmax over the wrong axis", "attention", "softmax", attribute("softmax", axis=1)),
    Fault("gelu by tanh", "attention", "gelu", attribute("gelu", approximate="tanh")),
    Fault("values negated", "attention", "negate", before("mixed", "Neg", "negate")),
    Fault(
        "wrong activation scale",
        "integer",
        _quantiser_name("QuantizeLinear", 1),
        quantiser("QuantizeLinear", 1, lambda a: a * np.float32(1.5), skip=1),
    ),
    Fault(
        "wrong zero point",
        "integer",
        _quantiser_name("QuantizeLinear", 0),
        quantiser("QuantizeLinear", 2, lambda a: np.array(a + 9, a.dtype)),
    ),
    Fault(
        "wrong weight scale",
        "integer",
        _quantiser_name("DequantizeLinear", 2),
        quantiser("DequantizeLinear", 1, lambda a: a * np.float32(0.7), skip=2),
    ),
)


# Checking


def rename_inside(graph: Graph) -> None:
    """What many exporters do: every inner tensor and node gets another name (nodes keep theirs as
    a suffix, so that a person can still tell them).
    """
    kept = {entry.name for entry in (*graph.input, *graph.output)}
    kept |= {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name and name not in kept:
                    names[index] = f"t/{name}"


def check_pair(
    reference: onnx.ModelProto, candidate: onnx.ModelProto, folder: Path
) -> ParityReport:
    """The checker, on two files."""
    left, right = folder / "reference.onnx", folder / "candidate.onnx"
    onnx.save(reference, left)
    onnx.save(candidate, right)
    runtime = OnnxRuntime()
    ours, theirs = runtime.open(right), runtime.open(left)
    try:
        golden = check_arrays(inputs_of(reference), theirs.inputs, source="golden")
        return verify(
            lambda arrays: run_rows(theirs, arrays),
            lambda arrays: run_rows(ours, arrays),
            golden,
            locate=locate_with(left, right, open_file=runtime.open),
        )
    finally:
        ours.close()
        theirs.close()


def plant(fault: Fault) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """The network and the same with the fault."""
    reference, candidate = NETS[fault.net](), NETS[fault.net]()
    fault.edit(candidate.graph)
    if fault.renamed:
        rename_inside(candidate.graph)
    del candidate.graph.value_info[:]
    return reference, candidate


def clean_pairs() -> list[tuple[str, onnx.ModelProto, onnx.ModelProto]]:
    """Fifty honest conversions: five rewrites of ten networks that mean the same."""
    pairs = []
    for seed in range(4):
        for name, net in (
            ("sensor", sensor_net),
            ("picture", picture_net),
            ("attention", attention_net),
        ):
            if (name, seed) not in {("attention", 3), ("picture", 3)}:
                pairs += [
                    (f"{name} {seed} {how}", net(seed), made) for how, made in _rewrites(net(seed))
                ]
    return pairs


def _rewrites(model: onnx.ModelProto) -> list[tuple[str, onnx.ModelProto]]:
    renamed, scaled = onnx.ModelProto(), onnx.ModelProto()
    renamed.CopyFrom(model)
    rename_inside(renamed.graph)
    scaled.CopyFrom(model)
    newer = onnx.version_converter.convert_version(model, 22)
    return [
        ("cleaned", cleaned(model)),
        ("prepared", prepared(model)),
        ("renamed", renamed),
        ("opset 22", newer),
        ("conv2d", with_conv2d(prepared(model)) or _fused(model)),
    ]


def _fused(model: onnx.ModelProto) -> onnx.ModelProto:
    """ONNX Runtime's own optimised graph, saved."""
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(Path(folder) / "fused.onnx")
        options.log_severity_level = 4
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)
