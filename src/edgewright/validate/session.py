"""One validation from the first question to the report: the shell around the rules."""

import msgspec
import numpy as np

from edgewright.clock import Clock, iso
from edgewright.errors import TransportError, UnavailableError
from edgewright.measure.load import LoadLimits
from edgewright.validate.answers import check_answers
from edgewright.validate.cold_start import observe_cold_starts
from edgewright.validate.engine import observe_engine
from edgewright.validate.faults import observe_faults
from edgewright.validate.given import Given, Reference
from edgewright.validate.judging import Findings, report_of
from edgewright.validate.labels import examine_labels
from edgewright.validate.load import Load
from edgewright.validate.observed import Observed
from edgewright.validate.order import Order, Served, Spawn
from edgewright.validate.peak import observe_peak
from edgewright.validate.questions import Question, drawn_questions, golden_questions
from edgewright.validate.recording import replay_questions
from edgewright.validate.replay import observe_replay
from edgewright.validate.report import Discarded, Report
from edgewright.validate.steady import observe_steady, warm_up
from edgewright.validate.swap import answers_of_the_other, observe_swaps
from edgewright.wire import v2


async def validate(
    order: Order,
    served: Served,
    given: Given,
    *,
    spawn: Spawn | None = None,
    clock: Clock,
) -> Report:
    """Run one scenario and judge it. A run that the machine's noise spoilt is repeated, at most
    `order.attempts` times; which run counts is decided by the noise, never by its figures.

    Raises:
        TransportError: nobody answers at the target.
        InputError: no such model there, golden vectors of another model, a scenario without the
            rate or limit that it needs.
        UnavailableError: cold-start or swap of a server that does not offer it from here.
    """
    rng = np.random.default_rng(order.seed)
    started_s, start_s = clock.wall_s(), clock.monotonic_s()
    metadata = await given.way.metadata(served.target, order.model)
    questions = await _questions(order, given, metadata, rng)
    await given.way.check(served.target, order.model, questions[0], metadata)
    load = Load(
        target=served.target,
        requests=tuple(
            given.way.request(served.target, order.model, question, metadata)
            for question in questions
        ),
        connect=given.way.connect,
    )
    questions = await _with_alternatives(order, served, given, questions, load)
    stage = _Stage(order, served, given, questions, load, spawn, rng, clock)
    observed, discarded = await _quietest(stage)
    check = check_answers(
        observed.answers,
        questions,
        order.tolerances,
        declared=metadata.outputs,
        unkept=observed.unkept,
        decode=given.way.answer,
    )
    labels = None
    if given.labelled is not None and not observed.is_partial:
        labels = await examine_labels(order, served, given, metadata, rng=rng)
    return report_of(
        order,
        Findings(
            observed=observed,
            check=check,
            labels=labels,
            discarded=tuple(discarded),
            started=iso(started_s),
            seconds=clock.monotonic_s() - start_s,
            way=given.way.name,
        ),
    )


class _Stage(msgspec.Struct, frozen=True):
    """All that an attempt at a scenario needs."""

    order: Order
    served: Served
    given: Given
    questions: tuple[Question, ...]
    load: Load
    spawn: Spawn | None
    rng: np.random.Generator
    clock: Clock


async def _quietest(stage: _Stage) -> tuple[Observed, list[Discarded]]:
    """The first attempt that the machine left alone, else the last; and those before it."""
    discarded: list[Discarded] = []
    if stage.order.scenario != "cold-start":
        await warm_up(stage.order, stage.load)
    while True:
        engine = stage.given.engine
        observed = await (
            _observe(stage)
            if engine is None
            else observe_engine(stage.order, stage.served, stage.load, engine)
        )
        is_last = len(discarded) + 1 >= stage.order.attempts
        if not observed.noise_doubts or observed.is_partial or is_last:
            return observed, discarded
        discarded.append(Discarded(attempt=len(discarded) + 1, doubts=observed.noise_doubts))


async def _questions(
    order: Order, given: Given, metadata: v2.ModelMetadata, rng: np.random.Generator
) -> tuple[Question, ...]:
    """What is asked: recorded traffic, golden vectors, or what is drawn; the last with the
    reference's answers as the right ones, where there is a reference.
    """
    if order.scenario == "replay":
        return replay_questions(given.recording, metadata)
    if given.golden is not None:
        return golden_questions(given.golden, metadata)
    questions = drawn_questions(metadata, order.contract, rng=rng)
    return questions if given.reference is None else await _answered(given.reference, questions)


async def _answered(reference: Reference, questions: tuple[Question, ...]) -> tuple[Question, ...]:
    way, target, model = reference.way, reference.target, reference.model
    metadata = await way.metadata(target, model)
    requests = tuple(way.request(target, model, one, metadata) for one in questions)
    load = Load(target=target, requests=requests, connect=way.connect)
    result = await load.closed(LoadLimits(requests=len(requests)), connections=1).run()
    if result.answered != len(requests):
        raise TransportError(f"{reference.text} refused questions: {result.errors}")
    return tuple(
        msgspec.structs.replace(question, expected=way.answer(next(iter(known))))
        for question, known in zip(questions, result.answers, strict=True)
    )


async def _with_alternatives(
    order: Order, served: Served, given: Given, questions: tuple[Question, ...], load: Load
) -> tuple[Question, ...]:
    """While two versions are swapped, the answers of either are right."""
    if order.scenario != "swap" or order.swap_to is None:
        return questions
    result = await answers_of_the_other(order, served, load)
    return tuple(
        msgspec.structs.replace(question, alternatives=(given.way.answer(next(iter(known))),))
        for question, known in zip(questions, result.answers, strict=True)
    )


async def _observe(stage: _Stage) -> Observed:
    order, served, load, rng = stage.order, stage.served, stage.load, stage.rng
    match order.scenario:
        case "find-peak":
            return await observe_peak(order, served, load, rng=rng)
        case "cold-start":
            if stage.spawn is None:
                raise UnavailableError(
                    f"{order.subject} runs already, its cold start cannot be measured from here",
                    hint="give the bundle instead of the URL",
                )
            return await observe_cold_starts(order, stage.spawn, load, clock=stage.clock)
        case "swap":
            return await observe_swaps(order, served, load, rng=rng)
        case "faults":
            return await observe_faults(order, served, load)
        case "replay":
            return await observe_replay(order, served, load, stage.given.recording)
        case _:
            return await observe_steady(order, served, load, rng=rng)
