"""Accuracy through a server: scored, bounded, compared with a reference."""

import numpy as np
import pytest

from edgewright.contract import Tolerances
from edgewright.errors import InputError
from edgewright.validate.given import Labelled, labelled_of_arrays
from edgewright.validate.labels import (
    _drop_gate,
    class_of,
    label_figures,
    label_gates,
    reference_figures,
    row_questions,
    worst_classes,
)
from edgewright.validate.order import Order
from edgewright.wire import v2

METADATA = v2.ModelMetadata(
    name="m",
    versions=("1",),
    platform="",
    inputs=(v2.TensorMetadata(name="x", datatype="FP32", shape=(-1, 2)),),
    outputs=(v2.TensorMetadata(name="y", datatype="FP32", shape=(-1, 3)),),
)
ORDER = Order(model="m", scenario="single-stream", subject="here")
RNG = np.random.default_rng(3)
TRUTH = RNG.integers(0, 3, 4000)
ROWS = Labelled(inputs={"x": np.zeros((4000, 2), np.float32)}, truth=TRUTH)


def spoilt(share: float) -> np.ndarray:
    """Answers of which a share is wrong."""
    is_wrong = np.random.default_rng(7).random(len(TRUTH)) < share
    return np.where(is_wrong, (TRUTH + 1) % 3, TRUTH)


def test_accuracy_is_exact_and_bounded_and_classes_stand_beside_it() -> None:
    scores = (spoilt(0.1) == TRUTH).astype(float)
    figures = label_figures(scores, ROWS, rng=RNG)
    accuracy = figures["accuracy"]
    assert accuracy.value == pytest.approx(100 * scores.mean())
    assert accuracy.low is not None
    assert accuracy.low < accuracy.value - 0.8
    assert set(figures) >= {"found of class 0", "found of class 2", "balanced accuracy"}
    assert worst_classes(figures).startswith("classes found least often: ")


def test_whole_groups_widen_the_interval() -> None:
    groups = np.repeat(np.arange(8), 500)
    scores = np.repeat([1.0, 1, 1, 1, 1, 1, 0, 1], 500)
    alone = label_figures(scores, ROWS, rng=RNG)["accuracy"]
    together = label_figures(scores, Labelled(inputs={}, truth=TRUTH, groups=groups), rng=RNG)[
        "accuracy"
    ]
    assert alone.low is not None
    assert together.low is not None
    assert together.low < alone.low - 10


@pytest.mark.parametrize(
    ("share", "decided", "ok"), [(0.0, True, True), (0.02, True, False), (0.005, False, False)]
)
def test_a_drop_is_kept_missed_or_undecided(share: float, *, decided: bool, ok: bool) -> None:
    figures = reference_figures(spoilt(share), TRUTH, ROWS, rng=RNG)
    gate = _drop_gate(ORDER, figures["accuracy drop"])
    assert (gate.is_decided, gate.ok, gate.limit) == (decided, ok, Tolerances().metric_drop_points)


def test_a_least_accuracy_is_a_gate_only_when_asked_for() -> None:
    figures = label_figures((spoilt(0.1) == TRUTH).astype(float), ROWS, rng=RNG)
    assert label_gates(ORDER, figures) == ()
    asked = Order(model="m", scenario="single-stream", subject="here", min_accuracy=95.0)
    (gate,) = label_gates(asked, figures)
    assert gate.has_failed


@pytest.mark.parametrize(
    ("outputs", "found"),
    [
        ({"y": np.array([[0.1, 0.7, 0.2]])}, 1),
        ({"y": np.array([[0.1, 0.7, 0.2]]), "z": np.zeros((1, 64))}, 1),
        ({"id": np.array([2]), "y": np.zeros((1, 3))}, 2),
        ({"name": np.array(["walk"])}, "walk"),
    ],
)
def test_the_output_that_names_the_class_is_found(outputs: dict, found: object) -> None:
    assert class_of(outputs, wanted="", count=3, is_text=False) == found


def test_an_ambiguous_output_is_asked_for_by_name() -> None:
    outputs = {"a": np.zeros((1, 5)), "b": np.array([[0, 0, 9.0, 0]])}
    with pytest.raises(InputError, match="label_output"):
        class_of(outputs, wanted="", count=3, is_text=False)
    assert class_of(outputs, wanted="b", count=3, is_text=False) == 2


def test_rows_become_questions_of_one_row() -> None:
    questions = row_questions(ROWS, METADATA)
    assert len(questions) == 4000
    assert questions[0].inputs["x"].shape == (1, 2)
    with pytest.raises(InputError, match="has inputs"):
        row_questions(Labelled(inputs={"q": ROWS.inputs["x"]}, truth=TRUTH), METADATA)


@pytest.mark.parametrize(
    "arrays",
    [
        {"x": np.zeros((3, 2))},
        {"y": np.zeros(3, int)},
        {"x": np.zeros((3, 2)), "y": np.zeros(3)},
        {"x": np.zeros((2, 2)), "y": np.zeros(3, int)},
        {"x": np.zeros((0, 2)), "y": np.zeros(0, int)},
    ],
)
def test_what_is_no_labelled_set_is_refused(arrays: dict) -> None:
    with pytest.raises(InputError, match=r"rows\.npz"):
        labelled_of_arrays(arrays, source="rows.npz")


def test_scores_that_are_not_finite_name_no_class() -> None:
    scores = np.array([[np.nan, 0.1, 0.2]], np.float32)
    assert class_of({"y": scores}, wanted="", count=3, is_text=False) is None
    assert class_of({"y": np.array([[0.1, 0.7, 0.2]])}, wanted="", count=3, is_text=False) == 1
