"""Were the answers right while the server was under load?

A load run keeps every distinct answer to every question with its count, so that an answer which is
wrong once in 10,000 is looked at like all others.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.contract import Tolerances
from edgewright.errors import InputError
from edgewright.evidence.parity import compare
from edgewright.validate.questions import Question, decode_answer

CHECK_LIMIT = 20_000
_SHOWN = 5


class AnswerCheck(msgspec.Struct, frozen=True, kw_only=True):
    """How many answers were looked at, how many of them were wrong, and in what way.

    `is_compared` is False when no golden vectors were given, so that only form was checked: V2,
    finite, declared shapes, the same question the same answer, different questions not all the
    same.
    """

    checked: int
    wrong: int
    unchecked: int
    distinct: int
    is_compared: bool
    reasons: tuple[str, ...] = ()


def check_answers(
    answers: Sequence[dict[bytes, int]],
    questions: Sequence[Question],
    tolerances: Tolerances,
    *,
    unkept: int = 0,
    limit: int = CHECK_LIMIT,
) -> AnswerCheck:
    """Look at every distinct answer (at most `limit` of them)."""
    checked = wrong = distinct = 0
    reasons: list[str] = []
    first: dict[int, dict[str, NDArray[Any]]] = {}
    total = sum(sum(known.values()) for known in answers)
    for place, body, count in itertools.islice(_by_rank(answers), limit):
        distinct += 1
        checked += count
        outputs, fault = _look(body, questions[place], first.get(place), tolerances)
        if fault:
            wrong += count
            reasons.append(f"question {place}, {count} times: {fault}")
        elif outputs is not None:
            first.setdefault(place, outputs)
    is_compared = all(question.expected is not None for question in questions)
    if not is_compared and _has_collapsed(first):
        wrong = checked
        reasons.append(f"{len(first)} different questions all got the same answer")
    return AnswerCheck(
        checked=checked,
        wrong=wrong,
        unchecked=unkept + total - checked,
        distinct=distinct,
        is_compared=is_compared,
        reasons=tuple(reasons[:_SHOWN]),
    )


def _by_rank(answers: Sequence[dict[bytes, int]]) -> Iterator[tuple[int, bytes, int]]:
    """The first distinct answer to every question, then every second, and so on."""
    iterators = [iter(known.items()) for known in answers]
    for row in itertools.zip_longest(*iterators):
        for place, item in enumerate(row):
            if item is not None:
                yield place, item[0], item[1]


def _look(
    body: bytes,
    question: Question,
    earlier: dict[str, NDArray[Any]] | None,
    tolerances: Tolerances,
) -> tuple[dict[str, NDArray[Any]] | None, str]:
    try:
        outputs = decode_answer(body)
    except InputError as error:
        return None, f"{error} ({body[:60]!r})"
    if question.expected is not None:
        comparison = compare(question.expected, outputs, tolerances)
        return outputs, "; ".join(comparison.reasons)
    if not outputs:
        return None, "the answer has no outputs"
    for name, array in outputs.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return None, f"output {name!r} is not finite"
    if earlier is not None:
        comparison = compare(earlier, outputs, tolerances)
        return outputs, "; ".join(f"not repeatable: {one}" for one in comparison.reasons)
    return outputs, ""


def _has_collapsed(first: dict[int, dict[str, NDArray[Any]]]) -> bool:
    """Whether all questions got one float answer: an embedding that has lost its input."""
    answers = [
        [array for array in outputs.values() if array.dtype.kind == "f"]
        for outputs in first.values()
    ]
    if len(answers) < 4 or not all(answers):
        return False
    return all(
        len(one) == len(answers[0])
        and all(np.array_equal(a, b) for a, b in zip(one, answers[0], strict=True))
        for one in answers[1:]
    )
