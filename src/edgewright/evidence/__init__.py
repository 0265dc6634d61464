"""Statistics that a claim stands on, and the values a claim is made of: intervals, sequential
tests, parity, gates and verdicts. One implementation for optimise, probe, rollout gates, probation
and validate.

Pure: no clock, no file, no randomness of its own (a numpy Generator comes in as an argument). The
names below load no numpy, so that the agent can watch rates; what works on arrays is imported from
its own file: `evidence.intervals` (quantiles, rates, bootstrap) and `evidence.parity` (`compare`).

    >>> gate = Gate.at_most("latency p95", Interval(12.0, 11.5, 13.2), 50.0, unit="ms")
    >>> verdict = decide([gate])
    >>> verdict.outcome, verdict.exit_code
    ('VALID-PASS', 0)
    >>> RateWatch(limit_rate=0.01).judge(events=9, trials=100)
    'bad'
"""

from edgewright.evidence.interval import Interval
from edgewright.evidence.sequential import (
    Judgement,
    RateContest,
    RateWatch,
    Sprt,
    log_rate_evidence,
)
from edgewright.evidence.verdict import (
    INVALID_EXIT_CODE,
    Gate,
    Outcome,
    Verdict,
    decide,
    exit_code_of,
)

__all__ = [
    "INVALID_EXIT_CODE",
    "Gate",
    "Interval",
    "Judgement",
    "Outcome",
    "RateContest",
    "RateWatch",
    "Sprt",
    "Verdict",
    "decide",
    "exit_code_of",
    "log_rate_evidence",
]
