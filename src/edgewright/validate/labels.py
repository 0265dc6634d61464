"""How good are the served answers? A labelled set asked through the server, row by row.

Accuracy with its exact interval (by resampled groups where the set has them), the share found of
every class, and, where a reference model is given, the drop against it on the same rows. A drop
that the rows are too few to tell from the limit is undecided, which makes the verdict INVALID.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.errors import InputError
from edgewright.evidence import Gate, Interval
from edgewright.evidence.intervals import (
    bootstrap_interval,
    paired_bootstrap_drop,
    rate_interval,
)
from edgewright.measure.load import LoadLimits, LoadTarget
from edgewright.validate.answers import Outputs
from edgewright.validate.given import Given, Labelled
from edgewright.validate.load import Load
from edgewright.validate.order import Order, Served
from edgewright.validate.questions import Question, asked
from edgewright.validate.ways import Way
from edgewright.wire import v2

ROW_LIMIT = 20_000
_CONNECTIONS = 4
_SECONDS = 600.0
_KEPT_BYTES = 512 << 20
_WORST = 3

Classes = NDArray[Any]


class _AskedOf(msgspec.Struct, frozen=True):
    target: LoadTarget
    model: str
    way: Way


class LabelFindings(msgspec.Struct, frozen=True, kw_only=True):
    """What the labelled set showed. Rows without an answer count as wrong."""

    how: str
    figures: dict[str, Interval]
    gates: tuple[Gate, ...]
    notes: tuple[str, ...] = ()


async def examine_labels(
    order: Order,
    served: Served,
    given: Given,
    metadata: v2.ModelMetadata,
    *,
    rng: np.random.Generator,
) -> LabelFindings:
    """Ask every row, of the server and of the reference, and score what comes back.

    Raises:
        InputError: the set does not fit the model, or no output can be taken for classes.
        TransportError: nobody answers.
    """
    labelled = given.labelled
    assert labelled is not None  # noqa: S101 - asked for only when there is one
    questions = row_questions(labelled, metadata)
    ours = _AskedOf(served.target, order.model, given.way)
    found = await _classes(ours, questions, order, labelled.truth)
    scores = (found == labelled.truth).astype(np.float64)
    figures = label_figures(scores, labelled, rng=rng)
    gates = label_gates(order, figures)
    how = (
        f"{len(scores)} labelled rows of {labelled.source} asked through the server, "
        f"{_CONNECTIONS} at a time; 95 % intervals: exact binomial, whole groups resampled where "
        "the set has groups"
    )
    notes = (worst_classes(figures),)
    if given.reference is not None:
        reference = given.reference
        theirs = _AskedOf(reference.target, reference.model, reference.way)
        expected = await _classes(theirs, questions, order, labelled.truth)
        compared = reference_figures(found, expected, labelled, rng=rng)
        figures |= compared
        gates += (_drop_gate(order, compared["accuracy drop"]),)
        how += f"; compared with {reference.text} on the same rows (paired bootstrap)"
    return LabelFindings(how=how, figures=figures, gates=gates, notes=notes)


def row_questions(labelled: Labelled, metadata: v2.ModelMetadata) -> tuple[Question, ...]:
    """A question for every row.

    Raises:
        InputError: other inputs than the model's, or more rows than are asked.
    """
    names = {tensor.name for tensor in metadata.inputs}
    if set(labelled.inputs) != names:
        raise InputError(
            f"{labelled.source} has inputs {sorted(labelled.inputs)}, the served model has "
            f"{sorted(names)}",
            hint="name the arrays like the model's inputs, and the classes y",
        )
    count = len(labelled.truth)
    if count > ROW_LIMIT:
        raise InputError(f"{labelled.source} has {count} rows, at most {ROW_LIMIT} are asked")
    batched = {
        tensor.name: len(tensor.shape) == labelled.inputs[tensor.name].ndim
        for tensor in metadata.inputs
    }
    return tuple(
        asked(
            {
                name: array[row : row + 1] if batched[name] else array[row]
                for name, array in labelled.inputs.items()
            },
            metadata,
        )
        for row in range(count)
    )


def class_of(outputs: Outputs, *, wanted: str, count: int, is_text: bool) -> object:
    """The class that an answer names: the wanted output, else the only one that can be meant. None
    where its scores are not all finite, which name none.

    Raises:
        InputError: none or several can.
    """
    name = wanted or _only_output(outputs, count=count, is_text=is_text)
    if name not in outputs:
        raise InputError(f"there is no output {name!r}", hint=f"outputs: {sorted(outputs)}")
    array = outputs[name]
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return None
    if array.dtype.kind == "f" and array.size > 1:
        return int(np.argmax(array.ravel()))
    return array.ravel()[0].item()


def _only_output(outputs: Outputs, *, count: int, is_text: bool) -> str:
    if is_text:
        found = [name for name, array in outputs.items() if array.dtype.kind == "U"]
    else:
        found = [name for name, one in outputs.items() if one.dtype.kind in "iu" and one.size == 1]
        found = found or [
            name
            for name, one in outputs.items()
            if one.dtype.kind == "f" and one.size >= max(count, 2) and one.ndim <= 2
        ]
        found = found or [name for name, one in outputs.items() if one.dtype.kind == "U"]
        exact = [name for name in found if outputs[name].size == count]
        found = exact if len(found) > 1 and len(exact) == 1 else found
    if len(found) != 1:
        raise InputError(
            f"{len(found)} of the outputs {sorted(outputs)} could name the class",
            hint="name it in a suite file: [truth] label_output",
        )
    return found[0]


def label_figures(
    scores: NDArray[np.float64], labelled: Labelled, *, rng: np.random.Generator
) -> dict[str, Interval]:
    """Accuracy, balanced accuracy, and how much of every class was found, in percent."""
    groups = labelled.groups
    if groups is not None and len(np.unique(groups)) > 1:
        accuracy = bootstrap_interval(
            scores, statistic=lambda drawn: float(drawn.mean()), groups=list(groups), rng=rng
        )
    else:
        accuracy = rate_interval(int(scores.sum()), len(scores))
    figures = {"accuracy": _percent(accuracy)}
    shares = {}
    for one in np.unique(labelled.truth):
        rows = scores[labelled.truth == one]
        shares[f"found of class {one}"] = _percent(rate_interval(int(rows.sum()), len(rows)))
    figures["balanced accuracy"] = Interval(float(np.mean([s.value for s in shares.values()])))
    return {**figures, **shares}


def reference_figures(
    found: Classes, expected: Classes, labelled: Labelled, *, rng: np.random.Generator
) -> dict[str, Interval]:
    """What the served model loses against the reference, in points, and how often they agree."""
    ours = (found == labelled.truth).astype(np.float64)
    theirs = (expected == labelled.truth).astype(np.float64)
    count = len(ours)
    if (ours == theirs).all():
        bound = 100 * (rate_interval(0, count).high or 0.0)
        drop = Interval(0.0, -bound, bound)
    else:
        groups = None if labelled.groups is None else list(labelled.groups)
        if groups is not None and len(set(groups)) < 2:
            groups = None
        drop = _percent(paired_bootstrap_drop(theirs, ours, groups=groups, rng=rng))
    return {
        "accuracy of the reference": _percent(rate_interval(int(theirs.sum()), count)),
        "accuracy drop": drop,
        "agreement with the reference": _percent(
            rate_interval(int((found == expected).sum()), count)
        ),
    }


def label_gates(order: Order, figures: dict[str, Interval]) -> tuple[Gate, ...]:
    """The least accuracy, when one was asked for."""
    if order.min_accuracy is None:
        return ()
    accuracy, limit = figures["accuracy"], order.min_accuracy
    return (Gate.at_least("accuracy", accuracy, limit, unit="%", timed=False),)


def worst_classes(figures: dict[str, Interval]) -> str:
    """A sentence about the classes that are found least often."""
    shares = {n: f.value for n, f in figures.items() if n.startswith("found of class ")}
    worst = sorted(shares, key=lambda name: shares[name])[:_WORST]
    listed = ", ".join(f"{n.removeprefix('found of class ')} ({shares[n]:.1f} %)" for n in worst)
    return f"classes found least often: {listed}"


def _drop_gate(order: Order, drop: Interval) -> Gate:
    limit = order.tolerances.metric_drop_points if order.max_drop is None else order.max_drop
    return Gate.at_most("accuracy drop", drop, limit, unit="points", timed=False)


async def _classes(
    asked_of: _AskedOf, questions: Sequence[Question], order: Order, truth: NDArray[Any]
) -> Classes:
    """The class that each row got; None where the answer was none."""
    way, target, model = asked_of.way, asked_of.target, asked_of.model
    metadata = await way.metadata(target, model)
    load = Load(
        target=target,
        requests=tuple(way.request(target, model, question, metadata) for question in questions),
        connect=way.connect,
    )
    limits = LoadLimits(seconds=_SECONDS, requests=len(questions), keep_bytes=_KEPT_BYTES)
    result = await load.closed(limits, connections=_CONNECTIONS).run()
    is_text = truth.dtype.kind == "U"
    names = order.contract.labels if order.contract and not is_text else ()
    count = len(names) or (0 if is_text else int(truth.max()) + 1)
    place = {name: index for index, name in enumerate(names)}
    found: list[object] = []
    for known in result.answers:
        outputs = _outputs(way, known)
        one = None
        if outputs is not None:
            one = class_of(outputs, wanted=order.label_output, count=count, is_text=is_text)
        found.append(place.get(one, one) if isinstance(one, str) else one)
    return np.array(found, dtype=object)


def _outputs(way: Way, known: dict[bytes, int]) -> Outputs | None:
    try:
        return way.answer(next(iter(known))) if known else None
    except InputError:
        return None


def _percent(interval: Interval) -> Interval:
    low = None if interval.low is None else 100 * interval.low
    high = None if interval.high is None else 100 * interval.high
    return Interval(100 * interval.value, low, high, interval.confidence)
