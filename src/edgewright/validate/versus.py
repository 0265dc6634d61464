"""Two versions side by side in time: is the new one slower? Rounds of a lone client's load go to
one and the other, a coin says to which first, so that whatever the machine does hits both, and
`evidence.shift` bounds the ratio of the pairs. Bounds with the limit inside are INVALID, and so is
what was measured while others kept the cores busy.

Two processes of one version differ by some percent (where their memory lies, for one), for as long
as they live. `TOLERATED` is what is allowed for that; only what is slower beyond it is a miss.

A version is not fast by answering nonsense: the later one's answers are looked at for their form.
Whether they are better ones is another question, so that they differ from the earlier one's is told
and no miss.
"""

import msgspec
import numpy as np

from edgewright.clock import Clock, iso
from edgewright.contract import Tolerances
from edgewright.errors import InputError, TransportError
from edgewright.evidence import Gate, Outcome, Verdict, decide
from edgewright.evidence.parity import compare
from edgewright.evidence.shift import Shift, paired_shift
from edgewright.measure import Machine, Noise, describe_machine, noise_between, read_noise
from edgewright.measure.load import LoadLimits, LoadTarget
from edgewright.measure.load_result import LoadResult
from edgewright.validate.answers import AnswerCheck, check_answers
from edgewright.validate.load import Load, merged_answers
from edgewright.validate.questions import Question
from edgewright.validate.soundness import SoundnessLimits, noise_doubts
from edgewright.validate.ways import Way

ROUNDS = 48
ROUND_S = 0.25
TOLERATED = 0.05
FALSE_ALARM = 1 / 400
Answers = tuple[dict[bytes, int], ...]
"""For each question the distinct answers with their counts."""

QUANTILES = {"latency p50": 0.5, "latency p95": 0.95}


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two, served; `pid` is its process where that is known."""

    target: LoadTarget
    model: str
    text: str
    way: Way
    pid: int | None = None


class VersusOrder(msgspec.Struct, frozen=True, kw_only=True):
    """How many pairs of rounds, how long each, and how much slower is still the same. All rounds
    are made again, `attempts` times at most, when the machine has spoilt them.
    """

    rounds: int = ROUNDS
    round_s: float = ROUND_S
    tolerated: float = TOLERATED
    connections: int = 1
    attempts: int = 3
    limits: SoundnessLimits = SoundnessLimits()
    seed: int = 0


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
    noise: Noise | None = None

    @property
    def outcome(self) -> Outcome:
        return self.verdict.outcome

    @property
    def exit_code(self) -> int:
        return self.verdict.exit_code


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """All rounds of one attempt, for each quantile in ms, and what the machine did meanwhile."""

    rounds_ms: dict[str, tuple[tuple[float, float], ...]]
    noise: Noise
    doubts: tuple[str, ...]
    answers: tuple[Answers, Answers]


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
    both = (before, after)
    loads = [await _load(one, questions) for one in both]
    for load, one in zip(loads, both, strict=True):
        await _round(load, one, order)
    rng = np.random.default_rng(order.seed)
    discarded: list[str] = []
    session = await _measured(loads, both, order, rng)
    while session.doubts and len(discarded) + 1 < order.attempts:
        discarded.append(f"attempt {len(discarded) + 1} was discarded: {session.doubts[0]}")
        session = await _measured(loads, both, order, rng)
    shifts = {name: judge_rounds(rounds) for name, rounds in session.rounds_ms.items()}
    check = await _checked(after, questions, session.answers[1])
    return VersusReport(
        before=before.text,
        after=after.text,
        how=(
            f"{order.rounds} pairs of rounds of {order.round_s:g} s, a coin says which comes first "
            f"(seed {order.seed}), {order.connections} client(s) that wait; Hodges-Lehmann "
            f"estimate of the log ratios, exact bounds from signed ranks, false alarms at most "
            f"1 in {round(1 / FALSE_ALARM)}"
        ),
        started=iso(started_s),
        seconds=clock.monotonic_s() - start_s,
        machine=describe_machine(),
        shifts=shifts,
        rounds_ms=session.rounds_ms,
        verdict=versus_verdict(
            shifts, tolerated=order.tolerated, doubts=session.doubts, wrong=check.wrong
        ),
        notes=(
            *(_note(name, one, order) for name, one in shifts.items()),
            _agreement(both, session.answers),
            *check.reasons,
            *discarded,
        ),
        noise=session.noise,
    )


async def _measured(
    loads: list[Load],
    both: tuple[Contender, Contender],
    order: VersusOrder,
    rng: np.random.Generator,
) -> Session:
    """All pairs once. Whether they count is decided by the noise, never by their figures."""
    pids = [one.pid for one in both if one.pid is not None]
    noise = read_noise(*pids)
    pairs: list[tuple[LoadResult, LoadResult]] = []
    for first in rng.integers(2, size=order.rounds).tolist():
        results = {}
        for place in (first, 1 - first):
            results[place] = await _round(loads[place], both[place], order)
        pairs.append((results[0], results[1]))
    seen = noise_between(noise, read_noise(*pids))
    knows_both = all(one.pid is not None or not one.target.is_loopback for one in both)
    return Session(
        rounds_ms={
            name: tuple((_quantile_ms(one, q), _quantile_ms(two, q)) for one, two in pairs)
            for name, q in QUANTILES.items()
        },
        noise=seen,
        doubts=noise_doubts(seen, knows_server=knows_both, limits=order.limits),
        answers=(
            merged_answers([one for one, _ in pairs]),
            merged_answers([two for _, two in pairs]),
        ),
    )


def judge_rounds(rounds_ms: tuple[tuple[float, float], ...]) -> Shift:
    """The bounds of one quantile's ratio; two are tried, so each gets half of the false alarms."""
    pairs = np.array(rounds_ms)
    return paired_shift(pairs[:, 0], pairs[:, 1], false_alarm=FALSE_ALARM / len(QUANTILES))


def versus_verdict(
    shifts: dict[str, Shift],
    *,
    tolerated: float = TOLERATED,
    doubts: tuple[str, ...] = (),
    wrong: int = 0,
) -> Verdict:
    """p50 must be decided; p95 decides only when it accuses beyond doubt, since a tail needs more
    rounds than people wait for. `doubts` are about the machine, `wrong` counts the later one's
    answers that no sound version gives.
    """
    gates = [
        Gate.at_most(f"{name}, after / before", shift.ratio, 1 + tolerated)
        for name, shift in shifts.items()
    ]
    deciding, *others = gates
    answers = Gate.at_most("wrong answers", wrong, 0, timed=False)
    accusing = [gate for gate in others if gate.has_failed]
    return decide([deciding, *accusing, answers], unsound=doubts)


async def _checked(
    after: Contender, questions: tuple[Question, ...], answers: Answers
) -> AnswerCheck:
    """The form of the later one's answers; the earlier one's golden vectors do not bind it."""
    metadata = await after.way.metadata(after.target, after.model)
    open_ones = tuple(msgspec.structs.replace(one, expected=None) for one in questions)
    return check_answers(
        answers, open_ones, Tolerances(), declared=metadata.outputs, decode=after.way.answer
    )


def _agreement(both: tuple[Contender, Contender], answers: tuple[Answers, Answers]) -> str:
    """How often both answer alike, for people."""
    asked = [(old, new) for old, new in zip(*answers, strict=True) if old and new]
    alike = sum(_are_alike(both, next(iter(old)), next(iter(new))) for old, new in asked)
    return f"{alike} of {len(asked)} questions were answered alike by both"


def _are_alike(both: tuple[Contender, Contender], old: bytes, new: bytes) -> bool:
    before, after = both
    try:
        return compare(before.way.answer(old), after.way.answer(new), Tolerances()).ok
    except InputError:  # no answer at all, which the look at their form counts
        return False


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
