import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgewright.device.streams.resampler import Stretch
from edgewright.device.streams.ring import Ring
from edgewright.steps import window


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=8),
    length=st.integers(1, 12),
    hop=st.integers(1, 20),
)
def test_any_chunks_give_the_windows_of_the_whole(sizes: list[int], length: int, hop: int) -> None:
    samples = np.arange(sum(sizes) * 2.0).reshape(-1, 2)
    ring = Ring(length=length, hop=hop, channels=2, rate_hz=10)
    got, at = [], 0
    for size in sizes:
        stretch = Stretch(is_new=at == 0, start_s=100 + at / 10, samples=samples[at : at + size])
        got += ring.push(stretch)
        at += size
    expected = window(samples, length=length, hop=hop)
    assert len(got) == len(expected)
    for index, (have, want) in enumerate(zip(got, expected, strict=True)):
        np.testing.assert_array_equal(have.values, want)
        np.testing.assert_allclose(have.start_s, 100 + index * hop / 10)
        np.testing.assert_allclose(have.end_s - have.start_s, (length - 1) / 10)


def test_no_window_spans_a_gap() -> None:
    ring = Ring(length=4, hop=1, channels=1, rate_hz=10)
    before = Stretch(is_new=True, start_s=0.0, samples=np.zeros((3, 1)))
    after = Stretch(is_new=True, start_s=9.0, samples=np.ones((4, 1)))
    assert ring.push(before) == []
    (only,) = ring.push(after)
    assert only.values.min() == 1
    assert only.start_s == 9.0
    assert ring.flushed == 1


def test_a_window_is_not_changed_by_later_samples() -> None:
    ring = Ring(length=2, hop=1, channels=1, rate_hz=10)
    (first,) = ring.push(Stretch(is_new=True, start_s=0, samples=np.zeros((2, 1))))
    ring.push(Stretch(is_new=False, start_s=0.2, samples=np.ones((2, 1))))
    assert first.values.ravel().tolist() == [0, 0]
