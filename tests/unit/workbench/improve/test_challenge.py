import numpy as np
import pytest

from edgewright.errors import InputError
from edgewright.workbench.improve import challenge

GROUPS = np.repeat(np.array([f"p{n}" for n in range(10)]), 40)


def hits(share: float, *, seed: int = 0) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return (np.random.default_rng(seed).random(len(GROUPS)) < share).astype(np.float64)


def test_one_that_is_right_where_the_champion_was_wrong_is_better() -> None:
    champion = hits(0.8)
    found = challenge(champion, np.maximum(champion, hits(0.7, seed=1)), GROUPS, max_drop=0.5)
    assert found.outcome == "better"
    assert found.is_accepted
    assert found.gain.value == pytest.approx(found.challenger - found.champion)


def test_one_that_forgot_is_worse() -> None:
    champion = hits(0.9)
    found = challenge(champion, champion * hits(0.8, seed=1), GROUPS, max_drop=0.5)
    assert found.outcome == "worse"
    assert not found.is_accepted


def test_a_small_loss_that_could_be_more_is_not_accepted() -> None:
    champion = np.ones(len(GROUPS))
    challenger = champion.copy()
    challenger[[0, 1, 2]] = 0.0
    found = challenge(champion, challenger, GROUPS, max_drop=0.5)
    assert found.outcome == "undecided"
    assert not found.is_accepted
    assert challenge(champion, challenger, GROUPS, max_drop=5.0).outcome == "no worse"


def test_every_earlier_look_at_the_test_widens_the_interval() -> None:
    champion, challenger = hits(0.8), hits(0.85, seed=2)
    first = challenge(champion, challenger, GROUPS, max_drop=0.5)
    tenth = challenge(champion, challenger, GROUPS, max_drop=0.5, earlier_looks=9)
    assert first.gain.low is not None
    assert tenth.gain.low is not None
    assert tenth.gain.low < first.gain.low
    assert tenth.gain.confidence == pytest.approx(0.995)


def test_one_person_is_no_test() -> None:
    with pytest.raises(InputError):
        challenge(np.ones(9), np.ones(9), np.array(["a"] * 9), max_drop=0.5)
