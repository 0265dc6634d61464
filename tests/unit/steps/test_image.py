import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgewright.errors import InputError
from edgewright.steps import channel_order, crop, resize

sizes = st.integers(1, 7)
images = st.tuples(sizes, sizes).flatmap(
    lambda size: hnp.arrays(np.uint8, (2, *size, 3), elements=st.integers(0, 255))
)


def slow_nearest(image: np.ndarray, height: int, width: int) -> np.ndarray:
    rows = [math.floor(Fraction(2 * i + 1, 2) * image.shape[0] / height) for i in range(height)]
    columns = [math.floor(Fraction(2 * i + 1, 2) * image.shape[1] / width) for i in range(width)]
    return np.array([[image[row, column] for column in columns] for row in rows])


def slow_bilinear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Each pixel as the weighted mean of the four around its centre, in exact fractions."""

    def neighbours(i: int, size: int, wanted: int) -> tuple[int, int, Fraction]:
        at = Fraction(2 * i + 1, 2) * size / wanted - Fraction(1, 2)
        at = min(max(at, Fraction(0)), Fraction(size - 1))
        left = math.floor(at)
        return left, min(left + 1, size - 1), at - left

    result = np.zeros((height, width, image.shape[2]))
    for y in range(height):
        top, bottom, down = neighbours(y, image.shape[0], height)
        for x in range(width):
            left, right, across = neighbours(x, image.shape[1], width)
            for c in range(image.shape[2]):
                pixel = [
                    Fraction(int(image[row, column, c]))
                    for row in (top, bottom)
                    for column in (left, right)
                ]
                upper = pixel[0] * (1 - across) + pixel[1] * across
                lower = pixel[2] * (1 - across) + pixel[3] * across
                result[y, x, c] = float(upper * (1 - down) + lower * down)
    return result


@given(batch=images, height=sizes, width=sizes)
def test_nearest_agrees_with_exact_fractions(batch: np.ndarray, height: int, width: int) -> None:
    got = resize(batch, height=height, width=width, method="nearest")
    expected = np.stack([slow_nearest(image, height, width) for image in batch])
    np.testing.assert_array_equal(got, expected)


@given(batch=images, height=sizes, width=sizes)
def test_bilinear_agrees_with_exact_fractions(batch: np.ndarray, height: int, width: int) -> None:
    expected = np.stack([slow_bilinear(image, height, width) for image in batch])
    got = resize(batch.astype(np.float32), height=height, width=width)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=1e-3)
    rounded = resize(batch, height=height, width=width)
    assert rounded.dtype == np.uint8
    assert np.abs(rounded - expected).max() <= 0.501


@given(batch=images)
def test_the_same_size_changes_nothing(batch: np.ndarray) -> None:
    np.testing.assert_array_equal(resize(batch, height=batch.shape[1], width=batch.shape[2]), batch)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16", "uint8"])
def test_types_are_kept(dtype: str) -> None:
    batch = np.ones((1, 2, 2, 3), dtype)
    assert resize(batch, height=3, width=3).dtype == dtype
    assert resize(batch, height=3, width=3, method="nearest").dtype == dtype
    assert crop(batch, height=1, width=1).dtype == dtype
    assert channel_order(batch, colours="bgr").dtype == dtype


def test_no_rows_stay_no_rows() -> None:
    batch = np.zeros((0, 2, 2, 3), np.uint8)
    assert resize(batch, height=4, width=5).shape == (0, 4, 5, 3)
    assert crop(batch, height=1, width=1).shape == (0, 1, 1, 3)


@given(batch=images, data=st.data())
def test_crop_is_the_middle(batch: np.ndarray, data: st.DataObject) -> None:
    height = data.draw(st.integers(1, batch.shape[1]))
    width = data.draw(st.integers(1, batch.shape[2]))
    got = crop(batch, height=height, width=width)
    assert got.shape == (2, height, width, 3)
    above, left = (batch.shape[1] - height) // 2, (batch.shape[2] - width) // 2
    for y in range(height):
        for x in range(width):
            np.testing.assert_array_equal(got[:, y, x], batch[:, above + y, left + x])


def test_crop_from_a_smaller_image_is_refused() -> None:
    with pytest.raises(InputError, match="is 2 x 3 pixels, expected at least 3 x 3"):
        crop(np.zeros((1, 2, 3, 3)), height=3, width=3)


def test_colours_and_axes_are_moved() -> None:
    image = np.arange(12).reshape(1, 2, 2, 3)
    moved = channel_order(image, colours="bgr", layout="chw")
    assert moved.shape == (1, 3, 2, 2)
    for y in range(2):
        for x in range(2):
            assert moved[0, :, y, x].tolist() == image[0, y, x].tolist()[::-1]
    assert channel_order(image, layout="hwc").tolist() == image.tolist()


def test_bgr_of_other_than_three_colours_is_refused() -> None:
    with pytest.raises(InputError, match="has 4 colours, expected 3"):
        channel_order(np.zeros((1, 2, 2, 4)), colours="bgr")


@pytest.mark.parametrize("shape", [(2, 2, 3), (1, 0, 2, 3)])
def test_what_is_no_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="has shape"):
        resize(np.zeros(shape), height=2, width=2)
