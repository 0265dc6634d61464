"""Sequential tests keep their error rates although they are looked at after every request."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.evidence import RateContest, RateWatch, Sprt, log_rate_evidence


def first_alarm(watch: RateWatch, events: np.ndarray) -> int | None:
    totals = np.cumsum(events)
    for trials, total in enumerate(totals, start=1):
        if watch.judge(events=int(total), trials=trials) == "bad":
            return trials
    return None


def test_rate_watch_rarely_accuses_a_rate_at_its_limit() -> None:
    rng = np.random.default_rng(1)
    watch = RateWatch(limit_rate=0.05, false_alarm=0.05)
    alarms = sum(first_alarm(watch, rng.random(400) < 0.05) is not None for _ in range(100))
    assert alarms <= 0.05 * 100


def test_rate_watch_notices_a_doubled_rate() -> None:
    rng = np.random.default_rng(2)
    watch = RateWatch(limit_rate=0.05)
    found = [first_alarm(watch, rng.random(1500) < 0.12) for _ in range(30)]
    assert all(found)


def test_rate_watch_alarms_at_the_first_event_when_none_is_allowed() -> None:
    assert RateWatch(limit_rate=0.0).judge(events=1, trials=1_000_000) == "bad"
    assert RateWatch(limit_rate=0.0).judge(events=0, trials=1_000_000) == "unclear"


def test_sprt_keeps_both_error_rates() -> None:
    rng = np.random.default_rng(3)
    test = Sprt(good_rate=0.02, bad_rate=0.08, false_alarm=0.05, miss=0.05)
    wrong = {"good": 0, "bad": 0}
    for rate, right in ((0.02, "good"), (0.08, "bad")):
        for _ in range(100):
            totals = np.cumsum(rng.random(3000) < rate)
            said = next(
                judged
                for trials, total in enumerate(totals, start=1)
                if (judged := test.judge(events=int(total), trials=trials)) != "unclear"
            )
            wrong[right] += said != right
    assert max(wrong.values()) <= 12


def test_contest_tells_a_worse_version_and_spares_an_equal_one() -> None:
    contest = RateContest(worst_ratio=1.3)
    equal = contest.judge(old_events=100, old_trials=9000, new_events=12, new_trials=1000)
    worse = contest.judge(old_events=100, old_trials=9000, new_events=40, new_trials=1000)
    assert (equal, worse) == ("unclear", "bad")
    assert contest.judge(old_events=0, old_trials=0, new_events=9, new_trials=9) == "unclear"


@given(st.integers(1, 500), st.integers(0, 499), st.floats(0.001, 0.9))
def test_more_events_are_more_evidence(trials: int, events: int, limit: float) -> None:
    fewer = min(events, trials - 1)
    less = log_rate_evidence(fewer, trials, limit)
    more = log_rate_evidence(fewer + 1, trials, limit)
    assert math.isfinite(less)
    assert more > less


def test_impossible_totals_and_rates_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be"):
        RateWatch(limit_rate=0.1).judge(events=2, trials=1)
    with pytest.raises(ValueError, match="good_rate"):
        Sprt(good_rate=0.5, bad_rate=0.1)
