import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgewright.device.drift.mixture import fit_mixture


def mixture_of(rows: np.ndarray, components: int = 3):  # noqa: ANN201 - short for the tests below
    return fit_mixture(rows, components, np.random.default_rng(0))


def slow_density(mixture, row: np.ndarray) -> float:  # noqa: ANN001 - as above
    """The textbook formula, one component after the other."""
    total = 0.0
    parts = [
        (0.98 * math.exp(w), m, v)
        for w, m, v in zip(mixture.log_weight, mixture.mean, mixture.variance, strict=True)
    ]
    for weight, mean, variance in [*parts, (0.02, mixture.centre, mixture.width**2)]:
        density = weight
        for x, m, v in zip(row, mean, variance, strict=True):
            density *= math.exp(-((x - m) ** 2) / (2 * v)) / math.sqrt(2 * math.pi * v)
        total += density
    return math.log(total)


@given(seed=st.integers(0, 1000))
def test_density_agrees_with_the_textbook_formula(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(80, 3)) * [1, 2, 0.5]
    mixture = mixture_of(rows)
    left, right = mixture.columns(np.array([0])), mixture.columns(np.array([1, 2]))
    got = mixture.join(left.of(rows[:5, :1]) + right.of(rows[:5, 1:]))
    for value, row in zip(got, rows, strict=False):
        assert abs(value - slow_density(mixture, row)) < 1e-5


def test_no_row_is_less_likely_than_the_background() -> None:
    mixture = mixture_of(np.random.default_rng(1).normal(size=(200, 2)))
    far = np.array([[30.0, 30.0]])
    everything = mixture.columns(np.arange(2)).of(far)
    assert mixture.join(everything)[0] >= everything[0, -1] + math.log(0.02) - 1e-6


def test_equal_rows_do_not_break_the_fit() -> None:
    mixture = mixture_of(np.ones((50, 2)), components=4)
    assert np.isfinite(mixture.mean).all()
    assert (mixture.variance > 0).all()
