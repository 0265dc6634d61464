"""Intervals keep the coverage they promise, and say so when the samples cannot."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgewright.errors import InputError
from edgewright.evidence.intervals import (
    binomial_cdf,
    bootstrap_interval,
    design_effect,
    median_interval,
    paired_bootstrap_drop,
    quantile_interval,
    rate_interval,
    samples_for_quantile,
    student_quantile,
    sums_interval,
)


@pytest.mark.parametrize(("q", "count"), [(0.5, 30), (0.9, 200), (0.95, 400), (0.99, 1000)])
def test_quantile_interval_covers_the_truth_as_often_as_promised(q: float, count: int) -> None:
    rng = np.random.default_rng(count)
    truth = -math.log(1 - q)
    hits = 0
    for _ in range(600):
        interval = quantile_interval(rng.exponential(size=count), q)
        assert interval.low is not None
        assert interval.high is not None
        hits += interval.low <= truth <= interval.high
    assert hits >= 0.93 * 600


def test_quantile_interval_has_no_bound_where_samples_end() -> None:
    assert quantile_interval(range(50), 0.99).high is None
    assert quantile_interval(range(3), 0.5).low is None


@pytest.mark.parametrize("q", [0.5, 0.9, 0.95, 0.99])
def test_samples_for_quantile_is_the_least_that_bounds_it(q: float) -> None:
    enough = samples_for_quantile(q)
    assert quantile_interval(np.arange(enough), q).is_bounded
    assert not quantile_interval(np.arange(enough - 1), q).is_bounded


def test_dependent_samples_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    samples = np.repeat(rng.exponential(size=100), 50)
    effect = design_effect(samples, 0.9)
    wide = quantile_interval(samples, 0.9, design_effect=effect)
    narrow = quantile_interval(samples, 0.9)
    assert effect > 10
    assert wide.low is not None
    assert narrow.low is not None
    assert wide.low < narrow.low


def test_no_samples_and_nan_are_refused() -> None:
    with pytest.raises(InputError, match="no samples"):
        quantile_interval([], 0.5)
    with pytest.raises(InputError, match="1 of 2 samples are NaN"):
        quantile_interval([1.0, math.nan], 0.5)


def test_infinite_latencies_are_order_statistics_like_others() -> None:
    assert quantile_interval([1.0] * 90 + [math.inf] * 10, 0.95).value == math.inf


def test_rate_interval_is_clopper_pearson() -> None:
    interval = rate_interval(5, 100)
    assert interval.low == pytest.approx(0.01643, abs=1e-5)
    assert interval.high == pytest.approx(0.11283, abs=1e-5)
    assert rate_interval(100, 100).high == 1.0
    with pytest.raises(InputError):
        rate_interval(0, 0)


@given(st.integers(1, 300), st.floats(0.001, 0.999), st.integers(-1, 301))
def test_binomial_cdf_agrees_with_the_plain_sum(trials: int, rate: float, events: int) -> None:
    plain = sum(
        math.comb(trials, k) * rate**k * (1 - rate) ** (trials - k)
        for k in range(min(events, trials) + 1)
    )
    assert binomial_cdf(events, trials, rate) == pytest.approx(plain, abs=1e-9)


def test_binomial_cdf_holds_for_millions_of_trials() -> None:
    assert binomial_cdf(4_750_000, 5_000_000, 0.95) == pytest.approx(0.5, abs=0.001)


@pytest.mark.parametrize(
    ("freedom", "expected"), [(1, 12.706), (2, 4.3027), (3, 3.182), (5, 2.571), (30, 2.0423)]
)
def test_student_quantile_agrees_with_the_tables(freedom: int, expected: float) -> None:
    assert student_quantile(0.975, freedom) == pytest.approx(expected, rel=0.01)
    assert student_quantile(0.025, freedom) == pytest.approx(-expected, rel=0.01)


def test_paired_drop_covers_the_truth_for_few_groups() -> None:
    rng = np.random.default_rng(11)
    groups = np.repeat(np.arange(10), 40)
    hits = 0
    for _ in range(200):
        per_group = rng.normal(0.02, 0.03, 10)[groups]
        drop = rng.random(400) < np.clip(per_group + 0.05, 0, 1)
        rise = rng.random(400) < 0.05
        reference, candidate = drop.astype(float), rise.astype(float)
        interval = paired_bootstrap_drop(
            reference, candidate, groups=groups, rng=rng, rounds=600, sides="upper"
        )
        assert interval.low is None
        assert interval.high is not None
        hits += interval.high >= 0.02
    assert hits >= 0.91 * 200


def test_paired_drop_of_equal_scores_is_a_point_at_zero() -> None:
    interval = paired_bootstrap_drop([1, 0, 1], [1, 0, 1], rng=np.random.default_rng(0))
    assert (interval.low, interval.value, interval.high) == (0.0, 0.0, 0.0)


def test_paired_drop_refuses_what_does_not_pair() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="do not pair"):
        paired_bootstrap_drop([1, 0], [1], rng=rng)
    with pytest.raises(InputError, match="1 sample or group"):
        paired_bootstrap_drop([1, 0], [1, 0], groups=["a", "a"], rng=rng)
    with pytest.raises(InputError, match="group names"):
        paired_bootstrap_drop([1, 0], [1, 0], groups=["a"], rng=rng)


@pytest.mark.parametrize("count", [2, 7, 300])
def test_medians_drawn_at_once_are_those_drawn_one_by_one(count: int) -> None:
    values = np.random.default_rng(count).lognormal(size=count)
    one_by_one = bootstrap_interval(
        values, statistic=lambda drawn: float(np.median(drawn)), rng=np.random.default_rng(3)
    )
    assert median_interval(values, rng=np.random.default_rng(3)) == one_by_one


def test_bootstrap_interval_covers_a_ratio_of_quantiles() -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(100):
        interval = bootstrap_interval(
            rng.exponential(size=200),
            statistic=lambda drawn: float(np.quantile(drawn, 0.9) / np.median(drawn)),
            rng=rng,
            rounds=100,
        )
        assert interval.low is not None
        assert interval.high is not None
        hits += interval.low < math.log(10) / math.log(2) < interval.high
    assert hits >= 88


@pytest.mark.parametrize("groups", [None, np.repeat(np.arange(12), 5)])
def test_drawn_sums_give_the_interval_of_the_bootstrap(groups: NDArray[Any] | None) -> None:
    rows = np.random.default_rng(3).gamma(2.0, size=(60, 2))

    def ratio(drawn: NDArray[np.float64]) -> float:
        picked = rows[drawn.astype(int)].sum(axis=0)
        return float(np.sqrt(picked[0] / picked[1]))

    slow = bootstrap_interval(
        np.arange(60), statistic=ratio, groups=groups, rng=np.random.default_rng(0)
    )
    fast = sums_interval(
        rows,
        statistic=lambda sums, counts: np.sqrt(sums[:, 0] / sums[:, 1]) * counts / counts,
        groups=groups,
        rng=np.random.default_rng(0),
    )
    assert fast.value == pytest.approx(slow.value, rel=1e-12)
    assert (fast.low, fast.high) == pytest.approx((slow.low, slow.high), rel=1e-12)
