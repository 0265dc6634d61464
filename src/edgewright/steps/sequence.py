"""Running a contract's steps: each reads one array by name and writes one."""

from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from edgewright.contract import (
    Argmax,
    ChannelOrder,
    Contract,
    Crop,
    Labels,
    Mask,
    Nms,
    Normalise,
    Resample,
    Resize,
    Softmax,
    Step,
    Threshold,
    Window,
)
from edgewright.errors import DeviceError, InputError
from edgewright.steps.arrays import Array
from edgewright.steps.checks import compile_outputs
from edgewright.steps.image import channel_order, crop, resize
from edgewright.steps.scores import argmax, label, mask, nms, softmax, threshold
from edgewright.steps.timeseries import normalise, resample, window

Arrays = Mapping[str, Array]
Sequence = Callable[[Arrays], dict[str, Array]]


def apply_step(step: Step, arrays: Arrays, labels: tuple[str, ...] = ()) -> dict[str, Array]:
    """The arrays with the step's result among them.

    >>> import numpy as np
    >>> apply_step(Softmax(tensor="logits", into="p"), {"logits": np.zeros((1, 2))})["p"].tolist()
    [[0.5, 0.5]]

    Raises:
        InputError: the tensor is missing or is nothing that the step takes.
    """
    result = dict(arrays)
    _run(step, _function(step, labels), result)
    return result


def preprocess(contract: Contract, arrays: Arrays) -> dict[str, Array]:
    """What the engine takes, from what a client sent.

    Raises:
        InputError: the arrays are nothing that the steps take.
    """
    return compile_preprocess(contract)(arrays)


def postprocess(contract: Contract, outputs: Arrays) -> dict[str, Array]:
    """The contract's outputs, and only those, from what the engine gave.

    Raises:
        DeviceError: the engine's answer is nothing that the contract describes.
    """
    return compile_postprocess(contract)(outputs)


def compile_preprocess(contract: Contract) -> Sequence:
    """`preprocess` for one contract. An array that a step carried under another name is dropped:
    the engine takes the new one.
    """
    steps = contract.preprocess
    run = _sequence(steps, contract.labels)
    carried = {step.tensor for step in steps} - {step.target for step in steps}
    if not carried:
        return run

    def run_and_drop(arrays: Arrays) -> dict[str, Array]:
        return {name: array for name, array in run(arrays).items() if name not in carried}

    return run_and_drop


def compile_postprocess(contract: Contract) -> Sequence:
    """`postprocess` for one contract."""
    run = _sequence(contract.postprocess, contract.labels)
    select = compile_outputs(contract)
    if not contract.postprocess:
        return select

    def run_and_select(outputs: Arrays) -> dict[str, Array]:
        try:
            results = run(outputs)
        except InputError as error:
            raise DeviceError(f"postprocessing failed: {error.message}", hint=error.hint) from error
        return select(results)

    return run_and_select


def _sequence(steps: tuple[Step, ...], labels: tuple[str, ...]) -> Sequence:
    pairs = [(step, _function(step, labels)) for step in steps]

    def run(arrays: Arrays) -> dict[str, Array]:
        result = dict(arrays)
        for step, function in pairs:
            _run(step, function, result)
        return result

    return run


def _run(step: Step, function: Callable[..., Array], arrays: dict[str, Array]) -> None:
    names = (step.tensor, step.scores) if isinstance(step, Nms) else (step.tensor,)
    word = type(step).__struct_config__.tag
    for name in names:
        if name not in arrays:
            raise InputError(
                f"step {word} reads tensor {name!r}, which is missing",
                hint=f"there are {sorted(arrays)}; check the contract's steps",
            )
    try:
        arrays[step.target] = function(*(arrays[name] for name in names))
    except InputError as error:
        raise InputError(
            f"step {word}: tensor {step.tensor!r} {error.message}", hint=error.hint
        ) from error


def _windows(samples: Array, *, length: int, hop: int) -> Array:
    windows = window(samples, length=length, hop=hop)
    if not len(windows):
        raise InputError(
            f"has {len(samples)} samples, expected at least {length} for one window",
            hint="send a longer recording",
        )
    return windows


def _function(step: Step, labels: tuple[str, ...]) -> Callable[..., Array]:
    """A step's implementation with its numbers filled in."""
    if isinstance(step, Labels):
        return partial(label, labels=labels)
    fields = msgspec.structs.asdict(step)
    numbers = {name: value for name, value in fields.items() if name not in _TENSOR_FIELDS}
    return partial(_FUNCTIONS[type(step)], **numbers)


_TENSOR_FIELDS = frozenset({"tensor", "into", "scores"})

_FUNCTIONS: dict[type, Callable[..., Array]] = {
    Resample: resample,
    Window: _windows,
    Normalise: normalise,
    Resize: resize,
    Crop: crop,
    ChannelOrder: channel_order,
    Softmax: softmax,
    Argmax: argmax,
    Threshold: threshold,
    Mask: mask,
    Nms: nms,
}
"""A step's fields carry the names of its function's parameters."""
