"""The parity check itself: run both sides on the same inputs, compare, explain."""

from collections.abc import Callable, Mapping

import msgspec
import numpy as np

from edgewright.contract import Tolerances
from edgewright.errors import DeviceError, EdgewrightError, InputError
from edgewright.evidence.parity import OutputComparison, compare
from edgewright.runtimes.base import Array
from edgewright.workbench.verify.edges import edge_inputs
from edgewright.workbench.verify.metric import choose_metric, pick_answer
from edgewright.workbench.verify.report import Case, Divergence, MetricChange, ParityReport
from edgewright.workbench.verify.rows import row_count

Arrays = Mapping[str, Array]
Answer = Callable[[Arrays], Mapping[str, Array]]
"""A model as parity sees it: raw arrays in, outputs out."""
Locate = Callable[[Arrays], Divergence | None]
"""Finds where two models part, for inputs on which their answers differ."""

EXACT = Tolerances(
    max_abs=1e-4, max_rel=1e-4, cosine=0.99999, norm_ratio=1.001, metric_drop_points=0.1
)
"""For files that compute in the same precision."""

LOSSY = Tolerances(max_abs=0.2, max_rel=0.2, cosine=0.98, norm_ratio=1.1, metric_drop_points=1.0)
"""For files of lower precision, when nobody set a budget."""

EDGE_SLACK = 4.0
"""Edge inputs leave the range that models were trained on; rounding grows with them."""


class ParityOrder(msgspec.Struct, frozen=True, kw_only=True):
    """How strictly to compare.

    `relative` reads `max_abs` in units of each output's own scale where that is above 1: for files
    whose contract nobody wrote. `edges_count` is False for lossy files: their edge answers must be
    finite, no more.
    """

    tolerances: Tolerances = EXACT
    metric: str | None = None
    relative: bool = True
    edges_count: bool = True
    seed: int = 0


STRICT = ParityOrder()
"""For files of the same precision whose contract nobody wrote."""


def verify(
    reference: Answer,
    candidate: Answer,
    golden: Arrays,
    *,
    labels: Array | None = None,
    order: ParityOrder = STRICT,
    locate: Locate | None = None,
) -> ParityReport:
    """Compare two models on golden data and on edge inputs, and say where they part.

    Raises:
        InputError: the golden data is nothing that the reference takes.
    """
    expected = dict(reference(golden))
    got = _answers(candidate, golden)
    scales = {name: _scale(array) for name, array in expected.items()}
    cases = [_case("golden", row_count(golden), (expected, got), order, scales)]
    notes: list[str] = []
    failing: Arrays | None = None if cases[0].ok else golden
    for name, arrays in edge_inputs(golden, np.random.default_rng(order.seed)).items():
        case, note = _edge_case(name, arrays, reference, candidate, order)
        notes += [note] if note else []
        cases += [case] if case else []
        if case and not case.ok and failing is None:
            failing = arrays
    metric = _metric_change(expected, got, labels, order) if labels is not None else None
    reasons = [f"{case.name}: {reason}" for case in cases for reason in case.reasons]
    if metric and not metric.drop <= metric.limit:
        reasons.append(
            f"{metric.name} falls by {metric.drop:.3g} points, tolerated {metric.limit:g}"
        )
        failing = golden if failing is None else failing
    divergence, remark = _located(locate, failing)
    return ParityReport(
        ok=not reasons,
        cases=tuple(cases),
        reasons=tuple(reasons),
        metric=metric,
        divergence=divergence,
        notes=(*notes, *remark),
    )


def _located(
    locate: Locate | None, failing: Arrays | None
) -> tuple[Divergence | None, tuple[str, ...]]:
    """Where the models part; that it cannot be told must not hide that they do."""
    if locate is None or failing is None:
        return None, ()
    try:
        found = locate(failing)
    except EdgewrightError as error:
        return None, (f"the diverging node is unknown: {error}",)
    return found, () if found else ("every inner tensor that both graphs have agrees",)


def _answers(side: Answer, arrays: Arrays) -> dict[str, Array] | str:
    """The answers, or why there are none."""
    try:
        return dict(side(arrays))
    except (DeviceError, InputError) as error:
        return str(error)


def _case(
    name: str,
    rows: int,
    answers: tuple[dict[str, Array], dict[str, Array] | str],
    order: ParityOrder,
    scales: Mapping[str, float],
) -> Case:
    expected, got = answers
    if isinstance(got, str):
        return Case(name=name, rows=rows, ok=False, reasons=(f"no answer: {got}",))
    if order.relative:
        expected = {key: _over(array, scales[key]) for key, array in expected.items()}
        got = {key: _over(array, scales.get(key, 1.0)) for key, array in got.items()}
    result = compare(expected, got, order.tolerances)
    outputs = tuple(_unscaled(one, scales) for one in result.outputs.values())
    return Case(name=name, rows=rows, ok=result.ok, outputs=outputs, reasons=result.reasons)


def _edge_case(
    name: str, arrays: Arrays, reference: Answer, candidate: Answer, order: ParityOrder
) -> tuple[Case | None, str]:
    expected = _answers(reference, arrays)
    if isinstance(expected, str) or not all(_is_finite(a) for a in expected.values()):
        return None, f"edge {name!r} left out: the reference itself has no finite answer to it"
    got = _answers(candidate, arrays)
    rows = row_count(arrays)
    if not order.edges_count:
        return _finite_case(name, rows, got), ""
    scales = {key: _scale(array) * EDGE_SLACK for key, array in expected.items()}
    return _case(name, rows, (expected, got), order, scales), ""


def _finite_case(name: str, rows: int, got: dict[str, Array] | str) -> Case:
    if isinstance(got, str):
        reasons: tuple[str, ...] = (f"no answer: {got}",)
    else:
        reasons = tuple(
            f"output {key!r} holds NaN or infinity"
            for key, array in got.items()
            if not _is_finite(array)
        )
    return Case(name=name, rows=rows, ok=not reasons, reasons=reasons)


def _metric_change(
    expected: Arrays, got: Arrays | str, labels: Array, order: ParityOrder
) -> MetricChange | None:
    if isinstance(got, str):
        return None
    metric = choose_metric(labels, order.metric)
    name = pick_answer(expected, metric, labels)
    before = metric.value(metric.sample_scores(expected[name], labels))
    comparable = name in got and got[name].shape == expected[name].shape
    after = metric.value(metric.sample_scores(got[name], labels)) if comparable else float("-inf")
    return MetricChange(
        name=metric.name,
        reference=before,
        candidate=after,
        drop=before - after,
        limit=order.tolerances.metric_drop_points,
    )


def _is_finite(array: Array) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _scale(array: Array) -> float:
    """The unit in which absolute tolerances are read: the output's size where it is above 1."""
    if array.dtype.kind != "f" or not array.size:
        return 1.0
    finite = np.abs(array[np.isfinite(array)])
    return max(1.0, float(finite.max())) if finite.size else 1.0


def _over(array: Array, scale: float) -> Array:
    return array / array.dtype.type(scale) if array.dtype.kind == "f" and scale != 1.0 else array


def _unscaled(one: OutputComparison, scales: Mapping[str, float]) -> OutputComparison:
    return msgspec.structs.replace(one, max_abs=one.max_abs * scales.get(one.name, 1.0))
