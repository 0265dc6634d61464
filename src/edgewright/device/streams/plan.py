"""What a stream needs to know, read from the contract once: tensor, rate, window, how to read the
answer.
"""

import math

import msgspec
import numpy as np

from edgewright.contract import Contract, Softmax, Tensor
from edgewright.device.streams.base import Array
from edgewright.device.streams.debounce import Rule
from edgewright.errors import InputError
from edgewright.steps import softmax

DEFAULT_MAX_GAP_S = 0.25


class Wishes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a user may say about a stream; the contract says the rest. `hop` is half a window unless
    told otherwise.
    """

    hop: int | None = None
    rate_hz: float | None = None
    max_gap_s: float = DEFAULT_MAX_GAP_S
    rule: Rule = Rule()

    def __post_init__(self) -> None:
        if (self.hop is not None and self.hop < 1) or not 0 < self.max_gap_s < math.inf:
            raise ValueError(f"hop {self.hop} and max_gap_s {self.max_gap_s:g} must be above 0")
        if self.rate_hz is not None and not 0 < self.rate_hz < math.inf:
            raise ValueError(f"rate_hz {self.rate_hz:g} must be above 0")


class Answering(msgspec.Struct, frozen=True, kw_only=True):
    """How to ask a model, and to make a label with a score of its answer.

    `scores` is the output that holds one score per label ("" when there is none); `is_probability`
    says whether the contract made probabilities of them already.
    """

    tensor: str
    dtype: str
    scores: str
    is_probability: bool
    labels: tuple[str, ...]


class Plan(Answering, frozen=True, kw_only=True):
    """How samples become windows, and windows answers. `channels` have the units `units`."""

    channels: tuple[str, ...]
    units: tuple[str, ...]
    length: int
    hop: int
    rate_hz: float
    max_gap_s: float
    rule: Rule


class PicturePlan(Answering, frozen=True, kw_only=True):
    """How pictures become answers; `size` (height, width) where the model takes one size only."""

    size: tuple[int, int] | None
    rule: Rule


def plan_stream(contract: Contract, wishes: Wishes) -> Plan:
    """The plan for a model whose one input is windows [rows, length, channels].

    Raises:
        InputError: the contract is not of that kind, or nobody says the rate.
    """
    tensor = _window_tensor(contract)
    rate_hz = contract.rate_hz or wishes.rate_hz
    if rate_hz is None:
        raise InputError(
            "the contract does not say at which rate the model takes samples",
            hint="say it: `rate_hz` in the contract or a stream file, or --rate-hz",
        )
    if contract.rate_hz and wishes.rate_hz and contract.rate_hz != wishes.rate_hz:
        raise InputError(
            f"the contract says {contract.rate_hz:g} Hz, you say {wishes.rate_hz:g} Hz",
            hint="leave it out; samples at other rates are resampled",
        )
    length, channels = (int(size) for size in tensor.shape[1:])
    scores = _scores_output(contract)
    return Plan(
        tensor=tensor.name,
        dtype=tensor.dtype,
        channels=tuple(channel.name for channel in tensor.channels)
        or tuple(f"channel{index}" for index in range(channels)),
        units=tuple(channel.unit for channel in tensor.channels) or (tensor.unit,) * channels,
        length=length,
        hop=wishes.hop or max(length // 2, 1),
        rate_hz=rate_hz,
        max_gap_s=wishes.max_gap_s,
        scores=scores,
        is_probability=_ends_in_softmax(contract, scores),
        labels=contract.labels,
        rule=wishes.rule,
    )


def takes_pictures(contract: Contract) -> bool:
    """Whether the model's one input is pictures [rows, height, width, 3] of bytes."""
    shape, dtype = contract.inputs[0].shape, contract.inputs[0].dtype
    return len(contract.inputs) == 1 and len(shape) == 4 and shape[-1] == 3 and dtype == "uint8"


def plan_pictures(contract: Contract, wishes: Wishes) -> PicturePlan:
    """The plan for a model whose one input is pictures.

    Raises:
        InputError: the contract is not of that kind.
    """
    tensor = contract.inputs[0]
    if not takes_pictures(contract) or not tensor.has_batch:
        shapes = {each.name: f"{each.dtype} {list(each.shape)}" for each in contract.inputs}
        raise InputError(
            f"the model takes {shapes}, a camera gives uint8 ['batch', height, width, 3]",
            hint="put resize, channel_order and normalise into the contract's preprocess",
        )
    height, width = tensor.shape[1:3]
    scores = _scores_output(contract)
    return PicturePlan(
        tensor=tensor.name,
        dtype=tensor.dtype,
        size=(height, width) if isinstance(height, int) and isinstance(width, int) else None,
        scores=scores,
        is_probability=_ends_in_softmax(contract, scores),
        labels=contract.labels,
        rule=wishes.rule,
    )


def read_answer(outputs: dict[str, Array], plan: Answering) -> tuple[str, float | None]:
    """The label of one window and its probability; ("", None) when the model gives no scores."""
    if not plan.scores:
        return "", None
    scores = outputs[plan.scores][0]
    chances = scores if plan.is_probability else softmax(scores)
    best = int(np.argmax(chances))
    return plan.labels[best], float(chances[best])


def _window_tensor(contract: Contract) -> Tensor:
    tensor = contract.inputs[0]
    is_windows = len(tensor.shape) == 3 and all(isinstance(size, int) for size in tensor.shape[1:])
    if len(contract.inputs) != 1 or not tensor.has_batch or not is_windows:
        shapes = {each.name: list(each.shape) for each in contract.inputs}
        raise InputError(
            f"the model takes {shapes}, a stream needs one input ['batch', length, channels]",
            hint="use `edgewright predict` for other inputs",
        )
    if not tensor.dtype.startswith("float"):
        raise InputError(f"input {tensor.name!r} is {tensor.dtype}, a stream gives floats")
    return tensor


def _scores_output(contract: Contract) -> str:
    """The output with one float per label; labels without such an output cannot be debounced."""
    names = [
        tensor.name
        for tensor in contract.outputs
        if tensor.dtype.startswith("float")
        and len(tensor.shape) == 2
        and contract.labels
        and tensor.shape[1] == len(contract.labels)
    ]
    probable = [name for name in names if _ends_in_softmax(contract, name)]
    return next(iter(probable + names), "")


def _ends_in_softmax(contract: Contract, name: str) -> bool:
    last = [step for step in contract.postprocess if step.target == name][-1:]
    return bool(last) and isinstance(last[0], Softmax)
