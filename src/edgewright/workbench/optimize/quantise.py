"""Integer variants of an ONNX graph, made with ONNX Runtime's quantiser from ranges that we
observed ourselves.
"""

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_dynamic
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from edgewright.errors import UnavailableError
from edgewright.workbench.optimize.ranges import Ranges
from edgewright.workbench.optimize.variants import CORE_OPERATORS, DynamicInt8, StaticInt8

_TYPES = {"u8": QuantType.QUInt8, "s8": QuantType.QInt8}
_DYNAMIC_OPERATORS = ["MatMul", "Gemm", "LSTM"]
_INTEGER_OPERATORS = frozenset(
    {"DynamicQuantizeLSTM", "DynamicQuantizeLinear", "MatMulInteger", "QuantizeLinear"}
)


def static_int8(
    model: onnx.ModelProto, ranges: Ranges, recipe: StaticInt8, *, only: tuple[str, ...] = ()
) -> onnx.ModelProto:
    """Integer arithmetic in all nodes of the recipe's kinds, or in the nodes `only`.

    Raises:
        UnavailableError: nothing in this model can be quantised this way.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    bounds = {name: (np.float32(low), np.float32(high)) for name, (low, high) in ranges.items()}
    try:
        quantiser = QDQQuantizer(
            copy,
            recipe.per_channel,
            recipe.reduce_range,
            _TYPES[recipe.weights],
            _TYPES[recipe.activations],
            TensorsData(CalibrationMethod.MinMax, bounds),
            list(only),
            [*recipe.floats, *clips_of_outputs(model)],
            list(recipe.operators),
            {},
        )
        quantiser.quantize_model()
    except Exception as error:
        raise _not_quantised(error) from error
    return _checked(quantiser.model.model)


def dynamic_int8(model: onnx.ModelProto, recipe: DynamicInt8) -> onnx.ModelProto:
    """Integer MatMul, Gemm and LSTM with ranges measured at every call.

    Raises:
        UnavailableError: nothing in this model can be quantised this way.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    # Shapes of inner tensors make the quantiser fail on files of torch's exporter; the note says
    # that the graph was prepared, as it was.
    del copy.graph.value_info[:]
    add_pre_process_metadata(copy)
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        path = Path(folder) / "dynamic.onnx"
        try:
            quantize_dynamic(
                copy,
                path,
                op_types_to_quantize=_DYNAMIC_OPERATORS,
                per_channel=recipe.per_channel,
                reduce_range=recipe.reduce_range,
                weight_type=_TYPES[recipe.weights],
            )
        except Exception as error:
            raise _not_quantised(error) from error
        return _checked(onnx.load(path))


def clips_of_outputs(model: onnx.ModelProto) -> tuple[str, ...]:
    """Relu and Clip nodes that read an output of the graph.

    ONNX Runtime's quantiser gives what such a node reads the range of what it writes, which is
    right inside a graph and cuts every negative value off an output; so these stay in float.
    """
    outputs = {tensor.name for tensor in model.graph.output}
    return tuple(
        node.name
        for node in model.graph.node
        if node.op_type in {"Relu", "Clip"} and node.input[0] in outputs
    )


def quantisable_nodes(model: onnx.ModelProto) -> tuple[str, ...]:
    """Nodes that do arithmetic with stored weights, in the order of execution."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return tuple(
        node.name
        for node in model.graph.node
        if node.op_type in CORE_OPERATORS and any(name in weights for name in node.input[1:2])
    )


def _checked(model: onnx.ModelProto) -> onnx.ModelProto:
    if not any(node.op_type in _INTEGER_OPERATORS for node in model.graph.node):
        raise UnavailableError("no operator of this model can be quantised this way")
    return model


def _not_quantised(error: Exception) -> UnavailableError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return UnavailableError(f"the quantiser refused: {reason}")
