"""Parity from raw bytes: two models with their contracts part in a step, in the engine, or after.

The steps are walked side by side first; only when both engines get the same arrays is a node of the
graph to blame.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edgewright.contract import Contract, Step
from edgewright.errors import EdgewrightError
from edgewright.runtimes.base import Array
from edgewright.steps import apply_step, postprocess, preprocess
from edgewright.workbench.verify.parity import Locate
from edgewright.workbench.verify.report import Divergence

Arrays = Mapping[str, Array]

_RELATIVE = 1e-5


def locate_in_stages(
    reference: Contract,
    candidate: Contract,
    engine: Callable[[Arrays], Arrays],
    in_graph: Locate | None,
) -> Locate:
    """Find where two models part, for raw inputs: preprocessing, graph, postprocessing.

    `engine` answers for the reference's engine, `in_graph` looks inside both graphs.
    """

    def locate(arrays: Arrays) -> Divergence | None:
        found = _in_steps("preprocess", reference.preprocess, candidate.preprocess, arrays, ())
        if found:
            return found
        feeds = preprocess(reference, arrays)
        found = in_graph(feeds) if in_graph else None
        if found:
            return found
        answers = engine(feeds)
        found = _in_steps(
            "postprocess",
            reference.postprocess,
            candidate.postprocess,
            answers,
            reference.labels,
        )
        return found or _in_labels(reference, candidate, answers)

    return locate


def _in_steps(
    stage: str,
    reference: Sequence[Step],
    candidate: Sequence[Step],
    arrays: Arrays,
    labels: tuple[str, ...],
) -> Divergence | None:
    """The first step whose result differs, walking both lists at once."""
    left, right = dict(arrays), dict(arrays)
    for position in range(max(len(reference), len(candidate))):
        ours = candidate[position] if position < len(candidate) else None
        theirs = reference[position] if position < len(reference) else None
        if theirs is not None:
            left = apply_step(theirs, left, labels)
        if ours is not None:
            try:
                right = apply_step(ours, right, labels)
            except EdgewrightError:
                return _step_divergence(stage, position, ours, theirs, float("inf"))
        step = ours or theirs
        if step is None or theirs == ours:
            continue
        distance = _distance(left.get(_result(theirs)), right.get(_result(ours)))
        if distance > _RELATIVE:
            return _step_divergence(stage, position, ours, theirs, distance)
    return None


def _in_labels(reference: Contract, candidate: Contract, answers: Arrays) -> Divergence | None:
    if reference.labels == candidate.labels:
        return None
    expected, got = postprocess(reference, answers), postprocess(candidate, answers)
    same = expected.keys() == got.keys() and all(
        np.array_equal(expected[name], got[name]) for name in expected
    )
    if same:
        return None
    return Divergence(
        node="labels", operator="labels", tensor="", max_abs=float("inf"), max_rel=float("inf")
    )


def _result(step: Step | None) -> str:
    return "" if step is None else step.target


def _step_divergence(
    stage: str, position: int, ours: Step | None, theirs: Step | None, distance: float
) -> Divergence:
    kind = _kind(ours) if ours is not None else "missing"
    step = ours or theirs
    return Divergence(
        node=f"{stage}[{position}] {kind}",
        operator=kind,
        tensor=step.tensor if step is not None else "",
        max_abs=distance,
        max_rel=distance,
        missing=() if theirs is None or ours is not None else (f"{stage} step {_kind(theirs)}",),
    )


def _kind(step: Step) -> str:
    return str(step.__struct_config__.tag)


def _distance(expected: Array | None, got: Array | None) -> float:
    if expected is None or got is None or expected.shape != got.shape:
        return float("inf")
    if expected.dtype.kind not in "iufb" or got.dtype.kind not in "iufb":
        return 0.0 if np.array_equal(expected, got) else float("inf")
    left, right = expected.astype(np.float64), got.astype(np.float64)
    return float(np.abs(left - right).max() / max(np.abs(left).max(), 1e-6)) if left.size else 0.0
