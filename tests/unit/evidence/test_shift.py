"""The comparison of two versions: rarely a false alarm, hardly ever a slow-down that is missed."""

import numpy as np
import pytest

from edgewright.errors import InputError
from edgewright.evidence.intervals import binomial_cdf
from edgewright.evidence.shift import paired_shift

ROUNDS = 110


def rounds(rng: np.random.Generator, *, noise: float, tail: float) -> np.ndarray:
    """Two rows of round figures on a drifting machine, some of them hit by a pause."""
    drift = np.cumsum(rng.normal(0, 0.05, ROUNDS))
    paused = rng.random((2, ROUNDS)) < tail
    return np.exp(
        drift + rng.normal(0, noise, (2, ROUNDS)) + paused * rng.exponential(1.0, (2, ROUNDS))
    )


@pytest.mark.parametrize(("noise", "tail"), [(0.05, 0.0), (0.1, 0.02), (0.1, 0.1)])
def test_equal_versions_are_rarely_accused(noise: float, tail: float) -> None:
    rng = np.random.default_rng(1)
    alarms = sum(
        paired_shift(*rounds(rng, noise=noise, tail=tail)).judgement == "slower"
        for _ in range(1200)
    )
    assert alarms <= 8


@pytest.mark.parametrize(("noise", "tail"), [(0.05, 0.0), (0.1, 0.02), (0.1, 0.1)])
def test_a_ten_percent_slow_down_is_caught(noise: float, tail: float) -> None:
    rng = np.random.default_rng(2)
    found = 0
    for _ in range(300):
        old, new = rounds(rng, noise=noise, tail=tail)
        found += paired_shift(old, new * 1.1).judgement == "slower"
    assert found >= 0.95 * 300


def test_a_machine_with_moods_accuses_no_equal_version_when_a_coin_says_which_comes_first() -> None:
    """One round after another, each near the one before: in a fixed order such moods would add up
    to a difference; with a coin the chance stays what it is said to be.
    """
    rng, alarms = np.random.default_rng(6), 0
    for _ in range(600):
        mood = np.exp(np.cumsum(rng.normal(0.01, 0.1, 80))).reshape(40, 2)
        first = rng.integers(2, size=40)
        old, new = mood[np.arange(40), first], mood[np.arange(40), 1 - first]
        alarms += paired_shift(old, new, false_alarm=0.02).judgement == "slower"
    assert alarms <= binomial_upper(600, 0.02)


def binomial_upper(trials: int, rate: float) -> int:
    """How many are not exceeded but once in a thousand."""
    return next(n for n in range(trials) if binomial_cdf(n, trials, rate) > 0.999)


def test_the_bounds_are_those_of_every_possible_coin() -> None:
    """Ten rounds have 1024 outcomes of the coins: all are tried, and counted."""
    sizes = np.random.default_rng(7).normal(0, 0.1, 10)
    alarms = 0
    for number in range(2**10):
        signs = 1 - 2 * ((number >> np.arange(10)) & 1)
        shift = paired_shift(np.ones(10), np.exp(signs * np.abs(sizes)), false_alarm=1 / 100)
        alarms += shift.judgement == "slower"
    assert 0.005 * 1024 < alarms <= 0.01 * 1024


def test_noisy_rounds_are_unclear_instead_of_fine() -> None:
    old, new = rounds(np.random.default_rng(3), noise=1.0, tail=0.0)
    shift = paired_shift(old, new)
    assert shift.judgement == "unclear"
    assert shift.detectable > 1.1


def test_the_detectable_ratio_is_caught_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    found = 0
    for _ in range(300):
        old, new = rounds(rng, noise=0.15, tail=0.0)
        detectable = paired_shift(old, new).detectable
        found += paired_shift(old, new * detectable).judgement == "slower"
    assert found >= 0.92 * 300


@pytest.mark.parametrize(
    ("old", "new"),
    [([1.0] * 9, [1.0] * 9), ([1.0] * 20, [1.0] * 19), ([1.0] * 20, [0.0] * 20)],
)
def test_rounds_that_cannot_be_compared_are_refused(old: list[float], new: list[float]) -> None:
    with pytest.raises(InputError):
        paired_shift(old, new)


def test_equal_rounds_are_not_slower() -> None:
    shift = paired_shift([1.0] * 20, [1.0] * 20)
    assert (shift.judgement, shift.ratio.value, shift.detectable) == ("not slower", 1.0, 1.0)
