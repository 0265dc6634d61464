import numpy as np
import pytest

from edgewright.device.serve.motifs import (
    Learning,
    decode_motifs,
    encode_motifs,
    learn_motifs,
    nearest_motifs,
)
from edgewright.device.serve.synchrony import lagged_correlation
from edgewright.errors import InputError


def blobs(count: int, *, size: int = 80) -> np.ndarray:
    rng = np.random.default_rng(count)
    centres = rng.uniform(-20, 20, (count, 5))
    return np.concatenate([rng.normal(centre, 0.2, (size, 5)) for centre in centres])


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_prototypes_are_the_centres_of_what_was_seen(count: int) -> None:
    points = blobs(count)
    motifs = learn_motifs(points, Learning(count=count))
    means = np.array([points[at : at + 80].mean(axis=0) for at in range(0, len(points), 80)])
    places, distances = nearest_motifs(motifs, means)
    assert sorted(places.tolist()) == list(range(count))
    assert distances.max() < 1e-5
    assert motifs.windows.tolist() == [80] * count


def test_the_same_seed_learns_the_same_and_a_file_keeps_it() -> None:
    points = np.random.default_rng(1).normal(size=(200, 8))
    first = learn_motifs(points, Learning(count=7, identity="m"))
    content = encode_motifs(learn_motifs(points, Learning(count=7, identity="m")))
    again = decode_motifs(content, source="m.npz")
    np.testing.assert_array_equal(first.prototypes, again.prototypes)
    assert (again.output, again.identity, len(again)) == ("embedding", "m", 7)


def test_nearly_all_windows_that_were_learnt_from_are_of_a_motif() -> None:
    points = np.random.default_rng(2).normal(size=(1000, 4))
    places, _ = nearest_motifs(learn_motifs(points, Learning(count=6)), points)
    assert 0.98 <= (places >= 0).mean() < 1.0


@pytest.mark.parametrize(
    ("points", "count", "words"),
    [
        (np.zeros((50, 3)), 2, "2 motifs of 1 different windows"),
        (np.full((9, 3), np.nan), 2, "are not finite"),
        (np.zeros(3), 1, "are not finite rows"),
    ],
)
def test_too_little_to_learn_from_is_refused(points: np.ndarray, count: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        learn_motifs(points, Learning(count=count))


def test_another_file_is_no_file_of_motifs() -> None:
    with pytest.raises(InputError, match="not an npz"):
        decode_motifs(b"{}", source="x.npz")


@pytest.mark.parametrize("lag", [-30, -1, 0, 7, 40])
def test_a_lag_is_found_in_noise_either_way(lag: int) -> None:
    rng = np.random.default_rng(abs(lag))
    noise = rng.normal(size=700)
    first, second = noise[100:600], noise[100 - lag : 600 - lag] + rng.normal(0, 0.3, 500)
    found = lagged_correlation(first, second, most_lag=50)
    assert found is not None
    assert found.lag == lag
    assert 0.9 < found.coefficient < 1.0


def test_unrelated_noise_is_hardly_correlated() -> None:
    rng = np.random.default_rng(5)
    found = lagged_correlation(rng.normal(size=2000), rng.normal(size=2000), most_lag=50)
    assert found is not None
    assert abs(found.coefficient) < 0.12
