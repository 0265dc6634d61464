from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright._npz import encode_npz
from edgewright.errors import InputError
from edgewright.workbench.improve import pick, read_pool
from edgewright.workbench.improve.picking import doubt_of, probabilities

RNG = np.random.default_rng(0)


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 5))
def test_the_budget_is_kept_and_nothing_is_picked_twice(
    budget: int, samples: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    picks = pick(rng.normal(size=(samples, 3)), rng.normal(size=(samples, 4)), budget)
    indices = [chosen.index for chosen in picks]
    assert len(indices) == min(budget, samples)
    assert len(set(indices)) == len(indices)


def test_the_most_doubtful_sample_goes_first() -> None:
    scores = np.array([[0.99, 0.01], [0.5, 0.5], [0.8, 0.2]])
    assert pick(scores, None, 1)[0].index == 1
    assert [chosen.index for chosen in pick(scores, None, 3)] == [1, 2, 0]


def test_copies_of_one_doubtful_sample_are_picked_once() -> None:
    scores = np.vstack([np.tile([[0.5, 0.5]], (20, 1)), np.tile([[0.6, 0.4]], (5, 1))])
    places = np.vstack([np.zeros((20, 2)), RNG.normal(size=(5, 2)) * 5])
    chosen = [one.index for one in pick(scores, places, 5)]
    assert sum(index < 20 for index in chosen) == 1


def test_logits_and_probabilities_mean_the_same() -> None:
    logits = RNG.normal(size=(10, 4))
    shares = probabilities(logits)
    assert np.allclose(shares.sum(axis=1), 1.0)
    assert np.allclose(probabilities(shares), shares)


@pytest.mark.parametrize("kind", ["margin", "confidence", "entropy"])
def test_doubt_is_highest_where_all_classes_are_equal(kind: str) -> None:
    shares = np.array([[0.5, 0.5], [0.7, 0.3], [1.0, 0.0]])
    doubt = doubt_of(shares, kind)  # type: ignore[arg-type]  # parametrised
    assert doubt[0] > doubt[1] > doubt[2]
    assert doubt[2] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("scores", "embeddings", "budget", "message"),
    [
        (np.ones((3, 2)), None, 0, "budget is 0"),
        (np.ones(3), None, 1, "expected"),
        (np.ones((3, 1)), None, 1, "2 or more classes"),
        (np.full((3, 2), np.nan), None, 1, "NaN"),
        (np.ones((3, 2)), np.ones((2, 2)), 1, "do not pair"),
        (np.ones((3, 2)), np.full((3, 2), np.inf), 1, "embeddings hold NaN"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    scores: np.ndarray, embeddings: np.ndarray | None, budget: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        pick(scores, embeddings, budget)


def test_a_pool_is_read_by_its_names(tmp_path: Path) -> None:
    path = tmp_path / "pool.npz"
    path.write_bytes(encode_npz({"logits": np.ones((2, 3)), "embeddings": np.ones((2, 4))}))
    pool = read_pool(path)
    assert pool.scores.shape == (2, 3)
    assert pool.embeddings is not None
    path.write_bytes(encode_npz({"x": np.ones(3)}))
    with pytest.raises(InputError, match="no array called probabilities or logits"):
        read_pool(path)
