import numpy as np
import pytest

from edgewright.workbench.optimize.bound import drop_of, least_upper
from edgewright.workbench.verify import Accuracy, RelativeRmse


def right(rows: int, wrong: int = 0) -> np.ndarray:
    scores = np.ones((rows, 1))
    scores[:wrong] = 0
    return scores


def bound(reference: np.ndarray, candidate: np.ndarray, groups: np.ndarray | None = None) -> float:
    rng = np.random.default_rng(0)
    return drop_of(Accuracy(), reference, candidate, groups=groups, rng=rng).upper


def test_equal_answers_prove_more_the_more_of_them_there_are() -> None:
    bounds = [bound(right(rows), right(rows)) for rows in (100, 400, 1600)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] > 1.0
    assert bounds[2] < 0.2
    assert bounds[2] == pytest.approx(least_upper(1600))


def test_the_bound_is_above_the_drop_itself() -> None:
    rng = np.random.default_rng(0)
    drop = drop_of(Accuracy(), right(500), right(500, wrong=10), groups=None, rng=rng)
    assert drop.value == pytest.approx(2.0)
    assert 2.5 < drop.upper < 4.5


def test_a_drop_in_one_group_widens_the_bound_over_groups() -> None:
    groups = np.repeat(np.arange(8), 100)
    candidate = right(800)
    candidate[:60] = 0
    assert bound(right(800), candidate, groups) > bound(right(800), candidate) * 1.5


def test_the_bound_holds_in_95_of_100_worlds() -> None:
    world = np.random.default_rng(1)
    held = 0
    for _ in range(120):
        lost = world.random(400) < 0.02
        won = world.random(400) < 0.01
        reference, candidate = right(400), right(400)
        reference[won & ~lost] = 0
        candidate[lost & ~won] = 0
        held += bound(reference, candidate) >= 1.0
    assert held >= 108


def test_a_metric_that_is_no_mean_of_samples_is_bounded_by_drawing_samples() -> None:
    rng = np.random.default_rng(0)
    errors = np.square(rng.normal(size=(300, 1)))
    metric = RelativeRmse(std=2.0)
    same = drop_of(metric, errors, errors, groups=None, rng=rng)
    assert (same.value, same.upper) == (0.0, 0.0)
    worse = drop_of(metric, errors, errors * 1.21, groups=None, rng=rng)
    assert worse.value == pytest.approx(0.1 * np.sqrt(errors.mean()) / 2 * 100, rel=1e-6)
    assert worse.value < worse.upper < worse.value * 1.3
