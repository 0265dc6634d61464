"""A second list of thirty planted faults, fixed before the checker was changed for it: sixteen in
ONNX graphs, seven in OpenVINO files, seven in LiteRT files.

The first list (`_parity_faults.py`) is older than this one and shares no edit with it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import onnx
from onnx import numpy_helper

from _parity_faults import (
    NETS,
    Fault,
    attribute,
    before,
    operator,
    quantiser,
    weights,
    without,
)

Graph = onnx.GraphProto


def _reads(node: str, place: int, name: str) -> Callable[[Graph], None]:
    """Let one operand come from elsewhere."""

    def edit(graph: Graph) -> None:
        next(n for n in graph.node if n.name == node).input[place] = name

    return edit


def _reshaped(node: str, sizes: list[int]) -> Callable[[Graph], None]:
    """A transpose that became a reshape: same shape, other order."""

    def edit(graph: Graph) -> None:
        changed = next(n for n in graph.node if n.name == node)
        changed.op_type = "Reshape"
        del changed.attribute[:]
        graph.initializer.append(numpy_helper.from_array(np.array(sizes, np.int64), "sizes_new"))
        changed.input.append("sizes_new")

    return edit


def _zeroed_last(array: np.ndarray) -> np.ndarray:
    array[-1] = 0
    return array


_INTEGER = NETS["integer"]()


def _named(kind: str, skip: int) -> str:
    return [node for node in _INTEGER.graph.node if node.op_type == kind][skip].name


ONNX_FAULTS: tuple[Fault, ...] = (
    Fault("query weights turned", "attention", "query", weights("wq", lambda a: a.T)),
    Fault("epsilon of the norm", "attention", "norm", attribute("norm", epsilon=0.5)),
    Fault("keys mixed for values", "attention", "mixed", _reads("mixed", 1, "key_out")),
    Fault("residual of itself", "attention", "residual", _reads("residual", 1, "out_out")),
    Fault(
        "rows of the head rolled", "attention", "head", weights("wh", lambda a: np.roll(a, 1, 0))
    ),
    Fault("maximum for the mean", "attention", "pooled", operator("pooled", "ReduceMax")),
    Fault("activation lost", "sensor", "residual", without("relu2")),
    Fault("padding one step late", "sensor", "conv3", attribute("conv3", pads=[2, 0])),
    Fault("bias of the head lost", "sensor", "head", weights("b4", lambda a: a * 0)),
    Fault("one filter pruned by mistake", "sensor", "conv3", weights("w3", _zeroed_last)),
    Fault("reshape for transpose", "sensor", "to_channels", _reshaped("to_channels", [0, 6, 40])),
    Fault("beta of the norm lost", "picture", "norm1", weights("beta", lambda a: a * 0)),
    Fault(
        "depthwise filters shifted",
        "picture",
        "depthwise",
        weights("k2", lambda a: np.roll(a, 1, 0)),
    ),
    Fault(
        "flattened channel-last",
        "picture",
        "hwc_order",
        before("flat", "Transpose", "hwc_order", perm=[0, 2, 3, 1]),
    ),
    Fault(
        "pooling window grew",
        "picture",
        "pool",
        attribute("pool", kernel_shape=[3, 3], pads=[1, 1, 0, 0]),
    ),
    Fault(
        "scale of another tensor",
        "integer",
        _named("DequantizeLinear", 4),
        quantiser("DequantizeLinear", 1, lambda a: a * np.float32(1.25), skip=4),
    ),
)


@dataclass(frozen=True)
class FileFault:
    """One edit of a converted file; `edit` returns the name of the node that it spoils."""

    name: str
    net: str
    edit: Callable[[Any], str]


class IrFile:
    """An OpenVINO file as a tree and its weights."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root = ET.fromstring(path.read_bytes())
        self.weights = bytearray(path.with_suffix(".bin").read_bytes())

    def layer(self, name: str) -> ET.Element:
        return next(one for one in self.root.iterfind("./layers/layer") if one.get("name") == name)

    def set(self, name: str, **values: str) -> str:
        data = self.layer(name).find("data")
        assert data is not None
        for key, value in values.items():
            assert key in data.attrib, (key, data.attrib)
            data.set(key, value)
        return name

    def change(self, constant: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
        data = self.layer(constant).find("data")
        assert data is not None
        start, size = int(data.get("offset", "0")), int(data.get("size", "0"))
        shape = [int(one) for one in data.get("shape", "").split(",") if one]
        array = np.frombuffer(bytes(self.weights[start : start + size]), np.float32).reshape(shape)
        self.weights[start : start + size] = np.ascontiguousarray(change(array.copy())).tobytes()

    def save(self) -> None:
        self.path.write_bytes(ET.tostring(self.root))
        self.path.with_suffix(".bin").write_bytes(bytes(self.weights))


def _changed(constant: str, node: str, change: Callable[[np.ndarray], np.ndarray]) -> Any:
    def edit(file: IrFile) -> str:
        file.change(constant, change)
        return node

    return edit


OPENVINO_FAULTS: tuple[FileFault, ...] = (
    FileFault(
        "dilation lost",
        "sensor",
        lambda file: file.set("conv2", dilations="1", pads_begin="2"),
    ),
    FileFault(
        "padding on the other side",
        "sensor",
        lambda file: file.set("conv1/WithoutBiases", pads_begin="0", pads_end="4"),
    ),
    FileFault("limit of the activation", "picture", _changed("six", "relu6", lambda a: a / 6)),
    FileFault("softmax over tokens", "attention", lambda file: file.set("softmax", axis="1")),
    FileFault(
        "gelu by tanh", "attention", lambda file: file.set("gelu", approximation_mode="TANH")
    ),
    FileFault(
        "weights of another scale",
        "sensor",
        _changed("w1", "conv1/WithoutBiases", lambda a: a * 1.3),
    ),
    FileFault(
        "pointwise filters shifted",
        "picture",
        _changed("k3", "pointwise", lambda a: np.roll(a, 1, 0)),
    ),
)


def _tensor_name(lite: Any, index: int) -> str:
    name = lite.graph.tensors[index].name
    return name.decode() if isinstance(name, bytes) else str(name)


def _at(lite: Any, kind: str, skip: int) -> Any:
    return [one for one in lite.graph.operators if lite.operator(one) == kind][skip]


def lite_weights(
    kind: str, skip: int, place: int, change: Callable[[np.ndarray], np.ndarray]
) -> Any:
    """Change the numbers that one operator reads."""

    def edit(lite: Any) -> str:
        entry = _at(lite, kind, skip)
        tensor = lite.graph.tensors[entry.inputs[place]]
        buffer = lite.table.buffers[tensor.buffer]
        array = np.frombuffer(bytes(bytearray(buffer.data)), np.float32).reshape(tensor.shape)
        changed = np.ascontiguousarray(change(array.copy()), np.float32)
        buffer.data = np.frombuffer(changed.tobytes(), np.uint8)
        return _tensor_name(lite, entry.outputs[0])

    return edit


def lite_option(kind: str, skip: int, option: str, value: Any) -> Any:
    """Change a constant of one operator."""

    def edit(lite: Any) -> str:
        entry = _at(lite, kind, skip)
        assert getattr(entry.builtinOptions, option) != value
        setattr(entry.builtinOptions, option, value)
        return _tensor_name(lite, entry.outputs[0])

    return edit


def lite_operator(kind: str, skip: int, other: int) -> Any:
    """Let one operator be of another kind, with the same options."""

    def edit(lite: Any) -> str:
        entry = _at(lite, kind, skip)
        old = lite.table.operatorCodes[entry.opcodeIndex]
        new = type(old)()
        new.builtinCode = new.deprecatedBuiltinCode = other
        new.version = 1
        lite.table.operatorCodes.append(new)
        entry.opcodeIndex = len(lite.table.operatorCodes) - 1
        return _tensor_name(lite, entry.outputs[0])

    return edit


_AVERAGE_POOL, _NO_ACTIVATION = 1, 0

LITERT_FAULTS: tuple[FileFault, ...] = (
    FileFault(
        "weights of another scale", "sensor", lite_weights("CONV_2D", 0, 1, lambda a: a * 1.3)
    ),
    FileFault("bias moved", "sensor", lite_weights("CONV_2D", 1, 2, lambda a: a + 0.5)),
    FileFault(
        "fused activation lost",
        "sensor",
        lite_option("CONV_2D", 0, "fusedActivationFunction", _NO_ACTIVATION),
    ),
    FileFault("maximum became average", "picture", lite_operator("MAX_POOL_2D", 0, _AVERAGE_POOL)),
    FileFault(
        "depthwise filters turned",
        "picture",
        lite_weights("DEPTHWISE_CONV_2D", 0, 1, lambda a: a[:, ::-1]),
    ),
    FileFault("softmax sharpened", "attention", lite_option("SOFTMAX", 0, "beta", 2.0)),
    FileFault(
        "head's rows shifted",
        "attention",
        lite_weights("FULLY_CONNECTED", -1, 1, lambda a: np.roll(a, 1, 0)),
    ),
)
