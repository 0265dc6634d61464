import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.device.streams.base import Samples
from edgewright.device.streams.resampler import Resampler, Stretch
from edgewright.steps import resample_at

RATE_HZ = 20.0
MAX_GAP_S = 0.25


def joined(stretches: list[Stretch]) -> list[tuple[float, np.ndarray]]:
    """Stretches that continue each other as one."""
    result: list[tuple[float, list[np.ndarray]]] = []
    for stretch in stretches:
        if stretch.is_new:
            result.append((stretch.start_s, []))
        else:
            given = sum(len(part) for part in result[-1][1])
            assert stretch.start_s == pytest.approx(result[-1][0] + given / RATE_HZ, abs=1e-6)
        result[-1][1].append(stretch.samples)
    return [(start_s, np.concatenate(parts)) for start_s, parts in result]


def pushed(times: np.ndarray, values: np.ndarray, cuts: list[int]) -> list[Stretch]:
    resampler = Resampler(rate_hz=RATE_HZ, max_gap_s=MAX_GAP_S)
    stretches: list[Stretch] = []
    bounds = [0, *sorted(cut % (len(times) + 1) for cut in cuts), len(times)]
    for start, stop in itertools.pairwise(bounds):
        part = slice(start, stop)
        stretches += resampler.push(Samples(time_s=times[part], values=values[part]))
    return stretches


steps_s = st.one_of(
    st.floats(0.001, 0.2), st.sampled_from([0.0, 0.05, 0.25, 0.3, 5.0, -0.02, -3.0])
)


@given(
    steps=st.lists(steps_s, max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=8),
    start=st.sampled_from([0.0, 1.7e9]),
)
def test_any_chunks_give_what_the_whole_recording_gives(
    steps: list[float], cuts: list[int], start: float
) -> None:
    times = start + np.cumsum([0.0, *steps])
    values = np.stack([np.sin(np.arange(len(times))), np.arange(len(times)) % 7], axis=1)
    expected = resample_at(values, times, rate_hz=RATE_HZ, max_gap_s=MAX_GAP_S)
    got = joined(pushed(times, values, cuts))
    assert [round(start_s - start, 4) for start_s, _ in got] == [
        round(segment.start_s - start, 4) for segment in expected
    ]
    for (_, samples), segment in zip(got, expected, strict=True):
        assert samples.shape == segment.samples.shape
        np.testing.assert_allclose(samples, segment.samples, atol=1e-5)


def test_what_was_not_measured_is_counted_and_not_bridged_beyond_the_gap() -> None:
    times = np.arange(8) * 0.1
    values = np.ones((8, 1))
    values[3:6] = np.nan
    resampler = Resampler(rate_hz=10, max_gap_s=0.3)
    stretches = resampler.push(Samples(time_s=times, values=values))
    assert [len(stretch.samples) for stretch in stretches] == [3, 2]
    assert (resampler.counts.not_finite, resampler.counts.gaps) == (3, 1)


def test_repeated_and_backward_times_are_counted() -> None:
    resampler = Resampler(rate_hz=10, max_gap_s=1)
    times = np.array([0.0, 0.1, 0.1, 0.05, 0.15])
    resampler.push(Samples(time_s=times, values=np.zeros((5, 1))))
    assert (resampler.counts.repeated, resampler.counts.steps_back) == (1, 1)


def test_a_chunk_of_nothing_usable_changes_nothing() -> None:
    resampler = Resampler(rate_hz=10, max_gap_s=1)
    assert resampler.push(Samples(time_s=np.array([np.nan]), values=np.zeros((1, 2)))) == []
    assert resampler.push(Samples(time_s=np.zeros(0), values=np.zeros((0, 2)))) == []
