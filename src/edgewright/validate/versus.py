"""Two versions side by side in time: is the new one slower? Rounds of a lone client's load go to
one and the other in turn, so that whatever the machine does hits both, and `evidence.shift` bounds
the ratio of the pairs. Noise widens the bounds, and bounds with the limit inside are INVALID.

Two processes of one version differ by some percent (where their memory lies, for one), for as long
as they live. `TOLERATED` is what is allowed for that; only what is slower beyond it is a miss.
"""

import msgspec
import numpy as np

from edgewright.clock import Clock, iso
from edgewright.errors import InputError, TransportError
from edgewright.evidence import Gate, Outcome, Verdict, decide
from edgewright.evidence.shift import Shift, paired_shift
from edgewright.measure import Machine, describe_machine
from edgewright.measure.load import LoadLimits, LoadTarget
from edgewright.measure.load_result import LoadResult
from edgewright.validate.load import Load
from edgewright.validate.questions import Question
from edgewright.validate.ways import Way

ROUNDS = 40
ROUND_S = 0.3
TOLERATED = 0.05
FALSE_ALARM = 1 / 400
QUANTILES = {"latency p50": 0.5, "latency p95": 0.95}


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two, served."""

    target: LoadTarget
    model: str
    text: str
    way: Way


class VersusOrder(msgspec.Struct, frozen=True, kw_only=True):
    """How many pairs of rounds, how long each, and how much slower is still the same."""

    rounds: int = ROUNDS
    round_s: float = ROUND_S
    tolerated: float = TOLERATED
    connections: int = 1


class VersusReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: for each quantile how many times the first one's latency the second takes.
    `rounds_ms` are the pairs.
    """

    schema_version: int = 1
    kind: str = "validation-versus"
    before: str
    after: str
    how: str
    started: str
    seconds: float
    machine: Machine
    shifts: dict[str, Shift]
    rounds_ms: dict[str, tuple[tuple[float, float], ...]]
    verdict: Verdict
    notes: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        return self.verdict.outcome

    @property
    def exit_code(self) -> int:
        return self.verdict.exit_code


async def compare_side_by_side(
    before: Contender,
    after: Contender,
    questions: tuple[Question, ...],
    order: VersusOrder,
    *,
    clock: Clock,
) -> VersusReport:
    """Measure both in pairs of rounds and judge.

    Raises:
        TransportError: one of them does not answer.
        InputError: too few rounds, or questions that one of them does not take.
    """
    started_s, start_s = clock.wall_s(), clock.monotonic_s()
    loads = [await _load(one, questions) for one in (before, after)]
    for load, one in zip(loads, (before, after), strict=True):
        await _round(load, one, order)
    pairs: list[tuple[LoadResult, LoadResult]] = []
    for number in range(order.rounds):
        first = number % 2
        results = {first: await _round(loads[first], (before, after)[first], order)}
        results[1 - first] = await _round(loads[1 - first], (before, after)[1 - first], order)
        pairs.append((results[0], results[1]))
    rounds_ms = {
        name: tuple((_quantile_ms(one, q), _quantile_ms(two, q)) for one, two in pairs)
        for name, q in QUANTILES.items()
    }
    shifts = {name: judge_rounds(rounds) for name, rounds in rounds_ms.items()}
    return VersusReport(
        before=before.text,
        after=after.text,
        how=(
            f"{order.rounds} pairs of rounds of {order.round_s:g} s, in turn, "
            f"{order.connections} client(s) that wait; trimmed mean of the log ratios with Yuen's "
            f"interval, false alarms 1 in {round(1 / FALSE_ALARM)}"
        ),
        started=iso(started_s),
        seconds=clock.monotonic_s() - start_s,
        machine=describe_machine(),
        shifts=shifts,
        rounds_ms=rounds_ms,
        verdict=versus_verdict(shifts, tolerated=order.tolerated),
        notes=tuple(_note(name, one, order) for name, one in shifts.items()),
    )


def judge_rounds(rounds_ms: tuple[tuple[float, float], ...]) -> Shift:
    """The bounds of one quantile's ratio; two are tried, so each gets half of the false alarms."""
    pairs = np.array(rounds_ms)
    return paired_shift(pairs[:, 0], pairs[:, 1], false_alarm=FALSE_ALARM / len(QUANTILES))


def versus_verdict(shifts: dict[str, Shift], *, tolerated: float = TOLERATED) -> Verdict:
    """p50 must be decided; p95 decides only when it accuses beyond doubt, since a tail needs more
    rounds than people wait for.
    """
    gates = [
        Gate.at_most(f"{name}, after / before", shift.ratio, 1 + tolerated)
        for name, shift in shifts.items()
    ]
    deciding, *others = gates
    return decide([deciding, *(gate for gate in others if gate.has_failed)])


def _note(name: str, shift: Shift, order: VersusOrder) -> str:
    seen = 100 * ((1 + order.tolerated) * shift.detectable - 1)
    return f"{name}: a slow-down of {seen:.1f} % would have been caught"


async def _load(one: Contender, questions: tuple[Question, ...]) -> Load:
    metadata = await one.way.metadata(one.target, one.model)
    names = {tensor.name for tensor in metadata.inputs}
    if questions and set(questions[0].inputs) != names:
        raise InputError(
            f"{one.text} has inputs {sorted(names)}, the questions {sorted(questions[0].inputs)}",
            hint="compare two versions of one model",
        )
    requests = tuple(
        one.way.request(one.target, one.model, question, metadata) for question in questions
    )
    return Load(target=one.target, requests=requests, connect=one.way.connect)


async def _round(load: Load, one: Contender, order: VersusOrder) -> LoadResult:
    limits = LoadLimits(seconds=order.round_s)
    result = await load.closed(limits, connections=order.connections).run()
    if result.failed or not result.answered:
        raise TransportError(
            f"{one.text} did not answer all: {result.errors or 'no answer'}",
            hint="validate it alone first",
        )
    return result


def _quantile_ms(result: LoadResult, q: float) -> float:
    return 1e3 * float(np.quantile(result.latencies_s(), q))
