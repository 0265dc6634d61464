"""Probations replayed by the real rule on series of latencies and errors, good and bad.

A machine's own noise is part of every series: a heavy tail, single spikes, and bursts in which all
takes longer, drawn anew before and after the update. `recorded` series are what a real server of
this machine took longer than its median, added to a model's own time, in short pieces in the order
in which they came: a probation asks once a second, the recording far more often.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.device.agent.ports import Answer, ServingSample
from edgewright.device.agent.probation import (
    Judgement,
    ProbationLimits,
    Watch,
    baseline_of,
    judge,
)
from edgewright.device.agent.progress import Baseline

Times = NDArray[np.float64]
Rng = np.random.Generator

BASELINE_ANSWERS = 60
DURATION_S = 300.0
PIECE = 5


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One update: what the old model showed, then what the new one shows, second by second.

    `live` is the traffic of clients in requests per second; `failing` the share of them that fails.
    """

    old_ms: Times
    new_ms: Times
    live: float = 0.0
    old_failing: float = 0.0
    new_failing: float = 0.0
    wrong_from: int | None = None
    lost_from: int | None = None
    lost_share: float = 0.0
    ready_until: int | None = None


def replay(case: Case, rng: Rng) -> Judgement:
    """What the probation says in the end."""
    limits = ProbationLimits(duration_s=DURATION_S)
    watch = Watch(_baseline(case, rng))
    first = ServingSample(is_ready=True)
    requests = errors = 0
    step = 0
    while True:
        for answer in _answers(case, step, rng):
            watch.add(answer)
        arrived = int(rng.poisson(case.live))
        requests += arrived + 1
        errors += int(rng.binomial(arrived, case.new_failing))
        now = ServingSample(
            is_ready=case.ready_until is None or step < case.ready_until,
            requests=requests,
            errors=errors,
        )
        step += 1
        judgement = judge(first, now, elapsed_s=float(step), limits=limits, watch=watch)
        if judgement.verdict != "wait":
            return judgement


def _baseline(case: Case, rng: Rng) -> Baseline:
    answers = [Answer(latency_ms=float(ms)) for ms in case.old_ms[:BASELINE_ANSWERS]]
    requests = int(case.live * 86400)
    sample = ServingSample(
        is_ready=True, requests=requests, errors=int(rng.binomial(requests, case.old_failing))
    )
    return baseline_of(answers, sample)


def _answers(case: Case, step: int, rng: Rng) -> Sequence[Answer]:
    is_lost = case.lost_from is not None and step >= case.lost_from
    if is_lost or rng.random() < case.lost_share:
        return [Answer(problem="no answer within 5 s")] if step % 6 == 0 or not is_lost else []
    if case.wrong_from is not None and step >= case.wrong_from:
        return [Answer(problem="status 500: NaN", is_wrong=True)]
    return [Answer(latency_ms=float(case.new_ms[step % len(case.new_ms)]))]


def calm(rng: Rng, count: int, median_ms: float) -> Times:
    """A narrow distribution with a heavy tail."""
    body = median_ms * rng.lognormal(0.0, 0.08, count)
    return body + (rng.random(count) < 0.02) * median_ms * rng.pareto(1.5, count)


def noisy(rng: Rng, count: int, median_ms: float) -> Times:
    """A wide distribution: a busy gateway with other work."""
    return calm(rng, count, median_ms) * rng.lognormal(0.0, 0.3, count)


def bursty(rng: Rng, count: int, median_ms: float) -> Times:
    """Up to 40 s in which everything takes three times as long, about once in ten minutes."""
    times = calm(rng, count, median_ms)
    for start in np.flatnonzero(rng.random(count) < 1 / 600):
        times[start : start + int(rng.integers(5, 40))] *= 3
    return times


def swaying(rng: Rng, count: int, median_ms: float) -> Times:
    """A clock that goes down and up by a fifth, as a warm chip's does."""
    phase = rng.uniform(0, 2 * np.pi)
    wave = 1 + 0.2 * np.sin(phase + np.arange(count) / 50)
    return calm(rng, count, median_ms) * wave


MACHINES: Mapping[str, Callable[[Rng, int, float], Times]] = {
    "calm": calm,
    "noisy": noisy,
    "bursty": bursty,
    "swaying": swaying,
}


def recorded(times_ms: Times) -> Callable[[Rng, int, float], Times]:
    """A machine that is this one: its recorded delays on top of a median."""
    delays_ms = times_ms - float(np.median(times_ms))

    def draw(rng: Rng, count: int, median_ms: float) -> Times:
        pieces = [
            delays_ms[start : start + PIECE]
            for start in rng.integers(0, len(delays_ms) - PIECE, count // PIECE + 1)
        ]
        joined: Times = median_ms + np.concatenate(pieces)[:count]
        return joined

    return draw


def good_case(rng: Rng, machine: Callable[[Rng, int, float], Times]) -> Case:
    """A new version that is as good as the old one, on the same machine a minute later."""
    median_ms = float(rng.choice([3.0, 12.0, 45.0]))
    failing = float(rng.choice([0.0, 0.0005, 0.004]))
    return Case(
        old_ms=machine(rng, BASELINE_ANSWERS, median_ms),
        new_ms=machine(rng, 400, median_ms * rng.uniform(0.9, 1.1)),
        live=float(rng.choice([0.0, 1.0, 50.0])),
        old_failing=failing,
        new_failing=failing,
        lost_share=0.001,
    )


def _twice_as_slow(case: Case, _: Rng) -> Case:
    return msgspec.structs.replace(case, new_ms=case.new_ms * 2.0)


def _slow_tail(case: Case, rng: Rng) -> Case:
    is_slow = rng.random(len(case.new_ms)) < 0.4
    return msgspec.structs.replace(case, new_ms=case.new_ms * np.where(is_slow, 8.0, 1.0))


def _slow_after_a_while(case: Case, _: Rng) -> Case:
    factor = np.where(np.arange(len(case.new_ms)) < 100, 1.0, 3.0)
    return msgspec.structs.replace(case, new_ms=case.new_ms * factor)


def _hangs(case: Case, rng: Rng) -> Case:
    return msgspec.structs.replace(case, lost_from=int(rng.integers(0, 280)))


def _turns_nan(case: Case, rng: Rng) -> Case:
    return msgspec.structs.replace(case, wrong_from=int(rng.integers(0, 299)))


def _dies(case: Case, rng: Rng) -> Case:
    return msgspec.structs.replace(case, ready_until=int(rng.integers(0, 299)))


def _fails_often(case: Case, _: Rng) -> Case:
    return msgspec.structs.replace(case, live=20.0, old_failing=0.0005, new_failing=0.03)


def _fails_more_than_before(case: Case, _: Rng) -> Case:
    return msgspec.structs.replace(case, live=50.0, old_failing=0.0005, new_failing=0.005)


BAD: Mapping[str, tuple[str, Callable[[Case, Rng], Case]]] = {
    "slow": ("every answer takes twice as long, 3 ms or more", _twice_as_slow),
    "slow tail": ("40 % of the answers take eight times as long", _slow_tail),
    "slow later": ("after 100 s every answer takes three times as long", _slow_after_a_while),
    "hangs": ("no answer any more from a moment within the first 280 s on", _hangs),
    "NaN": ("an error for every request from a moment within the probation on", _turns_nan),
    "dies": ("the server is not ready from a moment within the probation on", _dies),
    "fails": ("3 % of 20 requests a second fail, the limit is 1 %", _fails_often),
    "fails more": ("0.5 % of 50 requests a second fail, before 0.05 %", _fails_more_than_before),
}


def good_refused(number: int, machines: Mapping[str, Callable[[Rng, int, float], Times]]) -> str:
    """The reason why a good update was refused, "" when it passed."""
    rng = np.random.default_rng([1, number])
    names = sorted(machines)
    name = names[number % len(names)]
    judgement = replay(good_case(rng, machines[name]), rng)
    return "" if judgement.verdict == "pass" else f"{name} {number}: {judgement.reason}"


def bad_passed(number: int, machines: Mapping[str, Callable[[Rng, int, float], Times]]) -> str:
    """The name of a bad update that passed, "" when it was refused."""
    rng = np.random.default_rng([2, number])
    names, kinds = sorted(machines), sorted(BAD)
    kind, name = kinds[number % len(kinds)], names[number // len(kinds) % len(names)]
    judgement = replay(BAD[kind][1](good_case(rng, machines[name]), rng), rng)
    return "" if judgement.verdict == "refuse" else f"{kind} on {name} {number}"
