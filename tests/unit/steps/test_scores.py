import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgewright.errors import InputError
from edgewright.steps import argmax, label, mask, nms, softmax, threshold

scores = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=3, max_side=4), elements=st.floats(-50, 50)
)


@given(array=scores)
def test_softmax_agrees_with_a_plain_loop(array: np.ndarray) -> None:
    rows = array.reshape(-1, array.shape[-1])
    for row, got in zip(rows, softmax(array).reshape(rows.shape), strict=True):
        powers = [math.exp(value) for value in row]
        expected = [power / math.fsum(powers) for power in powers]
        np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_softmax_of_large_scores_stays_finite() -> None:
    huge = np.array([[3e38, -3e38, 3e38]], np.float32)
    with np.errstate(over="ignore"):
        assert softmax(huge).tolist() == [[0.5, 0.0, 0.5]]


@pytest.mark.parametrize(
    ("dtype", "result"), [("float16", "float16"), ("float32", "float32"), ("int8", "float32")]
)
def test_softmax_keeps_float_types(dtype: str, result: str) -> None:
    assert softmax(np.ones((2, 3), dtype)).dtype == result


def test_softmax_of_no_rows_is_no_rows() -> None:
    assert softmax(np.zeros((0, 3), np.float32)).shape == (0, 3)


def test_nothing_along_the_axis_is_refused() -> None:
    with pytest.raises(InputError, match=r"shape \[2, 0\]: nothing lies along axis -1"):
        softmax(np.zeros((2, 0)))


@given(array=scores, axis=st.sampled_from([0, 1, -1]))
def test_argmax_and_mask_find_the_first_best(array: np.ndarray, axis: int) -> None:
    got, pixels = argmax(array, axis=axis), mask(array, axis=axis)
    assert (got.dtype, pixels.dtype) == (np.int64, np.uint8)
    lines = np.moveaxis(array, axis, -1)
    for place in np.ndindex(lines.shape[:-1]):
        values = lines[place].tolist()
        assert got[place] == pixels[place] == values.index(max(values))


def test_a_mask_of_too_many_classes_is_refused() -> None:
    with pytest.raises(InputError, match="has 257 classes"):
        mask(np.zeros((1, 257, 1, 1)))


def test_labels_keep_the_shape() -> None:
    assert label(np.array([[0, 1], [1, 1]]), ("a", "b")).tolist() == [["a", "b"], ["b", "b"]]
    assert label(np.array([], np.int64), ("a",)).shape == (0,)


@pytest.mark.parametrize("position", [-1, 2])
def test_a_class_without_a_label_is_refused(position: int) -> None:
    with pytest.raises(InputError, match=f"holds class {position}, expected 0 to 1"):
        label(np.array([0, position]), ("a", "b"))


def test_scores_are_no_classes() -> None:
    with pytest.raises(InputError, match="put an argmax step before labels"):
        label(np.array([0.5]), ("a",))


@given(array=scores, at=st.floats(-50, 50))
def test_threshold_is_reached_by_equal_scores(array: np.ndarray, at: float) -> None:
    got = threshold(array, at=at)
    assert got.dtype == np.bool_
    assert got.ravel().tolist() == [value >= at for value in array.ravel().tolist()]


def slow_nms(boxes: list[list[float]], values: list[float], iou: float, least: float) -> list[bool]:
    """Try the boxes best first; keep one unless a kept one covers it."""

    def area(box: list[float]) -> float:
        return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)

    def overlap(a: list[float], b: list[float]) -> float:
        wide = min(a[2], b[2]) - max(a[0], b[0])
        high = min(a[3], b[3]) - max(a[1], b[1])
        shared = max(wide, 0) * max(high, 0)
        joint = area(a) + area(b) - shared
        return shared / joint if joint > 0 else 0.0

    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: (-values[i], i)):
        if values[i] >= least and all(overlap(boxes[k], boxes[i]) <= iou for k in kept):
            kept.append(i)
    return [i in kept for i in range(len(boxes))]


@given(
    corners=st.lists(st.tuples(*[st.integers(0, 6)] * 4), max_size=8),
    data=st.data(),
    iou=st.sampled_from([0.1, 0.5, 1.0]),
    least=st.sampled_from([0.0, 0.4]),
)
def test_nms_agrees_with_a_plain_loop(
    corners: list[tuple[int, ...]], data: st.DataObject, iou: float, least: float
) -> None:
    values = data.draw(
        st.lists(
            st.sampled_from([0.1, 0.4, 0.5, 0.9]), min_size=len(corners), max_size=len(corners)
        )
    )
    boxes = np.array(corners, np.float64).reshape(1, -1, 4)
    got = nms(boxes, np.array([values], np.float64), iou=iou, min_score=least)
    assert got[0].tolist() == slow_nms(boxes[0].tolist(), values, iou, least)


def test_boxes_and_scores_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(InputError, match="do not belong together"):
        nms(np.zeros((1, 2, 4)), np.zeros((1, 3)), iou=0.5)
