"""Steps on what a model gives: scores to probabilities, classes, texts, masks and kept boxes."""

import numpy as np

from edgewright.errors import InputError
from edgewright.steps.arrays import Array, as_floats, expect_axis, expect_rank, kept_float

_MASK_CLASSES = 256


def softmax(scores: Array, *, axis: int = -1) -> Array:
    """Probabilities along an axis; large scores do not overflow.

    >>> softmax(np.array([1000.0, 1000.0])).tolist()
    [0.5, 0.5]
    """
    expect_axis(scores, axis)
    floats = as_floats(scores)
    powers = np.exp(floats - floats.max(axis=axis, keepdims=True))
    powers /= powers.sum(axis=axis, keepdims=True)
    return kept_float(powers, scores)


def argmax(scores: Array, *, axis: int = -1) -> Array:
    """The position of the largest score, the first of equals, as int64.

    >>> argmax(np.array([[0.1, 0.9], [0.5, 0.5]])).tolist()
    [1, 0]
    """
    expect_axis(scores, axis)
    return np.asarray(scores.argmax(axis=axis), np.int64)


def label(classes: Array, labels: tuple[str, ...]) -> Array:
    """Class positions as texts.

    >>> label(np.array([1, 0]), ("walk", "sit")).tolist()
    ['sit', 'walk']
    """
    if classes.dtype.kind not in "iu":
        raise InputError(
            f"holds {classes.dtype}, expected class positions (integers)",
            hint="put an argmax step before labels",
        )
    if classes.size and (classes.min() < 0 or classes.max() >= len(labels)):
        outside = int(classes.min() if classes.min() < 0 else classes.max())
        raise InputError(
            f"holds class {outside}, expected 0 to {len(labels) - 1}",
            hint="the contract's labels belong to another model",
        )
    return np.asarray(np.array(labels, dtype=np.str_)[classes])


def threshold(scores: Array, *, at: float) -> Array:
    """True where a score is at least `at`, compared in the scores' own precision.

    >>> threshold(np.array([0.1, 0.7], np.float32), at=0.1).tolist()
    [True, True]
    """
    return np.asarray(scores >= at)


def mask(scores: Array, *, axis: int = 1) -> Array:
    """The best class of every pixel as uint8.

    >>> mask(np.array([[[0.1]], [[0.9]]])[None]).tolist()
    [[[1]]]
    """
    at = expect_axis(scores, axis)
    if scores.shape[at] > _MASK_CLASSES:
        raise InputError(
            f"has {scores.shape[at]} classes along axis {axis}, "
            f"a mask holds at most {_MASK_CLASSES}"
        )
    return np.asarray(scores.argmax(axis=at), np.uint8)


def nms(boxes: Array, scores: Array, *, iou: float, min_score: float = 0.0) -> Array:
    """Which boxes (x1 y1 x2 y2) stay, as flags [rows, n]: from the best score down, each removes
    the ones that overlap it by more than `iou`. Of equal scores the first goes first.

    >>> boxes = np.array([[[0, 0, 2, 2], [0, 0, 2, 1.9], [5, 5, 6, 6]]])
    >>> nms(boxes, np.array([[0.8, 0.9, 0.1]]), iou=0.5).tolist()
    [[False, True, True]]
    """
    expect_rank(boxes, "rows boxes corners")
    if boxes.shape[2] != 4 or scores.shape != boxes.shape[:2]:
        raise InputError(
            f"boxes {list(boxes.shape)} and scores {list(scores.shape)} do not belong together, "
            "expected [rows, n, 4] and [rows, n]"
        )
    kept = np.zeros(scores.shape, np.bool_)
    for row, (row_boxes, row_scores) in enumerate(zip(as_floats(boxes), scores, strict=True)):
        waiting = np.argsort(-as_floats(row_scores), kind="stable")
        waiting = waiting[row_scores[waiting] >= min_score]
        while waiting.size:
            best, waiting = waiting[0], waiting[1:]
            kept[row, best] = True
            waiting = waiting[_overlap(row_boxes[best], row_boxes[waiting]) <= iou]
    return kept


def _overlap(box: Array, others: Array) -> Array:
    """Shared area over joint area; boxes without area share none."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.maximum(sides, 0).prod(axis=1)
    joint = _area(box) + _area(others) - shared
    return np.asarray(np.divide(shared, joint, out=np.zeros_like(shared), where=joint > 0))


def _area(boxes: Array) -> Array:
    return np.asarray(np.maximum(boxes[..., 2:] - boxes[..., :2], 0).prod(axis=-1))
