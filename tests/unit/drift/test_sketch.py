import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.device.drift.sketch import ChannelSketch, channel_edges, shift_of

REFERENCE = np.random.default_rng(0).normal(size=(4000, 2)) * [1.0, 5.0]
EDGES = channel_edges(REFERENCE)


@given(cuts=st.lists(st.integers(0, 1000), max_size=5), seed=st.integers(0, 99))
def test_any_chunks_give_the_moments_of_the_whole(cuts: list[int], seed: int) -> None:
    samples = np.random.default_rng(seed).normal(3.0, 2.0, (1000, 2))
    sketch = ChannelSketch.empty(EDGES)
    for part in np.split(samples, sorted(cuts)):
        sketch = sketch.add(part)
    assert sketch.count == 1000
    assert sketch.counts.sum(axis=1).tolist() == [1000, 1000]
    np.testing.assert_allclose(sketch.mean, samples.mean(axis=0))
    np.testing.assert_allclose(sketch.std, samples.std(axis=0))


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_quantiles_are_exact_to_one_bin(share: float) -> None:
    sketch = ChannelSketch.empty(EDGES).add(REFERENCE)
    below = (sketch.quantile(share) > REFERENCE).mean(axis=0)
    assert np.abs(below - share).max() <= 1 / 64


def test_a_shift_is_seen_and_sameness_is_not() -> None:
    reference = ChannelSketch.empty(EDGES).add(REFERENCE)
    same = ChannelSketch.empty(EDGES).add(np.random.default_rng(1).normal(size=(4000, 2)) * [1, 5])
    moved = ChannelSketch.empty(EDGES).add(REFERENCE + np.array([1.0, 0.0]))
    assert shift_of(reference, same).max() < 0.1
    assert shift_of(reference, moved)[0] > 0.25
    assert shift_of(reference, moved)[1] < 0.1
