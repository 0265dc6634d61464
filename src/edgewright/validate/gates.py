"""Which limits a scenario holds its figures against."""

from collections.abc import Mapping

from edgewright.contract import Budgets
from edgewright.evidence import Gate, Interval
from edgewright.validate.answers import AnswerCheck

KEPT_UP_PERCENT = 99.0
LEAK_LIMIT_MB_PER_MIN = 0.5
SERVERS_ENDED = "servers that ended"
"""A gate that is there only when it is missed."""


def answer_gates(check: AnswerCheck, *, failed: int) -> tuple[Gate, ...]:
    """No answer may be wrong, and none may be missing. Noise makes no answer wrong."""
    return (
        Gate.at_most("wrong answers", check.wrong, 0, timed=False),
        Gate.at_most("failed requests", failed, 0),
    )


def budget_gates(
    figures: Mapping[str, Interval], budgets: Budgets, *, is_open: bool, is_offline: bool
) -> tuple[Gate, ...]:
    """The budgets that this scenario can speak about, each only when its figure was measured.

    Throughput is shown offline, where the server works as fast as it can, or in an open loop by
    keeping up with the offered rate; a single stream says nothing about it.
    """
    gates = []
    if budgets.latency_p95_ms is not None and "latency p95" in figures and not is_offline:
        gates.append(
            Gate.at_most("latency p95", figures["latency p95"], budgets.latency_p95_ms, unit="ms")
        )
    if budgets.throughput_rps is not None and is_offline:
        gates.append(
            Gate.at_least("throughput", figures["throughput"], budgets.throughput_rps, unit="req/s")
        )
    if is_open and "kept up" in figures:
        gates.append(Gate.at_least("kept up", figures["kept up"], KEPT_UP_PERCENT, unit="%"))
    if budgets.memory_mb is not None and "server memory peak" in figures:
        gates.append(
            Gate.at_most(
                "server memory peak",
                figures["server memory peak"],
                budgets.memory_mb,
                unit="MB",
                timed=False,
            )
        )
    if budgets.energy_mj is not None and "energy per request" in figures:
        energy = figures["energy per request"].value
        gates.append(Gate.at_most("energy per request", energy, budgets.energy_mj, unit="mJ"))
    if "memory growth" in figures:
        gates.append(
            Gate.at_most(
                "memory growth",
                figures["memory growth"],
                LEAK_LIMIT_MB_PER_MIN,
                unit="MB/min",
                timed=False,
            )
        )
    return tuple(gates)


def unmeasured_budgets(
    figures: Mapping[str, Interval], budgets: Budgets, *, is_offline: bool
) -> tuple[str, ...]:
    """Budgets that were asked for and could not be held against anything: they are doubts, because
    a limit that nobody measured is not kept.
    """
    doubts = []
    if budgets.memory_mb is not None and "server memory peak" not in figures:
        doubts.append(
            "the memory budget was not measured: the server's process is not one of this "
            "machine's; validate on the server's machine, or give the bundle"
        )
    if budgets.energy_mj is not None and "energy per request" not in figures:
        doubts.append("the energy budget was not measured: no counter of this machine covers it")
    if budgets.latency_p95_ms is not None and not is_offline and "latency p95" not in figures:
        doubts.append("the latency budget was not measured: there are no latencies")
    return tuple(doubts)
