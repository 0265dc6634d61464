"""One client that behaves, beside others that do not: it must not notice them.

The run has phases of equal length: alone, beside slow clients, beside killed ones, beside garbage,
in an overload, and alone again. The behaving client's answers are checked in all of them. Garbage
must be refused, with no success and no 5xx; an overload may be refused with 429 or 503, and every
answer given in it must be right.
"""

import asyncio
import contextlib
from collections.abc import Sequence

import msgspec

from edgewright.errors import InputError, TransportError
from edgewright.evidence import Gate, Interval
from edgewright.measure.load import LoadLimits
from edgewright.measure.load_result import LoadResult
from edgewright.validate.figures import latency_figures
from edgewright.validate.load import Load, merged_answers
from edgewright.validate.looking import run_or_part
from edgewright.validate.nuisance import (
    Nuisance,
    Tally,
    garbling_clients,
    killed_clients,
    slow_clients,
)
from edgewright.validate.observed import Observed
from edgewright.validate.order import Order, Served
from edgewright.validate.soundness import load_doubts
from edgewright.validate.surroundings import Surroundings

NUISANCES: dict[str, Nuisance] = {
    "slow clients": slow_clients,
    "killed clients": killed_clients,
    "garbage": garbling_clients,
}
_PHASES = len(NUISANCES) + 3
_CROWD = 256
_REFUSALS = ("status 429", "status 503")
_TIMEOUT_S = 5.0
RECOVERED_RATIO = 2.0


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """What the behaving client saw in one phase, and what the others did meanwhile."""

    name: str
    result: LoadResult
    accepted: dict[str, int] = {}
    crashed: dict[str, int] = {}
    crowd: LoadResult | None = None

    @property
    def failed(self) -> int:
        """Requests that the behaving client lost; in an overload it may be refused like all."""
        return _failures(self.result, may_refuse=self.crowd is not None)


async def observe_faults(order: Order, served: Served, load: Load) -> Observed:
    """All phases, one after the other.

    Raises:
        InputError: another protocol than HTTP.
    """
    if load.connect is not None:
        raise InputError("scenario faults speaks HTTP", hint="give the server's http:// address")
    surroundings = Surroundings(served)
    phases: list[Phase] = []
    with surroundings.watched():
        phase_s = order.seconds / _PHASES
        for name in ("alone", *NUISANCES, "overload", "alone again"):
            try:
                phases.append(await _phase(name, load, phase_s))
            except TransportError as error:
                return _gone(order, phases, surroundings, f"{name}: {error}")
            if phases[-1].result.is_interrupted:
                break
    return _observed(order, phases, surroundings)


async def _phase(name: str, load: Load, phase_s: float) -> Phase:
    behaving = load.closed(LoadLimits(seconds=phase_s, timeout_s=_TIMEOUT_S), connections=1)
    if name == "overload":
        limits = LoadLimits(seconds=phase_s, timeout_s=_TIMEOUT_S)
        crowd = asyncio.create_task(load.closed(limits, connections=_CROWD).run(), name="crowd")
        result = await run_or_part(behaving)
        if result.is_interrupted:
            crowd.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await crowd
            return Phase(name=name, result=result)
        return Phase(name=name, result=result, crowd=await crowd)
    nuisance = NUISANCES.get(name)
    if nuisance is None:
        return Phase(name=name, result=await run_or_part(behaving))
    tally = Tally()
    others = asyncio.ensure_future(nuisance(load.target, load.requests[0], tally))
    result = await run_or_part(behaving)
    others.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await others
    return Phase(name=name, result=result, accepted=tally.accepted, crashed=tally.crashed)


def _failures(result: LoadResult, *, may_refuse: bool) -> int:
    return sum(
        count for reason, count in result.errors.items() if not (may_refuse and reason in _REFUSALS)
    )


def fault_gates(phases: Sequence[Phase]) -> tuple[Gate, ...]:
    """What must hold: nobody lost beside the others, garbage refused, and all well afterwards."""
    gates = [
        Gate.at_most(f"failed requests, {phase.name}", phase.failed, 0)
        for phase in phases
        if phase.name in NUISANCES
    ]
    accepted = sum(sum(phase.accepted.values()) for phase in phases)
    crashed = sum(sum(phase.crashed.values()) for phase in phases)
    gates += [
        Gate.at_most("garbage taken for a request", accepted, 0, timed=False),
        Gate.at_most("server errors to garbage", crashed, 0, timed=False),
    ]
    crowd = next((phase.crowd for phase in phases if phase.crowd is not None), None)
    if crowd is not None:
        lost = _failures(crowd, may_refuse=True)
        gates.append(Gate.at_most("failed requests, overload", lost, 0))
    first, last = phases[0].result, phases[-1].result
    if phases[-1].name == "alone again" and first.answered and last.answered:
        gates.append(Gate.at_most("latency p50 after / before", recovery(first, last),
                                  RECOVERED_RATIO))  # fmt: skip
    return tuple(gates)


def recovery(before: LoadResult, after: LoadResult) -> Interval:
    """How many times the latency alone is after it all what it was before."""
    old = latency_figures(before.latencies_s())["latency p50"]
    new = latency_figures(after.latencies_s())["latency p50"]
    low = None if new.low is None or old.high is None else new.low / old.high
    high = None if new.high is None or old.low is None else new.high / old.low
    return Interval(new.value / old.value, low, high)


def _observed(order: Order, phases: list[Phase], surroundings: Surroundings) -> Observed:
    results = [phase.result for phase in phases]
    crowds = [phase.crowd for phase in phases if phase.crowd is not None]
    answered = sum(result.answered for result in results + crowds)
    figures = latency_figures(results[0].latencies_s())
    for phase in phases:
        if phase.name in NUISANCES and phase.result.answered:
            p95 = latency_figures(phase.result.latencies_s())["latency p95"]
            figures[f"latency p95 beside {phase.name}"] = p95
    for crowd in crowds:
        refused = sum(crowd.errors.get(reason, 0) for reason in _REFUSALS)
        figures["refused in the overload"] = Interval(100.0 * refused / max(crowd.requests, 1))
    return Observed(
        how=_protocol(order),
        figures={**figures, **surroundings.figures(answered)},
        gates=fault_gates(phases),
        result=results[0],
        answers=merged_answers(results + crowds),
        unkept=sum(result.unkept for result in results + crowds),
        requests=sum(result.requests for result in results + crowds),
        failed=phases[0].failed + (phases[-1].failed if len(phases) == _PHASES else 0),
        errors=_sum([result.errors for result in results + crowds]),
        refusals=results[0].refusals,
        doubts=load_doubts(
            results[0], is_open=False, limits=order.limits, limit_ms=order.budgets.latency_p95_ms
        ),
        noise_doubts=surroundings.doubts(order.limits),
        notes=_notes(phases),
        samples=tuple(surroundings.samples),
        noise=surroundings.noise,
        has_ended=surroundings.has_ended,
        is_partial=any(result.is_interrupted for result in results),
    )


def _gone(order: Order, phases: list[Phase], surroundings: Surroundings, what: str) -> Observed:
    """The server no longer lets anybody in: that is the finding, not an error of ours.

    Raises:
        TransportError: it never did.
    """
    if not phases:
        raise TransportError(what, hint="check that the server runs")
    part = _observed(order, phases, surroundings)
    gone = Gate.at_most("phases without a server", _PHASES - len(phases), 0, timed=False)
    return msgspec.structs.replace(part, gates=(gone, *part.gates), notes=(what, *part.notes))


def _notes(phases: Sequence[Phase]) -> tuple[str, ...]:
    return tuple(
        f"{verb} {count} times: {name}"
        for phase in phases
        for verb, counts in (("answered", phase.accepted), ("answered with 5xx", phase.crashed))
        for name, count in counts.items()
    )


def _sum(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for one in counts:
        for reason, count in one.items():
            total[reason] = total.get(reason, 0) + count
    return total


def _protocol(order: Order) -> str:
    return (
        f"edgewright validate, scenario faults: one client that waits for its answers, "
        f"{order.seconds / _PHASES:.2g} s each alone, beside 50 slow clients, beside clients that "
        f"die, beside garbage, beside {_CROWD} clients at once, and alone again; latencies are of "
        "the first phase"
    )
