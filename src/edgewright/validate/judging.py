"""From everything that was found to a report with a verdict: no network, no clock."""

import msgspec
import numpy as np

from edgewright.contract import Budgets, Evidence
from edgewright.evidence import Gate, Interval, Verdict, decide
from edgewright.measure import Machine, describe_machine
from edgewright.validate.answers import AnswerCheck
from edgewright.validate.figures import histogram, timeline, unit_of
from edgewright.validate.gates import (
    SERVERS_ENDED,
    answer_gates,
    budget_gates,
    unmeasured_budgets,
)
from edgewright.validate.labels import LabelFindings
from edgewright.validate.observed import Observed
from edgewright.validate.order import Order
from edgewright.validate.report import Discarded, MemorySample, Report
from edgewright.validate.resources import MIB
from edgewright.validate.scenarios import STEADY

_CLOCK_STEP_S = 0.5


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What one validation found; `way` says how the server was spoken to."""

    observed: Observed
    check: AnswerCheck
    labels: LabelFindings | None
    discarded: tuple[Discarded, ...]
    started: str
    seconds: float
    way: str


def report_of(order: Order, found: Findings) -> Report:
    """The record of it all."""
    machine, observed, check = describe_machine(), found.observed, found.check
    latencies_s = observed.result.latencies_s() if observed.result else np.empty(0)
    return Report(
        scenario=order.scenario,
        model=order.model,
        subject=order.subject,
        bundle_id=order.bundle_id,
        verdict=verdict_of(order, found),
        started=found.started,
        seconds=found.seconds,
        machine=machine,
        figures=_evidence(order, found, machine),
        requests=observed.requests,
        answered=check.checked + check.unchecked,
        failed=observed.failed,
        errors=observed.errors,
        answers=check,
        notes=_notes(found),
        noise=observed.noise,
        discarded=found.discarded,
        histogram=histogram(latencies_s),
        timeline=timeline(observed.result) if observed.result else (),
        memory=tuple(
            MemorySample(at_s=sample.at_s, mb=sample.reading.memory_bytes / MIB)
            for sample in observed.samples
        ),
        is_partial=observed.is_partial,
    )


def verdict_of(order: Order, found: Findings) -> Verdict:
    """All gates and all doubts together."""
    observed, check = found.observed, found.check
    steady = STEADY.get(order.scenario)
    is_offline = steady is not None and steady.is_offline
    gates: tuple[Gate, ...] = answer_gates(check, failed=observed.failed)
    gates += budget_gates(
        observed.figures,
        _budgets_of(order),
        is_open="kept up" in observed.figures,
        is_offline=is_offline,
    )
    gates += observed.gates
    if found.labels is not None:
        gates += found.labels.gates
    if observed.has_ended:
        gates += (Gate.at_most(SERVERS_ENDED, 1, 0, timed=False),)
    doubts = observed.doubts + observed.noise_doubts
    if order.scenario != "cold-start":
        doubts += unmeasured_budgets(observed.figures, order.budgets, is_offline=is_offline)
    if check.checked == 0 and not doubts:
        doubts += ("no answer was seen",)
    if observed.is_partial:
        doubts = ("the run was interrupted, this is a partial report", *doubts)
    return decide(gates, unsound=doubts)


def _budgets_of(order: Order) -> Budgets:
    """The budgets that latency and memory are held to. A search for the peak ends where latency is
    at its limit, so there the limit decides which rates count, and the peak is judged instead.
    """
    if order.scenario != "find-peak":
        return order.budgets
    return msgspec.structs.replace(order.budgets, latency_p95_ms=None)


def _evidence(order: Order, found: Findings, machine: Machine) -> tuple[Evidence, ...]:
    how = f"{found.observed.how}; {found.way}"
    figures: list[tuple[str, Interval, str]] = [
        (name, figure, how) for name, figure in found.observed.figures.items()
    ]
    if found.labels is not None:
        figures += [
            (name, figure, found.labels.how) for name, figure in found.labels.figures.items()
        ]
    return tuple(
        Evidence(
            name=name,
            value=figure.value,
            unit=unit_of(name),
            how=protocol,
            where=machine.text,
            when=found.started,
            on=f"model {order.model} of {order.subject}",
            low=figure.low,
            high=figure.high,
        )
        for name, figure, protocol in figures
    )


def _notes(found: Findings) -> tuple[str, ...]:
    observed, check = found.observed, found.check
    notes = list(observed.notes)
    if found.labels is not None:
        notes += found.labels.notes
    if not check.is_compared:
        notes.append(
            "no golden vectors: answers were checked for form, finiteness and repeatability only"
        )
    if check.unchecked:
        notes.append(f"{check.unchecked} answers were not looked at")
    if check.sanity.output:
        one = check.sanity
        notes.append(
            f"output {one.output!r}, {one.answers} different questions: norm {one.norm_low:.3g} to "
            f"{one.norm_high:.3g}, mean cosine {one.cosine:.3f}, {one.dead_share:.0%} of "
            f"{one.width} dimensions never change"
        )
    if observed.noise is not None and abs(observed.noise.clock_step_s) > _CLOCK_STEP_S:
        notes.append(
            f"the wall clock stepped by {observed.noise.clock_step_s:+.1f} s during the run; "
            "durations are of the monotonic clock, which did not"
        )
    notes += [
        f"{reason}: {body[:200].decode(errors='replace')}"
        for reason, body in observed.refusals.items()
        if body
    ]
    return tuple(notes)
