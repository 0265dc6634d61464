"""The one implementation (numpy) of the steps that a contract declares, and the check at the door.

Training, parity checks, server and device all run this code, so that what a model was trained on
and what it meets later cannot differ. Functions take arrays and give new ones; float32 stays
float32 and float64 stays float64, float16 is calculated in float32, integers become float32 where a
step needs fractions. Errors name the tensor, what was expected and what came.

    >>> import numpy as np
    >>> from edgewright.contract import Argmax, Contract, Labels, Normalise, Tensor
    >>> contract = Contract(
    ...     inputs=(Tensor(name="x", dtype="float32", shape=("batch", 2), low=-9.0, high=9.0),),
    ...     outputs=(Tensor(name="activity", dtype="string", shape=("batch",)),),
    ...     preprocess=(Normalise(tensor="x", mean=(0.0, 1.0), std=(1.0, 2.0)),),
    ...     postprocess=(Argmax(tensor="x", into="activity"), Labels(tensor="activity")),
    ...     labels=("walk", "sit"),
    ... )
    >>> request = {"x": np.array([[1.0, 5.0]], np.float32)}
    >>> check_inputs(contract, request)
    >>> preprocess(contract, request)["x"].tolist()
    [[1.0, 2.0]]
    >>> postprocess(contract, {"x": np.array([[0.1, 0.9]], np.float32)})["activity"].tolist()
    ['sit']
    >>> check_inputs(contract, {"x": np.array([[1.0, 50.0]], np.float32)})
    Traceback (most recent call last):
    ...
    edgewright.errors.InputError: input 'x'[0, 1] is 50, expected -9 to 9; check sensor and unit
"""

from edgewright.steps.checks import (
    check_inputs,
    compile_checks,
    compile_values,
    select_outputs,
)
from edgewright.steps.image import channel_order, crop, resize
from edgewright.steps.scores import argmax, label, mask, nms, softmax, threshold
from edgewright.steps.sequence import (
    apply_step,
    compile_postprocess,
    compile_preprocess,
    postprocess,
    preprocess,
)
from edgewright.steps.timeseries import Segment, normalise, resample, resample_at, window

__all__ = [
    "Segment",
    "apply_step",
    "argmax",
    "channel_order",
    "check_inputs",
    "compile_checks",
    "compile_postprocess",
    "compile_preprocess",
    "compile_values",
    "crop",
    "label",
    "mask",
    "nms",
    "normalise",
    "postprocess",
    "preprocess",
    "resample",
    "resample_at",
    "resize",
    "select_outputs",
    "softmax",
    "threshold",
    "window",
]
