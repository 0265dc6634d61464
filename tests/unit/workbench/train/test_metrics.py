import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.errors import InputError
from edgewright.workbench.train import score
from edgewright.workbench.train.metrics import (
    accuracy,
    calibration_error,
    confusion_matrix,
    macro_f1,
)


def logits_for(guess: list[int], classes: int, sure: float = 5.0) -> np.ndarray:
    return (sure * np.eye(classes)[guess]).astype(np.float32)


def test_scores_of_a_small_case_by_hand() -> None:
    y = np.array([0, 0, 0, 1, 1, 2])
    guess = [0, 0, 1, 1, 0, 2]
    metrics = score(
        logits_for(guess, 3), y, subject=np.array(list("aaabbb")), labels=("x", "y", "z")
    )
    assert metrics.accuracy == pytest.approx(4 / 6)
    assert metrics.macro_f1 == pytest.approx((4 / 6 + 2 / 4 + 1) / 3)
    assert metrics.confusion == ((2, 1, 0), (1, 1, 0), (0, 0, 1))
    assert [group.accuracy for group in metrics.subjects] == pytest.approx([2 / 3, 2 / 3])
    assert [one.recall for one in metrics.classes] == pytest.approx([2 / 3, 1 / 2, 1])


def test_the_worst_person_is_named() -> None:
    y = np.zeros(6, np.int64)
    metrics = score(
        logits_for([0, 0, 0, 1, 1, 0], 2), y, subject=np.array(list("aabbcc")), labels=("x", "y")
    )
    assert metrics.worst_subject == "b"


def test_the_interval_is_over_people_and_not_over_windows() -> None:
    y = np.zeros(2000, np.int64)
    guess = [0] * 1000 + [1] * 1000
    two = score(logits_for(guess, 2), y, subject=np.repeat(["a", "b"], 1000), labels=("x", "y"))
    assert (two.accuracy_low, two.accuracy_high) == (0.0, 1.0)
    alike = score(
        logits_for([0, 1] * 1000, 2), y, subject=np.repeat(["a", "b"], 1000), labels=("x", "y")
    )
    assert alike.accuracy_low == alike.accuracy_high == 0.5


def test_one_person_alone_says_nothing_of_others() -> None:
    metrics = score(
        logits_for([0, 0], 2),
        np.zeros(2, np.int64),
        subject=np.array(["a", "a"]),
        labels=("x", "y"),
    )
    assert (metrics.accuracy_low, metrics.accuracy_high) == (0.0, 1.0)


@pytest.mark.parametrize(("sure", "expected"), [(0.0, 0.0), (50.0, 0.5)])
def test_calibration_error_is_the_gap_between_confidence_and_accuracy(
    sure: float, expected: float
) -> None:
    metrics = score(
        logits_for([0, 1] * 50, 2, sure),
        np.zeros(100, np.int64),
        subject=np.array(["a"] * 100),
        labels=("x", "y"),
    )
    if sure == 0.0:
        assert metrics.calibration_error == pytest.approx(0.5)
    else:
        assert metrics.calibration_error == pytest.approx(expected)


def test_a_calibrated_guess_has_no_error() -> None:
    probability = np.tile([0.75, 0.25], (400, 1))
    y = np.array(([0] * 3 + [1]) * 100)
    assert calibration_error(probability, y) == pytest.approx(0.0, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_accuracy_and_f1_agree_with_counting(pairs: list[tuple[int, int]]) -> None:
    y, guess = np.array(pairs).T
    confusion = confusion_matrix(y, guess, 4)
    assert accuracy(confusion) == pytest.approx(float((y == guess).mean()))
    scores = []
    for at in set(y.tolist()) | set(guess.tolist()):
        hits = ((y == at) & (guess == at)).sum()
        precision = hits / max((guess == at).sum(), 1)
        recall = hits / max((y == at).sum(), 1)
        scores.append(0.0 if not hits else 2 * precision * recall / (precision + recall))
    assert macro_f1(confusion) == pytest.approx(np.mean(scores))


def test_logits_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"logits \[2, 3\] do not fit 2 windows of 2 classes"):
        score(
            np.zeros((2, 3), np.float32),
            np.zeros(2, np.int64),
            subject=np.array(["a", "a"]),
            labels=("x", "y"),
        )
    with pytest.raises(InputError):
        score(
            np.zeros((0, 2), np.float32),
            np.zeros(0, np.int64),
            subject=np.array([], str),
            labels=("x", "y"),
        )
