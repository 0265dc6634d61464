"""One validation from the first question to the report: the shell around the rules."""

from collections.abc import Sequence

import msgspec
import numpy as np

from edgewright.bundle.golden import Golden
from edgewright.clock import Clock, iso
from edgewright.contract import Evidence
from edgewright.errors import UnavailableError
from edgewright.evidence import Gate, Verdict, decide
from edgewright.measure import Machine, describe_machine
from edgewright.measure.load import encode_request
from edgewright.validate.answers import AnswerCheck, check_answers
from edgewright.validate.cold_start import observe_cold_starts
from edgewright.validate.figures import UNITS, histogram, timeline
from edgewright.validate.gates import answer_gates, budget_gates, unmeasured_budgets
from edgewright.validate.observed import Observed
from edgewright.validate.order import Order, Served, Spawn
from edgewright.validate.peak import observe_peak
from edgewright.validate.questions import Question, drawn_questions, golden_questions
from edgewright.validate.report import Discarded, MemorySample, Report
from edgewright.validate.resources import MIB
from edgewright.validate.scenarios import STEADY
from edgewright.validate.served_model import ask_metadata
from edgewright.validate.steady import observe_steady, warm_up


async def validate(
    order: Order,
    served: Served,
    *,
    golden: Golden | None = None,
    spawn: Spawn | None = None,
    clock: Clock,
) -> Report:
    """Run one scenario and judge it. A run that the machine's noise spoilt is repeated, at most
    `order.attempts` times; which run counts is decided by the noise, never by its figures.

    Raises:
        TransportError: nobody answers at the target.
        InputError: no such model there, golden vectors of another model, a scenario without the
            rate or limit that it needs.
        UnavailableError: cold-start of a server that is only known by its URL.
    """
    rng = np.random.default_rng(order.seed)
    started_s, start_s = clock.wall_s(), clock.monotonic_s()
    questions = await _questions(order, served, golden, rng)
    requests = tuple(_request(order, served, question) for question in questions)
    discarded: list[Discarded] = []
    if order.scenario != "cold-start":
        await warm_up(order, served, requests)
    while True:
        observed = await _observe(order, served, requests, spawn=spawn, rng=rng, clock=clock)
        is_last = len(discarded) + 1 >= order.attempts
        if not observed.noise_doubts or observed.is_partial or is_last:
            break
        discarded.append(Discarded(attempt=len(discarded) + 1, doubts=observed.noise_doubts))
    check = check_answers(observed.answers, questions, order.tolerances, unkept=observed.unkept)
    bench = _Bench(started=iso(started_s), seconds=clock.monotonic_s() - start_s)
    return _report(order, observed, check, bench, discarded)


class _Bench(msgspec.Struct, frozen=True, kw_only=True):
    started: str
    seconds: float


async def _questions(
    order: Order, served: Served, golden: Golden | None, rng: np.random.Generator
) -> tuple[Question, ...]:
    metadata = await ask_metadata(served.target, order.model)
    if golden is None:
        return drawn_questions(metadata, order.contract, rng=rng)
    return golden_questions(golden, metadata)


def _request(order: Order, served: Served, question: Question) -> bytes:
    return encode_request(
        "POST",
        f"/v2/models/{order.model}/infer",
        target=served.target,
        body=question.body,
        headers={"content-type": "application/json"},
    )


async def _observe(
    order: Order,
    served: Served,
    requests: tuple[bytes, ...],
    *,
    spawn: Spawn | None,
    rng: np.random.Generator,
    clock: Clock,
) -> Observed:
    if order.scenario == "find-peak":
        return await observe_peak(order, served, requests, rng=rng)
    if order.scenario != "cold-start":
        return await observe_steady(order, served, requests, rng=rng)
    if spawn is None:
        raise UnavailableError(
            f"{order.subject} runs already, its cold start cannot be measured from here",
            hint="give the bundle instead of the URL",
        )
    return await observe_cold_starts(order, spawn, requests[0], clock=clock)


def _report(
    order: Order,
    observed: Observed,
    check: AnswerCheck,
    bench: _Bench,
    discarded: Sequence[Discarded],
) -> Report:
    machine = describe_machine()
    latencies_s = observed.result.latencies_s() if observed.result else np.empty(0)
    return Report(
        scenario=order.scenario,
        model=order.model,
        subject=order.subject,
        verdict=_verdict(order, observed, check),
        started=bench.started,
        seconds=bench.seconds,
        machine=machine,
        figures=_evidence(order, observed, machine, bench.started),
        requests=observed.requests,
        answered=check.checked + check.unchecked,
        failed=observed.failed,
        errors=observed.errors,
        answers=check,
        notes=_notes(observed, check),
        noise=observed.noise,
        discarded=tuple(discarded),
        histogram=histogram(latencies_s),
        timeline=timeline(observed.result) if observed.result else (),
        memory=tuple(
            MemorySample(at_s=sample.at_s, mb=sample.reading.memory_bytes / MIB)
            for sample in observed.samples
        ),
        is_partial=observed.is_partial,
    )


def _verdict(order: Order, observed: Observed, check: AnswerCheck) -> Verdict:
    steady = STEADY.get(order.scenario)
    is_offline = steady is not None and steady.is_offline
    has_latency = order.scenario != "cold-start"
    gates: tuple[Gate, ...] = answer_gates(check, failed=observed.failed)
    gates += budget_gates(
        observed.figures,
        order.budgets,
        is_open="kept up" in observed.figures,
        is_offline=is_offline,
    )
    doubts = observed.doubts + observed.noise_doubts
    if has_latency:
        doubts += unmeasured_budgets(observed.figures, order.budgets, is_offline=is_offline)
    if check.checked == 0 and not doubts:
        doubts += ("no answer was seen",)
    if observed.is_partial:
        doubts = ("the run was interrupted, this is a partial report", *doubts)
    return decide(gates, unsound=doubts)


def _evidence(
    order: Order, observed: Observed, machine: Machine, when: str
) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(
            name=name,
            value=figure.value,
            unit=UNITS[name],
            how=observed.how,
            where=machine.text,
            when=when,
            on=f"model {order.model} of {order.subject}",
            low=figure.low,
            high=figure.high,
        )
        for name, figure in observed.figures.items()
    )


def _notes(observed: Observed, check: AnswerCheck) -> tuple[str, ...]:
    notes = list(observed.notes)
    if not check.is_compared:
        notes.append(
            "no golden vectors: answers were checked for form, finiteness and repeatability only"
        )
    if check.unchecked:
        notes.append(f"{check.unchecked} answers were not looked at")
    notes += [
        f"{reason}: {body[:200].decode(errors='replace')}"
        for reason, body in observed.refusals.items()
        if body
    ]
    return tuple(notes)
