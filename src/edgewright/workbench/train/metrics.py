"""How good a classifier is, with an interval over people and the worst person named. Pure."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.errors import InputError
from edgewright.workbench.train.figures import Figure

_BINS = 15
_DRAWS = 1000
_LEVEL = 0.95

_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]


class GroupScore(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The scores of one person's windows."""

    name: str
    windows: int
    accuracy: float
    macro_f1: float


class ClassScore(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One class: how often it was found, and how often the finding was right."""

    name: str
    windows: int
    precision: float
    recall: float
    f1: float


class Metrics(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="classification",
):
    """Scores of one set of windows. Shares, not percent. The intervals are 95 % bootstrap intervals
    over people; with fewer than two people they are as wide as nothing is known.

    `confusion[true][predicted]` counts windows. `warning` repeats what is wrong with the split.
    """

    windows: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    macro_f1: float
    macro_f1_low: float
    macro_f1_high: float
    calibration_error: float
    loss: float
    classes: tuple[ClassScore, ...]
    subjects: tuple[GroupScore, ...]
    worst_subject: str
    confusion: tuple[tuple[int, ...], ...]
    warning: str = ""

    @property
    def rows(self) -> int:
        """As of the scores of other tasks."""
        return self.windows

    @property
    def worst_group(self) -> str:
        """As of the scores of other tasks."""
        return self.worst_subject

    @property
    def figures(self) -> tuple[Figure, ...]:
        """The figures of a report."""
        low, high = self.macro_f1_low, self.macro_f1_high
        return (
            Figure(
                name="accuracy",
                value=self.accuracy,
                low=self.accuracy_low,
                high=self.accuracy_high,
            ),
            Figure(name="macro-F1", value=self.macro_f1, low=low, high=high),
            Figure(name="calibration error (ECE)", value=self.calibration_error),
        )

    @property
    def group_rows(self) -> list[dict[str, str | int | float | None]]:
        """The table of groups of a report."""
        return [
            {"group": s.name, "rows": s.windows, "accuracy": s.accuracy, "macro-F1": s.macro_f1}
            for s in self.subjects
        ]

    @property
    def headline(self) -> dict[str, float]:
        """The figures that a line of progress or a table shows."""
        return {
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "calibration_error": self.calibration_error,
        }


def score(
    logits: NDArray[np.float32],
    y: _Ints,
    *,
    subject: NDArray[np.str_],
    labels: tuple[str, ...],
    warning: str = "",
) -> Metrics:
    """Every score of a set of predictions.

    Raises:
        InputError: nothing to score, or arrays that do not fit together.
    """
    if not len(y) or logits.shape != (len(y), len(labels)) or len(subject) != len(y):
        raise InputError(
            f"logits {list(logits.shape)} do not fit {len(y)} windows of {len(labels)} classes"
        )
    log_p = _log_softmax(logits.astype(np.float64))
    guess = logits.argmax(axis=1)
    people = sorted(set(subject.tolist()))
    each = {
        who: confusion_matrix(y[subject == who], guess[subject == who], len(labels))
        for who in people
    }
    total = np.sum(list(each.values()), axis=0)
    groups = tuple(_group(who, matrix) for who, matrix in each.items())
    (low_a, high_a), (low_f, high_f) = _over_people(np.stack(list(each.values())))
    return Metrics(
        windows=len(y),
        accuracy=accuracy(total),
        accuracy_low=low_a,
        accuracy_high=high_a,
        macro_f1=macro_f1(total),
        macro_f1_low=low_f,
        macro_f1_high=high_f,
        calibration_error=calibration_error(np.exp(log_p), y),
        loss=float(-log_p[np.arange(len(y)), y].mean()),
        classes=tuple(_classes(total, labels)),
        subjects=groups,
        worst_subject=min(groups, key=lambda group: group.accuracy).name,
        confusion=tuple(tuple(int(n) for n in row) for row in total),
        warning=warning,
    )


def confusion_matrix(y: _Ints, guess: _Ints, classes: int) -> _Ints:
    """Counts [true, predicted]."""
    return np.bincount(y * classes + guess, minlength=classes**2).reshape(classes, classes)


def accuracy(confusion: _Ints) -> float:
    """The share on the diagonal."""
    return float(np.trace(confusion) / max(confusion.sum(), 1))


def macro_f1(confusion: _Ints) -> float:
    """The mean F1 of the classes that occur, in truth or in guesses.

    >>> round(macro_f1(np.array([[2, 0, 0], [1, 1, 0], [0, 0, 0]])), 4)
    0.7333
    """
    occurs = (confusion.sum(axis=0) + confusion.sum(axis=1)) > 0
    return float(_f1(confusion)[occurs].mean()) if occurs.any() else 0.0


def calibration_error(probability: _Floats, y: _Ints) -> float:
    """Expected calibration error: the mean gap between confidence and accuracy over 15 bins."""
    confidence = probability.max(axis=1)
    right = probability.argmax(axis=1) == y
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gap = np.bincount(bins, weights=confidence - right, minlength=_BINS)
    return float(np.abs(gap).sum() / len(y))


def _f1(confusion: _Ints) -> _Floats:
    hits = np.diag(confusion)
    f1: _Floats = 2 * hits / np.maximum(confusion.sum(axis=0) + confusion.sum(axis=1), 1)
    return f1


def _classes(confusion: _Ints, labels: tuple[str, ...]) -> list[ClassScore]:
    hits, truth, guessed = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return [
        ClassScore(
            name=name,
            windows=int(truth[at]),
            precision=float(hits[at] / max(guessed[at], 1)),
            recall=float(hits[at] / max(truth[at], 1)),
            f1=float(_f1(confusion)[at]),
        )
        for at, name in enumerate(labels)
    ]


def _group(who: str, confusion: _Ints) -> GroupScore:
    return GroupScore(
        name=who,
        windows=int(confusion.sum()),
        accuracy=accuracy(confusion),
        macro_f1=macro_f1(confusion),
    )


def _over_people(each: _Ints) -> tuple[tuple[float, float], tuple[float, float]]:
    """Intervals of accuracy and macro-F1 when people are drawn again with replacement."""
    if len(each) < 2:
        return (0.0, 1.0), (0.0, 1.0)
    draws = np.random.default_rng(0).integers(len(each), size=(_DRAWS, len(each)))
    totals = [each[rows].sum(axis=0) for rows in draws]
    return _interval([accuracy(t) for t in totals]), _interval([macro_f1(t) for t in totals])


def _interval(values: list[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2]).tolist()
    return low, high


def _log_softmax(logits: _Floats) -> _Floats:
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p: _Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return log_p
