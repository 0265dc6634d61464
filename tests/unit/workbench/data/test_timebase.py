from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.errors import InputError
from edgewright.workbench.data import Dataset, Recording, at_rate
from edgewright.workbench.data.timebase import even_recordings, median_rate_hz, stretches


def ramp(times: np.ndarray, rate_hz: float = 50.0) -> Recording:
    """Samples that equal their own time, so that interpolation can be checked exactly."""
    samples = np.stack([times, -times], axis=1).astype(np.float32)
    return Recording(samples, np.zeros(len(times), np.int16), "1", "r", rate_hz)


def test_jitter_is_interpolated_to_the_even_grid() -> None:
    rng = np.random.default_rng(0)
    times = np.arange(200) / 50 + rng.uniform(-0.004, 0.004, 200)
    (even,), notes = even_recordings(ramp(times), times, max_gap_s=0.25)
    expected = times[0] + np.arange(len(even)) / 50
    assert np.allclose(even.samples[:, 0], expected, atol=1e-5)
    assert notes == []


def test_a_hole_and_a_backward_clock_split_and_every_sample_stays() -> None:
    times = np.concatenate([np.arange(50), 100 + np.arange(50), 20 + np.arange(50)]) / 50
    parts, notes = even_recordings(ramp(times), times, max_gap_s=0.25)
    assert [len(part) for part in parts] == [50, 50, 50]
    assert [part.name for part in parts] == ["r#0", "r#1", "r#2"]
    assert any("ran backwards" in note for note in notes)
    assert any("hole over 0.25 s" in note for note in notes)


def test_labels_follow_the_nearest_sample() -> None:
    times = np.arange(100) / 100
    recording = replace(ramp(times), label=(times >= 0.5).astype(np.int16))
    (even,), _ = even_recordings(recording, times, max_gap_s=1.0)
    at = np.arange(len(even)) / 50
    assert even.label.tolist() == (at >= 0.495).astype(int).tolist()


def test_the_rate_is_the_one_the_clock_keeps_most_of_the_time() -> None:
    times = np.concatenate([np.arange(100) / 50, 9 + np.arange(3) / 10])
    assert median_rate_hz(np.diff(times), source="x") == 50.0


def test_a_clock_that_stands_still_is_refused() -> None:
    with pytest.raises(InputError, match="never moves forward"):
        median_rate_hz(np.zeros(4), source="x.csv")


def test_a_single_sample_makes_no_trouble() -> None:
    (even,), notes = even_recordings(ramp(np.array([3.0])), np.array([3.0]), max_gap_s=0.2)
    assert len(even) == 1
    assert notes == []


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_stretches_cover_every_sample_once_and_run_forward(times: list[float]) -> None:
    array = np.array(times)
    parts = stretches(array, max_gap_s=1.0)
    covered = np.concatenate([np.arange(len(array))[part] for part in parts])
    assert covered.tolist() == list(range(len(array)))
    for part in parts:
        assert (np.diff(array[part]) >= 0).all()


def test_another_rate_keeps_the_length_in_seconds(dataset: Dataset) -> None:
    slower = at_rate(dataset, 25.0)
    assert slower.rate_hz == 25.0
    for before, after in zip(dataset.recordings, slower.recordings, strict=True):
        assert abs(before.seconds - after.seconds) <= 1 / 25
        assert set(after.label.tolist()) == set(before.label.tolist())
    assert at_rate(dataset, 50.0) is dataset


@pytest.mark.parametrize("rate_hz", [0.0, -5.0, 1e9])
def test_a_rate_that_says_nothing_is_refused(dataset: Dataset, rate_hz: float) -> None:
    with pytest.raises(InputError, match="above 0 and at most 100 times its own 50 Hz"):
        at_rate(dataset, rate_hz)
