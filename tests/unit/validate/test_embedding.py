"""Embeddings that lost their input are seen, sound ones are not accused."""

import numpy as np
import pytest

from edgewright.validate.embedding import embedding_sanity

RNG = np.random.default_rng(0)


def answers(vectors: np.ndarray) -> list[dict[str, np.ndarray]]:
    return [{"z": row[None].astype(np.float32)} for row in vectors]


def test_a_sound_embedding_is_described_and_not_accused() -> None:
    sanity = embedding_sanity(answers(RNG.normal(size=(20, 64))))
    assert (sanity.output, sanity.answers, sanity.width, sanity.fault) == ("z", 20, 64, "")
    assert 4 < sanity.norm_low < 8 < sanity.norm_high < 12
    assert abs(sanity.cosine) < 0.1
    assert sanity.dead_share == 0


def test_mean_cosine_is_that_of_all_pairs() -> None:
    vectors = RNG.normal(size=(7, 9)) + 1
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = (unit @ unit.T)[~np.eye(7, dtype=bool)]
    assert embedding_sanity(answers(vectors)).cosine == pytest.approx(pairs.mean(), abs=1e-6)


@pytest.mark.parametrize(
    ("vectors", "word"),
    [
        (np.ones((5, 16)), "same answer"),
        (np.ones((5, 16)) + RNG.normal(size=(5, 16)) * 1e-5, "collapsed"),
        (np.vstack([np.zeros(16), RNG.normal(size=(4, 16))]), "1 of 5 answers are all zero"),
    ],
)
def test_a_lost_input_is_a_fault(vectors: np.ndarray, word: str) -> None:
    assert word in embedding_sanity(answers(vectors)).fault


def test_dimensions_that_never_change_are_counted() -> None:
    vectors = RNG.normal(size=(10, 16))
    vectors[:, :4] = 0.5
    assert embedding_sanity(answers(vectors)).dead_share == 0.25


@pytest.mark.parametrize(
    "vectors",
    [
        np.repeat(np.eye(10)[:1], 6, axis=0) * 0.9999999 + RNG.random((6, 10)) * 1e-9,
        RNG.normal(size=(3, 64)),
        RNG.normal(size=(9, 2)),
    ],
)
def test_sure_classifiers_few_answers_and_narrow_outputs_are_left_alone(
    vectors: np.ndarray,
) -> None:
    assert embedding_sanity(answers(vectors)).fault == ""
