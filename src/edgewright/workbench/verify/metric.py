"""The task metric of labelled data, in points (0 to 100), from sums over samples.

Integer `y`: accuracy in percentage points. Array `y`: 100 * (1 - RMSE / std(y)). A mask (an integer
or bool array per sample): mean IoU over the classes that occur. Every metric keeps one row of sums
per sample, so that a bootstrap can draw samples again.

    >>> metric = choose_metric(np.array([0, 1, 1]))
    >>> scores = metric.sample_scores(np.array([[.9, .1], [.2, .8], [.7, .3]]), np.array([0, 1, 1]))
    >>> round(metric.value(scores), 2)
    66.67
"""

from collections.abc import Mapping
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.contract.decoding import suggestion
from edgewright.errors import InputError
from edgewright.runtimes.base import Array

Scores = NDArray[np.float64]
"""One row per sample: the sums that the metric is made of."""

_UNKNOWN = -1
"""The class of a pixel that nobody knows."""


class TaskMetric(Protocol):
    """How well answers fit labels."""

    @property
    def name(self) -> str:
        """The word that reports and `--metric` use."""

    def sample_scores(self, answers: Array, labels: Array) -> Scores:
        """One row per sample.

        Raises:
            InputError: the answers are nothing that these labels can judge.
        """

    def value(self, scores: Scores) -> float:
        """The metric of some samples, in points."""

    def of_sums(self, sums: Scores, counts: Scores) -> Scores:
        """The metric of many sets of samples at once: of each the sum of its rows, and how many
        they are.
        """


class Accuracy(msgspec.Struct, frozen=True):
    """The share of samples whose largest score (or only value) is the label."""

    name: str = "accuracy"

    def sample_scores(self, answers: Array, labels: Array) -> Scores:
        """1 where right, 0 where wrong."""
        wanted = labels.reshape(len(labels), -1)
        decided = _decisions(answers, wanted)
        right: Scores = np.asarray(decided == wanted, np.float64).mean(axis=1, keepdims=True)
        return right

    def value(self, scores: Scores) -> float:
        return _of_all(self, scores)

    def of_sums(self, sums: Scores, counts: Scores) -> Scores:
        return 100.0 * (sums[:, 0] / counts)


class RelativeRmse(msgspec.Struct, frozen=True):
    """100 * (1 - RMSE / std(y)): 100 is perfect, 0 is as good as the mean of y."""

    std: float
    name: str = "rmse"

    def sample_scores(self, answers: Array, labels: Array) -> Scores:
        """The mean squared error of every sample; not finite counts as infinitely wrong."""
        wanted = labels.reshape(len(labels), -1).astype(np.float64)
        given = _fitting(answers.reshape(len(answers), -1), wanted.shape, answers.shape, labels)
        error = np.nan_to_num(given.astype(np.float64) - wanted, nan=1e12, posinf=1e12, neginf=1e12)
        squared: Scores = np.square(error).mean(axis=1, keepdims=True)
        return squared

    def value(self, scores: Scores) -> float:
        return _of_all(self, scores)

    def of_sums(self, sums: Scores, counts: Scores) -> Scores:
        rmse: Scores = np.sqrt(sums[:, 0] / counts)
        return 100.0 * (1.0 - rmse / self.std)


class MeanIou(msgspec.Struct, frozen=True):
    """Intersection over union of every class that occurs, averaged over classes; pixels of class -1
    are those that nobody knows, and do not count.
    """

    classes: int
    name: str = "miou"

    def sample_scores(self, answers: Array, labels: Array) -> Scores:
        """Intersections, then unions, one column per class."""
        wanted = labels.astype(np.int64)
        if wanted.ndim > 3 and 1 in wanted.shape[1:]:
            wanted = wanted.reshape(len(wanted), *(n for n in wanted.shape[1:] if n != 1))
        decided = np.where(wanted >= 0, _mask_of(answers, wanted), -1)
        axes = tuple(range(1, wanted.ndim))
        both = [((decided == k) & (wanted == k)).sum(axes) for k in range(self.classes)]
        either = [((decided == k) | (wanted == k)).sum(axes) for k in range(self.classes)]
        return np.stack(both + either, axis=1).astype(np.float64)

    def value(self, scores: Scores) -> float:
        return _of_all(self, scores)

    def of_sums(self, sums: Scores, counts: Scores) -> Scores:
        both, either = np.split(sums, 2, axis=1)
        shares: Scores = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
        return np.asarray(100.0 * shares.sum(axis=1) / (either > 0).sum(axis=1), np.float64)


def _of_all(metric: TaskMetric, scores: Scores) -> float:
    counts = np.array([len(scores)], np.float64)
    return float(metric.of_sums(scores.sum(axis=0, keepdims=True), counts)[0])


def choose_metric(labels: Array, name: str | None = None) -> TaskMetric:
    """The metric that the labels ask for, or the one that is named.

    Raises:
        InputError: an unknown name, or labels that it cannot use.
    """
    known = ("accuracy", "miou", "rmse")
    if name is not None and name not in known:
        raise InputError(f"unknown metric {name!r}", hint=suggestion(name, list(known)))
    if not labels.size:
        raise InputError("`y` is empty", hint="give at least one labelled sample")
    if labels.dtype.kind not in "iubf":
        raise InputError(
            f"`y` holds {labels.dtype}, expected numbers",
            hint="store class positions as int64, or target values as float32",
        )
    whole = labels.dtype.kind in "iub"
    flat = labels.ndim == 1 or all(size == 1 for size in labels.shape[1:])
    if whole and name is None and _is_one_hot(labels):
        raise InputError(
            f"`y` of shape {list(labels.shape)} has one 1 in each row: classes, or a mask?",
            hint="store class positions (y.argmax(axis=1)), or say --metric miou",
        )
    chosen = name or ("rmse" if not whole else "accuracy" if flat else "miou")
    if chosen == "rmse":
        return _rmse_of(labels)
    if not whole:
        raise InputError(
            f"metric {chosen!r} needs whole numbers in `y`, got {labels.dtype}",
            hint="store class positions as int64",
        )
    if chosen == "accuracy":
        return Accuracy()
    if labels.max() < 0:
        raise InputError("`y` holds no pixel of a known class", hint="label some of the masks")
    return MeanIou(classes=int(labels.max()) + 1)


def pick_answer(outputs: Mapping[str, Array], metric: TaskMetric, labels: Array) -> str:
    """The output that the labels speak of: of those they can judge, the one that is most right.

    The shape alone does not tell: an embedding of 64 numbers looks like the scores of 64 classes,
    and judging it would find every variant as good as the original, at zero percent.

    Raises:
        InputError: the labels can judge none.
    """
    reasons, values = [], dict[str, float]()
    for name, answers in outputs.items():
        try:
            values[name] = metric.value(metric.sample_scores(answers, labels))
        except InputError as error:
            reasons.append(f"{name}: {error}")
    if not values:
        raise InputError(
            f"metric {metric.name!r} fits no output ({'; '.join(reasons)})",
            hint="check the shape of `y` against the model's outputs",
        )
    return max(values, key=lambda name: values[name])


def _is_one_hot(labels: Array) -> bool:
    return (
        labels.ndim == 2
        and labels.shape[1] > 1
        and bool(((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all())
    )


def _check_classes(labels: Array, classes: int, *, least: int = 0) -> None:
    """A label that no answer can be would make every variant as good as the original."""
    low, high = int(labels.min()), int(labels.max())
    if low < least or high >= classes:
        raise InputError(
            f"`y` holds class {high if high >= classes else low}, the output has {classes}, "
            f"0 to {classes - 1}",
            hint="count classes from 0; drop rows or pixels of no class",
        )


def _rmse_of(labels: Array) -> RelativeRmse:
    values = labels.astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError("`y` holds NaN or infinity", hint="drop these samples")
    std = float(values.std())
    if std == 0:
        raise InputError("`y` has the same value everywhere, so RMSE / std(y) has no meaning")
    return RelativeRmse(std=std)


def _decisions(answers: Array, labels: Array) -> Array:
    """Class positions [rows, places] from scores, one probability or positions themselves."""
    rows, places = shape = labels.shape
    if answers.dtype.kind in "iub" and answers.size == rows * places:
        return answers.reshape(shape)
    if answers.size == rows * places:
        _check_classes(labels, 2)
        return np.asarray(answers.reshape(shape) >= 0.5, np.int64)
    if len(answers) == rows and answers.size % (rows * places) == 0 and answers.ndim >= 2:
        scores = answers.reshape(rows, places, -1)
        _check_classes(labels, scores.shape[-1])
        decided, finite = scores.argmax(axis=-1), np.isfinite(scores).all(axis=-1)
        return np.where(finite, decided, -1)
    raise InputError(f"shape {list(answers.shape)} holds no class scores for {rows} labels")


def _mask_of(answers: Array, labels: Array) -> Array:
    """Class positions per pixel, from scores with classes in front or at the end, or one score."""
    shape = labels.shape
    if answers.shape == shape:
        if answers.dtype.kind in "iub":
            return answers
        _check_classes(labels, 2, least=_UNKNOWN)
        return np.asarray(answers >= 0.5, np.int64)
    if answers.ndim == len(shape) + 1 and answers.shape[0] == shape[0]:
        for axis in (1, -1):
            if tuple(np.delete(answers.shape, axis)) == shape:
                if answers.shape[axis] == 1:
                    return _mask_of(answers.squeeze(axis), labels)
                _check_classes(labels, answers.shape[axis], least=_UNKNOWN)
                decided: Array = answers.argmax(axis=axis)
                return decided
    raise InputError(f"shape {list(answers.shape)} holds no mask of shape {list(shape)}")


def _fitting(flat: Array, wanted: tuple[int, ...], shape: tuple[int, ...], labels: Array) -> Array:
    if flat.shape != wanted:
        raise InputError(f"shape {list(shape)} does not fit labels of shape {list(labels.shape)}")
    return flat
