import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgewright.errors import InputError
from edgewright.steps import normalise, resample, resample_at, window

values = st.floats(-100, 100, width=32)
recordings = st.integers(0, 30).flatmap(
    lambda rows: hnp.arrays(np.float64, (rows, 2), elements=values)
)
rates = st.integers(1, 400)


def slow_resample(samples: np.ndarray, from_hz: int, to_hz: int) -> list[list[float]]:
    """Every output sample from exact fractions, one by one."""
    result: list[list[float]] = []
    while len(samples):
        at = Fraction(len(result) * from_hz, to_hz)
        left = math.floor(at)
        if at > len(samples) - 1:
            break
        share = float(at - left)
        right = min(left + 1, len(samples) - 1)
        result.append(
            [
                float(a) * (1 - share) + float(b) * share
                for a, b in zip(samples[left], samples[right], strict=True)
            ]
        )
    return result


@given(samples=recordings, from_hz=rates, to_hz=rates)
def test_resample_agrees_with_exact_fractions(
    samples: np.ndarray, from_hz: int, to_hz: int
) -> None:
    got = resample(samples, from_hz=from_hz, to_hz=to_hz)
    expected = np.array(slow_resample(samples, from_hz, to_hz)).reshape(-1, 2)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


@given(samples=recordings, from_hz=rates, to_hz=rates)
def test_resample_keeps_the_first_sample_and_invents_no_extreme(
    samples: np.ndarray, from_hz: int, to_hz: int
) -> None:
    got = resample(samples, from_hz=from_hz, to_hz=to_hz)
    if len(samples):
        np.testing.assert_array_equal(got[0], samples[0])
        assert (got.max(axis=0) <= samples.max(axis=0) + 1e-9).all()
        assert (got.min(axis=0) >= samples.min(axis=0) - 1e-9).all()


@pytest.mark.parametrize(
    ("dtype", "result"),
    [
        ("float16", "float16"),
        ("float32", "float32"),
        ("float64", "float64"),
        ("int16", "float32"),
        ("uint8", "float32"),
    ],
)
@pytest.mark.parametrize("rows", [0, 1, 2, 5])
def test_float_types_are_kept(dtype: str, result: str, rows: int) -> None:
    samples = np.ones((rows, 2), dtype)
    assert resample(samples, from_hz=50, to_hz=20).dtype == result
    assert resample(samples, from_hz=20, to_hz=20).dtype == result
    assert normalise(samples, mean=(0.0,), std=(2.0,)).dtype == result
    assert window(samples, length=2, hop=1).dtype == dtype


def test_texts_cannot_be_resampled() -> None:
    with pytest.raises(InputError, match="expected numbers"):
        resample(np.array([["a"], ["b"]]), from_hz=2, to_hz=1)


def test_resample_takes_time_and_channels_only() -> None:
    with pytest.raises(InputError, match=r"shape \[3\], expected \[time, channels\]"):
        resample(np.zeros(3), from_hz=2, to_hz=1)


@given(samples=recordings, length=st.integers(1, 8), hop=st.integers(1, 8))
def test_windows_are_slices(samples: np.ndarray, length: int, hop: int) -> None:
    expected = [
        samples[start : start + length]
        for start in range(0, len(samples), hop)
        if start + length <= len(samples)
    ]
    got = window(samples, length=length, hop=hop)
    assert got.shape == (len(expected), length, 2)
    assert got.flags.c_contiguous
    for row, slice_ in zip(got, expected, strict=True):
        np.testing.assert_array_equal(row, slice_)


@given(array=hnp.arrays(np.float32, (2, 3, 4), elements=values), axis=st.integers(-3, 2))
def test_normalise_agrees_with_a_plain_loop(array: np.ndarray, axis: int) -> None:
    size = array.shape[axis]
    mean = tuple(1.5 * (i + 1) for i in range(size))
    std = tuple(0.5 + i for i in range(size))
    got = normalise(array, mean=mean, std=std, axis=axis)
    assert got.dtype == np.float32
    for place in np.ndindex(array.shape):
        i = place[axis]
        assert got[place] == pytest.approx((float(array[place]) - mean[i]) / std[i], abs=1e-4)


def test_normalise_leaves_its_input_alone() -> None:
    array = np.ones((1, 2), np.float32)
    normalise(array, mean=(1.0, 1.0), std=(1.0, 1.0))
    assert array.tolist() == [[1.0, 1.0]]


def test_normalise_of_other_channels_is_refused() -> None:
    with pytest.raises(InputError, match="has 3 channels along axis -1, expected 2"):
        normalise(np.zeros((1, 3)), mean=(0.0, 0.0), std=(1.0, 1.0))


def test_normalise_along_an_absent_axis_is_refused() -> None:
    with pytest.raises(InputError, match="no axis 2"):
        normalise(np.zeros((1, 3)), mean=(0.0,), std=(1.0,), axis=2)


def line(times: np.ndarray) -> np.ndarray:
    """Samples on a straight line, which linear interpolation gives back exactly."""
    return np.stack([times * 3.0 + 1.0, -times], axis=1)


@given(
    steps=st.lists(st.floats(0.001, 0.1), min_size=1, max_size=40),
    start=st.floats(0, 1e6),
    rate_hz=st.sampled_from([10.0, 50.0, 100.0]),
)
def test_jittery_timestamps_of_a_line_give_the_line(
    steps: list[float], start: float, rate_hz: float
) -> None:
    times = start + np.cumsum([0.0, *steps])
    (segment,) = resample_at(line(times), times, rate_hz=rate_hz, max_gap_s=0.2)
    grid = segment.start_s + np.arange(len(segment.samples)) / rate_hz
    np.testing.assert_allclose(segment.samples, line(grid), rtol=1e-6, atol=1e-4)
    assert grid[-1] <= times[-1] + 1e-6
    assert grid[-1] > times[-1] - 1 / rate_hz - 1e-6


def test_a_gap_cuts_and_is_not_filled() -> None:
    times = np.array([0.0, 0.1, 0.2, 1.0, 1.1])
    first, second = resample_at(line(times), times, rate_hz=10, max_gap_s=0.3)
    assert (len(first.samples), len(second.samples)) == (3, 2)
    assert (first.start_s, second.start_s) == (0.0, 1.0)


def test_a_clock_stepping_back_cuts() -> None:
    times = np.array([0.0, 0.1, 0.05, 0.15])
    segments = resample_at(line(times), times, rate_hz=10, max_gap_s=1)
    assert [len(segment.samples) for segment in segments] == [2, 2]


def test_of_equal_timestamps_the_first_counts() -> None:
    samples = np.array([[1.0], [99.0], [3.0]])
    (segment,) = resample_at(samples, np.array([0.0, 0.0, 1.0]), rate_hz=1, max_gap_s=2)
    assert segment.samples.ravel().tolist() == [1.0, 3.0]


def test_one_sample_is_a_segment_and_none_is_no_segment() -> None:
    (segment,) = resample_at(np.ones((1, 2)), np.zeros(1), rate_hz=10, max_gap_s=1)
    assert segment.samples.tolist() == [[1.0, 1.0]]
    assert resample_at(np.ones((0, 2)), np.zeros(0), rate_hz=10, max_gap_s=1) == ()


def test_unusable_times_are_named() -> None:
    with pytest.raises(InputError, match=r"time_s\[1\] is nan"):
        resample_at(np.ones((2, 1)), np.array([0.0, np.nan]), rate_hz=1, max_gap_s=1)
    with pytest.raises(InputError, match=r"2 samples came with times of shape \[3\]"):
        resample_at(np.ones((2, 1)), np.zeros(3), rate_hz=1, max_gap_s=1)
