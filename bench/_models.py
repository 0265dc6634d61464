"""The reference models of serving goals, with synthetic weights: the same bytes for the same seed.

Parameters and MACs of each stand in `bench/models.toml`, and a test holds these builders to them;
`_recipe_models.py` builds the others, which are networks of the recipes.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

_OPSET = 20
_IR_VERSION = 10

Weights = NDArray[np.float32]


class _Graph:
    """An ONNX graph under construction; every layer appends to the last one."""

    def __init__(self, shape: list[str | int], seed: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.last = "x"
        self._shape = shape
        self._generator = np.random.default_rng(seed)

    def weight(self, *shape: int, fan_in: int = 0) -> str:
        scale = np.sqrt(2 / fan_in) if fan_in else 0.01
        values = (self._generator.standard_normal(shape) * scale).astype(np.float32)
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def add(self, kind: str, *extra: str, source: str = "", **attributes: object) -> str:
        name = f"t{len(self.nodes)}"
        inputs = [source or self.last, *extra]
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        self.last = name
        return name

    def dense(self, inputs: int, outputs: int) -> None:
        self.add("Gemm", self.weight(inputs, outputs, fan_in=inputs), self.weight(outputs))

    def convolution(
        self, inputs: int, outputs: int, kernel: int, dilation: int, source: str = ""
    ) -> str:
        return self.add(
            "Conv",
            self.weight(outputs, inputs, kernel, fan_in=inputs * kernel),
            self.weight(outputs),
            source=source,
            dilations=[dilation],
            pads=[(kernel - 1) * dilation, 0],
        )

    def save(self, path: Path, outputs: int) -> Path:
        self.nodes[-1].output[0] = "y"
        graph = helper.make_graph(
            self.nodes,
            path.stem,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self._shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", outputs])],
            self.weights,
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION
        )
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, str(path))
        return path


def build_mlp_16(path: Path, *, seed: int = 16) -> Path:
    """16-32-4: nothing but overhead."""
    graph = _Graph(["batch", 16], seed)
    graph.dense(16, 32)
    graph.add("Relu")
    graph.dense(32, 4)
    return graph.save(path, 4)


def build_tcn_bench(path: Path, *, seed: int = 5) -> Path:
    """Three causal residual blocks 64/128/256, k=5, dilations 1/2/4, on windows of 100 x 9."""
    graph = _Graph(["batch", 100, 9], seed)
    graph.add("Transpose", perm=[0, 2, 1])
    channels = 9
    for width, dilation in ((64, 1), (128, 2), (256, 4)):
        block_input = graph.last
        graph.convolution(channels, width, 5, dilation)
        graph.add("Relu")
        graph.convolution(width, width, 5, dilation)
        body = graph.add("Relu")
        shortcut = graph.convolution(channels, width, 1, 1, source=block_input)
        graph.add("Add", body, source=shortcut)
        graph.add("Relu")
        channels = width
    graph.add("GlobalAveragePool")
    graph.add("Flatten")
    graph.dense(256, 12)
    return graph.save(path, 12)


class _Rows(CalibrationDataReader):
    """Rows of one input, one at a time."""

    def __init__(self, rows: Weights) -> None:
        self._rows = iter(rows)

    def get_next(self) -> dict[str, Weights] | None:
        row = next(self._rows, None)
        return None if row is None else {"x": row[np.newaxis]}


def build_tcn_bench_int8(
    model: Path, path: Path, rows: Weights, *, reduce_range: bool = False
) -> Path:
    """The same in int8: unsigned activations, signed weights with a scale per channel; within 7
    bits if asked, which computes alike on every processor.
    """
    quantize_static(
        str(model),
        str(path),
        _Rows(rows),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=reduce_range,
    )
    return path


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "mlp-16": build_mlp_16,
    "tcn-bench": build_tcn_bench,
}
