"""Is the converted model still the same model? Measured on real golden data and on edge inputs,
after every conversion; on failure the first diverging node is named.

Invariants: absolute and relative error, cosine, norm guard, finiteness and the task metric are all
held, because each alone lies. Nothing here opens an engine: sessions come in as arguments.
`first_divergence` and `locate_with` (ONNX pairs) live in `verify.bisection`, which needs `onnx`.

    >>> import numpy as np
    >>> golden = {"x": np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)}
    >>> report = verify(
    ...     lambda arrays: {"y": arrays["x"] * 2}, lambda arrays: {"y": arrays["x"] * 2.1}, golden)
    >>> report.ok
    False
    >>> report.reasons[0]
    "golden: output 'y': largest absolute difference is 0.05, tolerated 0.0001"
"""

from edgewright.workbench.verify.edges import edge_inputs
from edgewright.workbench.verify.metric import (
    Accuracy,
    MeanIou,
    RelativeRmse,
    TaskMetric,
    choose_metric,
    pick_answer,
)
from edgewright.workbench.verify.parity import (
    EXACT,
    LOSSY,
    STRICT,
    Answer,
    Locate,
    ParityOrder,
    verify,
)
from edgewright.workbench.verify.report import Case, Divergence, MetricChange, ParityReport
from edgewright.workbench.verify.rows import check_arrays, row_count, run_rows
from edgewright.workbench.verify.stages import locate_in_stages

__all__ = [
    "EXACT",
    "LOSSY",
    "STRICT",
    "Accuracy",
    "Answer",
    "Case",
    "Divergence",
    "Locate",
    "MeanIou",
    "MetricChange",
    "ParityOrder",
    "ParityReport",
    "RelativeRmse",
    "TaskMetric",
    "check_arrays",
    "choose_metric",
    "edge_inputs",
    "locate_in_stages",
    "pick_answer",
    "row_count",
    "run_rows",
    "verify",
]
