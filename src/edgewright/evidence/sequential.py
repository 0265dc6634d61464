"""Tests that may be looked at after every request and still keep their promised error rates.

All take running totals, so a caller stores two counters and nothing else. A latency limit becomes a
rate: count the answers slower than the limit, of which at most 5 % may be (that is what p95 says).
"""

import math
from typing import Literal

import msgspec

Judgement = Literal["good", "bad", "unclear"]

_ODDS_STEPS = 24
_ODDS_LARGEST = 1000.0
_ODDS_SMALLEST = 1.15


class Sprt(msgspec.Struct, frozen=True, kw_only=True):
    """Wald's sequential probability ratio test between two rates of events (errors, slow answers).

    >>> test = Sprt(good_rate=0.001, bad_rate=0.05)
    >>> test.judge(events=0, trials=20), test.judge(events=0, trials=120)
    ('unclear', 'good')
    >>> test.judge(events=2, trials=10)
    'bad'
    """

    good_rate: float
    bad_rate: float
    false_alarm: float = 0.01
    miss: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.good_rate < self.bad_rate < 1:
            raise ValueError(
                f"sprt: 0 < good_rate < bad_rate < 1 must hold, got {self.good_rate:g} "
                f"and {self.bad_rate:g}"
            )

    def judge(self, *, events: int, trials: int) -> Judgement:
        """What the totals so far say."""
        _check_totals(events, trials)
        score = _log_ratio(events, trials, self.good_rate, self.bad_rate)
        if score >= math.log((1 - self.miss) / self.false_alarm):
            return "bad"
        if score <= math.log(self.miss / (1 - self.false_alarm)):
            return "good"
        return "unclear"


class RateWatch(msgspec.Struct, frozen=True, kw_only=True):
    """Raises the alarm when a rate is above `limit_rate`, however far above and whenever it began
    to be; a rate at or below the limit is accused with probability `false_alarm` at most, over the
    whole watch and not per look (a mixture of likelihood ratios, by Ville's inequality).

    >>> watch = RateWatch(limit_rate=0.01)
    >>> watch.judge(events=1, trials=100), watch.judge(events=9, trials=100)
    ('unclear', 'bad')
    """

    limit_rate: float
    false_alarm: float = 0.01

    def judge(self, *, events: int, trials: int) -> Judgement:
        """What the totals so far say; never "good": a watch ends by itself only in alarm."""
        is_bad = log_rate_evidence(events, trials, self.limit_rate) >= -math.log(self.false_alarm)
        return "bad" if is_bad else "unclear"


class RateContest(msgspec.Struct, frozen=True, kw_only=True):
    """A new version against the old one while both take traffic in a steady ratio: is the new one's
    rate of events more than `worst_ratio` times the old one's?

    Each event is a coin that says which side it came from, so the base rate need not be known.

    >>> contest = RateContest()
    >>> contest.judge(old_events=5, old_trials=1000, new_events=6, new_trials=1000)
    'unclear'
    >>> contest.judge(old_events=5, old_trials=1000, new_events=30, new_trials=1000)
    'bad'
    """

    worst_ratio: float = 1.0
    false_alarm: float = 0.01

    def judge(
        self, *, old_events: int, old_trials: int, new_events: int, new_trials: int
    ) -> Judgement:
        """What the totals so far say about the new version."""
        _check_totals(old_events, old_trials)
        _check_totals(new_events, new_trials)
        weight = self.worst_ratio * new_trials
        if weight == 0 or old_trials == 0:
            return "unclear"
        share = weight / (weight + old_trials)
        score = log_rate_evidence(new_events, old_events + new_events, share)
        return "bad" if score >= -math.log(self.false_alarm) else "unclear"


def log_rate_evidence(events: int, trials: int, limit_rate: float) -> float:
    """The natural logarithm of an e-value against "the rate is at most `limit_rate`".

    Under that hypothesis exp of it is a test supermartingale, so it ever reaches 1/a with
    probability a at most.
    """
    _check_totals(events, trials)
    if limit_rate <= 0:
        return math.inf if events else 0.0
    if limit_rate >= 1:
        return 0.0
    odds = limit_rate / (1 - limit_rate)
    scores = []
    for step in range(_ODDS_STEPS):
        factor = _ODDS_SMALLEST * (_ODDS_LARGEST / _ODDS_SMALLEST) ** (step / (_ODDS_STEPS - 1))
        rate = odds * factor / (1 + odds * factor)
        scores.append(_log_ratio(events, trials, limit_rate, rate))
    largest = max(scores)
    return largest + math.log(sum(math.exp(score - largest) for score in scores) / len(scores))


def _log_ratio(events: int, trials: int, null_rate: float, other_rate: float) -> float:
    return events * math.log(other_rate / null_rate) + (trials - events) * (
        math.log1p(-other_rate) - math.log1p(-null_rate)
    )


def _check_totals(events: int, trials: int) -> None:
    if not 0 <= events <= trials:
        raise ValueError(f"{events} events in {trials} trials cannot be")
