import numpy as np
import pytest

from edgewright.errors import InputError
from edgewright.workbench.verify import choose_metric, pick_answer

RNG = np.random.default_rng(0)


def value(labels: np.ndarray, answers: np.ndarray, name: str | None = None) -> float:
    metric = choose_metric(labels, name)
    return metric.value(metric.sample_scores(answers, labels))


def test_integer_labels_give_accuracy_in_percentage_points() -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]])
    assert value(np.array([0, 1, 1, 0]), scores) == 75.0


def test_positions_and_single_probabilities_are_decisions_too() -> None:
    labels = np.array([0, 1, 1, 0])
    assert value(labels, np.array([0, 1, 0, 0])) == 75.0
    assert value(labels, np.array([[0.1], [0.9], [0.4], [0.2]])) == 75.0


def test_scores_that_are_not_finite_are_wrong() -> None:
    assert value(np.array([0, 0]), np.array([[np.nan, np.nan], [1.0, 0.0]])) == 50.0


def test_array_labels_give_one_hundred_minus_relative_rmse() -> None:
    labels = RNG.normal(size=(200, 3)).astype(np.float32)
    assert value(labels, labels) == 100.0
    assert value(labels, np.full_like(labels, labels.mean())) == pytest.approx(0.0, abs=1e-3)
    half = 100 * (1 - np.sqrt(np.mean((0.5 * labels) ** 2)) / labels.std())
    assert value(labels, labels * 0.5) == pytest.approx(half, rel=1e-5)


def test_pixels_that_nobody_knows_do_not_count() -> None:
    labels = np.array([[[0, 1, -1, -1]]])
    decided = np.array([[[0, 1, 0, 1]]])
    assert value(labels, decided) == 100.0
    assert value(labels, np.stack([1.0 - decided, decided * 1.0], axis=1)) == 100.0
    with pytest.raises(InputError, match="no pixel of a known class"):
        choose_metric(np.full((1, 4, 4), -1))
    with pytest.raises(InputError, match="holds class -2"):
        value(np.minimum(labels * 2, 1), np.stack([decided, decided], axis=1))


def test_masks_give_mean_iou_wherever_the_classes_lie() -> None:
    labels = np.zeros((1, 4, 4), np.int64)
    labels[:, :2] = 1
    decided = np.zeros((1, 4, 4), np.int64)
    decided[:, :1] = 1
    expected = 100 * (4 / 8 + 8 / 12) / 2
    assert value(labels, decided) == pytest.approx(expected)
    scores = np.stack([1.0 - decided, decided * 1.0], axis=1)
    assert value(labels, scores) == pytest.approx(expected)
    assert value(labels, np.moveaxis(scores, 1, -1)) == pytest.approx(expected)
    assert value(labels, decided[:, None] * 0.9) == pytest.approx(expected)
    assert value(labels[:, None], scores) == pytest.approx(expected)


def test_a_class_that_never_occurs_does_not_count() -> None:
    labels = np.zeros((1, 2, 2), np.int64)
    labels[0, 0, 0] = 5
    assert value(labels, labels) == 100.0


@pytest.mark.parametrize(
    ("labels", "name", "message"),
    [
        (np.array([0, 1]), "acuracy", "did you mean 'accuracy'"),
        (np.array([0.5, 1.0]), "accuracy", "needs whole numbers"),
        (np.array([1.0, 1.0]), None, "same value everywhere"),
        (np.array([1.0, np.nan]), None, "NaN or infinity"),
        (np.array([], np.int64), None, "is empty"),
    ],
)
def test_labels_that_a_metric_cannot_use_are_refused(
    labels: np.ndarray, name: str | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        choose_metric(labels, name)


def test_the_output_that_is_most_right_is_judged() -> None:
    labels = np.array([0, 1, 2])
    outputs = {"embedding": np.eye(3, 64)[::-1], "logits": np.eye(3)}
    assert pick_answer(outputs, choose_metric(labels), labels) == "logits"
    values = np.array([[0.5, 1.0], [0.1, 0.7]])
    outputs = {"embedding": np.zeros((2, 9)), "values": np.zeros((2, 2))}
    assert pick_answer(outputs, choose_metric(values), values) == "values"
    with pytest.raises(InputError, match="fits no output"):
        pick_answer({"embedding": np.zeros((2, 9))}, choose_metric(values), values)


@pytest.mark.parametrize(
    ("labels", "answers"),
    [
        (np.array([1, 2, 3]), np.eye(3)),  # counted from 1
        (np.array([-1, 0]), np.eye(2)),
        (np.array([0, 1 << 40]), np.eye(2)),
        (np.array([0, 2]), np.array([[0.1], [0.9]])),
        (np.full((1, 2, 2), 2), np.zeros((1, 2, 2, 2))),
        (np.full((1, 2, 2), 255), np.zeros((1, 1, 2, 2))),
    ],
)
def test_a_label_that_no_answer_can_be_is_refused(labels: np.ndarray, answers: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"`y` holds class \S+, the output has \d, 0 to \d"):
        value(labels, answers)


def test_one_hot_labels_are_no_masks_unless_somebody_says_so() -> None:
    labels = np.eye(3, dtype=np.int64)
    with pytest.raises(InputError, match="one 1 in each row"):
        choose_metric(labels)
    assert choose_metric(labels, "miou").name == "miou"


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["walk", "run"]),
        np.array(["0", "1"]),
        np.array([0, 1], "M8[D]"),
        np.array([0, 1], np.complex64),
    ],
    ids=["words", "digits", "dates", "complex"],
)
def test_labels_that_are_no_numbers_are_refused(labels: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"`y` holds .*, expected numbers"):
        choose_metric(labels)
