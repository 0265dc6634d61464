"""A conversion counts only when the new file answers like its source."""

from collections.abc import Mapping

import numpy as np
import onnxruntime as ort

from edgewright.errors import GateError
from edgewright.evidence.parity import compare
from edgewright.runtimes.base import Array
from edgewright.workbench.verify import EXACT


def check_same_answers(
    content: bytes, inputs: Mapping[str, Array], expected: Mapping[str, Array], *, source: str
) -> None:
    """Run a converted ONNX file on the inputs that its source answered.

    Raises:
        GateError: they differ.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    results = session.run(list(expected), dict(inputs))
    scales = {name: _scale(array) for name, array in expected.items()}
    got = {name: np.asarray(each) for name, each in zip(expected, results, strict=True)}
    result = compare(
        {name: _over(array, scales[name]) for name, array in expected.items()},
        {name: _over(array, scales[name]) for name, array in got.items()},
        EXACT,
    )
    if not result.ok:
        raise GateError(
            f"{source}: the converted file differs ({result.reasons[0]}), checks missed",
            measured=len(result.reasons),
            limit=0,
            hint="export it as ONNX where it was trained",
        )


def _scale(array: Array) -> float:
    """Errors are read in units of the output's own size where that is above 1."""
    return max(1.0, float(np.abs(array).max())) if array.dtype.kind == "f" and array.size else 1.0


def _over(array: Array, scale: float) -> Array:
    return array / array.dtype.type(scale) if array.dtype.kind == "f" else array
