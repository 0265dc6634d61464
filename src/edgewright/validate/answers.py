"""Were the answers right while the server was under load?

A load run keeps every distinct answer to every question with its count, so that an answer which is
wrong once in 10,000 is looked at like all others.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.contract import Tolerances
from edgewright.errors import InputError
from edgewright.evidence.parity import compare
from edgewright.validate.embedding import EmbeddingSanity, embedding_sanity
from edgewright.validate.encoding import DTYPES, decode_answer
from edgewright.validate.questions import Question
from edgewright.wire.v2 import TensorMetadata

CHECK_LIMIT = 20_000
_SHOWN = 5

Outputs = dict[str, NDArray[Any]]
Decode = Callable[[bytes], Outputs]


class AnswerCheck(msgspec.Struct, frozen=True, kw_only=True):
    """How many answers were looked at, how many of them were wrong, and in what way.

    `is_compared` is False when no golden vectors were given, so that only form was checked: V2,
    finite, the declared names, types and shapes, the same question the same answer, and no
    collapse (`embedding`).
    """

    checked: int
    wrong: int
    unchecked: int
    distinct: int
    is_compared: bool
    reasons: tuple[str, ...] = ()
    sanity: EmbeddingSanity = EmbeddingSanity()


def check_answers(
    answers: Sequence[dict[bytes, int]],
    questions: Sequence[Question],
    tolerances: Tolerances,
    *,
    declared: Sequence[TensorMetadata] = (),
    unkept: int = 0,
    limit: int = CHECK_LIMIT,
    decode: Decode = decode_answer,
) -> AnswerCheck:
    """Look at every distinct answer (at most `limit` of them), read by `decode`. Where nobody knows
    the right one it has to be of the `declared` outputs' form.
    """
    checked = wrong = distinct = 0
    reasons: list[str] = []
    first: dict[int, Outputs] = {}
    total = sum(sum(known.values()) for known in answers)
    for place, body, count in itertools.islice(_by_rank(answers), limit):
        distinct += 1
        checked += count
        try:
            outputs = decode(body)
        except InputError as error:
            fault = f"{error} ({body[:60]!r})"
        else:
            fault = _undeclared(outputs, declared) or _fault(
                outputs, questions[place], first.get(place), tolerances
            )
            if not fault:
                first.setdefault(place, outputs)
        if fault:
            wrong += count
            reasons.append(f"question {place}, {count} times: {fault}")
    is_compared = all(question.expected is not None for question in questions)
    sanity = embedding_sanity(tuple(first.values()))
    if not is_compared and sanity.fault:
        wrong = checked
        reasons.append(sanity.fault)
    return AnswerCheck(
        checked=checked,
        wrong=wrong,
        unchecked=unkept + total - checked,
        distinct=distinct,
        is_compared=is_compared,
        reasons=tuple(reasons[:_SHOWN]),
        sanity=sanity,
    )


def _by_rank(answers: Sequence[dict[bytes, int]]) -> Iterator[tuple[int, bytes, int]]:
    """The first distinct answer to every question, then every second, and so on."""
    iterators = [iter(known.items()) for known in answers]
    for row in itertools.zip_longest(*iterators):
        for place, item in enumerate(row):
            if item is not None:
                yield place, item[0], item[1]


def _fault(
    outputs: Outputs, question: Question, earlier: Outputs | None, tolerances: Tolerances
) -> str:
    """What is wrong with an answer; empty when nothing is."""
    if question.expected is not None:
        return _difference(outputs, (question.expected, *question.alternatives), tolerances)
    if not outputs:
        return "the answer has no outputs"
    for name, array in outputs.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return f"output {name!r} is not finite"
    if earlier is not None:
        comparison = compare(earlier, outputs, tolerances)
        return "; ".join(f"not repeatable: {one}" for one in comparison.reasons)
    return ""


def _undeclared(outputs: Outputs, declared: Sequence[TensorMetadata]) -> str:
    """What a model that declares these outputs cannot answer; empty when nothing is so."""
    known = {tensor.name: tensor for tensor in declared}
    for name, array in outputs.items() if known else ():
        if name not in known:
            return f"output {name!r} is not declared, expected {sorted(known)}"
        wanted, dtype = known[name], DTYPES.get(known[name].datatype)
        if dtype not in (None, "string") and array.dtype != np.dtype(dtype):
            return f"output {name!r} is {array.dtype}, declared {wanted.datatype}"
        is_alike = len(array.shape) == len(wanted.shape) and all(
            size in (-1, got) for size, got in zip(wanted.shape, array.shape, strict=True)
        )
        if wanted.shape and not is_alike:
            return f"output {name!r} has shape {list(array.shape)}, declared {list(wanted.shape)}"
    return ""


def _difference(outputs: Outputs, right: Sequence[Outputs], tolerances: Tolerances) -> str:
    """How an answer differs from the first right one, unless it is one of them."""
    faults = ["; ".join(compare(one, outputs, tolerances).reasons) for one in right]
    return faults[0] if all(faults) else ""
