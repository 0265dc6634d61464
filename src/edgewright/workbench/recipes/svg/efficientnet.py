"""EfficientNet-Lite0 from an ONNX file, cut before its classifier: 1280 numbers a picture."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from edgewright._fs import read_limited
from edgewright._pictures import Picture, resized
from edgewright.errors import InputError
from edgewright.workbench.recipes.svg.features import Vector
from edgewright.workbench.recipes.svg.tracing import Row

SIDE = 224
FILE_LIMIT_BYTES = 256 << 20


class EfficientNetLite0:
    """The network; its input is RGB [1, 3, 224, 224] scaled by (x - 127) / 128."""

    name = "efficientnet-lite0"
    size = 1280
    needs_pilots = False

    def __init__(self, weights: Path) -> None:
        content = read_limited(weights, limit_bytes=FILE_LIMIT_BYTES)
        self.identity = f"{self.name} {hashlib.sha256(content).hexdigest()}"
        try:
            model = onnx.load_model_from_string(content)
        except Exception as error:
            raise InputError(f"{weights}: not an ONNX file: {error}", hint="check it") from error
        heads = [node for node in model.graph.node if node.op_type in {"Gemm", "MatMul"}]
        if not heads:
            raise InputError(f"{weights}: no classifier to cut off", hint="give the whole network")
        self._output = heads[-1].input[0]
        pooled = onnx.helper.make_tensor_value_info(self._output, onnx.TensorProto.FLOAT, None)
        model.graph.output.append(pooled)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def features(self, picture: Picture, pilots: tuple[Row, ...]) -> Vector:
        scaled = (resized(picture, SIDE, SIDE).astype(np.float32) - 127) / 128
        (found,) = self._session.run(
            [self._output], {self._input: scaled.transpose(2, 0, 1)[np.newaxis]}
        )
        return np.asarray(found, np.float32).reshape(-1)
