"""LoadGen as the engine of a validation; importing this file needs the extra `loadgen`."""

import asyncio
from pathlib import Path

import msgspec

from edgewright.errors import InputError
from edgewright.measure.load import LoadLimits
from edgewright.measure.loadgen import LoadgenPlan, LoadgenRun, LoadgenScenario, run_loadgen
from edgewright.validate.given import EngineRun
from edgewright.validate.load import Load
from edgewright.validate.order import Order

_SCENARIOS: dict[str, LoadgenScenario] = {
    "single-stream": "single-stream",
    "server": "server",
    "offline": "offline",
}
_CONNECTIONS = 64
_LOOK_S = 0.5
_SPARE = 1.5
_LATENCIES = {
    "latency p50": "result_50.00_percentile_latency_ns",
    "latency p90": "result_90.00_percentile_latency_ns",
    "latency p95": "result_95.00_percentile_latency_ns",
    "latency p99": "result_99.00_percentile_latency_ns",
    "latency p99.9": "result_99.90_percentile_latency_ns",
    "latency min": "result_min_latency_ns",
    "latency mean": "result_mean_latency_ns",
    "latency max": "result_max_latency_ns",
}
_RATES = (
    "result_completed_samples_per_sec",
    "result_qps_with_loadgen_overhead",
    "result_samples_per_second",
)


class LoadgenEngine(msgspec.Struct, frozen=True, kw_only=True):
    """Keeps its logs in a folder, one for each scenario."""

    logs: Path

    def run(self, order: Order, load: Load) -> EngineRun:
        """Put the order's load on the server.

        Raises:
            InputError: a scenario that LoadGen has not, or another protocol than HTTP.
        """
        scenario = _SCENARIOS.get(order.scenario)
        if scenario is None:
            raise InputError(
                f"LoadGen does not do scenario {order.scenario}",
                hint=f"it does {', '.join(_SCENARIOS)}",
            )
        rate_rps = order.rate_rps or order.budgets.throughput_rps
        if rate_rps is None and scenario == "server":
            raise InputError("scenario server needs a rate of requests", hint="give --rps")
        seen_rps = 100.0 if scenario == "server" else _seen_rps(scenario, order, load)
        plan = LoadgenPlan(
            scenario=scenario,
            seconds=order.seconds,
            logs=self.logs / order.scenario,
            rate_rps=rate_rps if scenario == "server" and rate_rps else seen_rps * _SPARE,
            expected_ms=1e3 / (seen_rps * _SPARE),
            limit_ms=order.budgets.latency_p95_ms,
            connections=order.connections or _CONNECTIONS,
            seed=order.seed,
        )
        return _engine_run(plan, run_loadgen(load.target, load.requests, plan))


def _seen_rps(scenario: LoadgenScenario, order: Order, load: Load) -> float:
    """What the server does in a moment: LoadGen makes its queries beforehand and wants to know."""
    connections = 1 if scenario == "single-stream" else order.connections or _CONNECTIONS
    limits = LoadLimits(seconds=_LOOK_S)
    result = asyncio.run(load.closed(limits, connections=connections).run())
    return max(result.throughput_rps, 1.0)


def _engine_run(plan: LoadgenPlan, run: LoadgenRun) -> EngineRun:
    words = run.words
    figures = {name: float(words[key]) / 1e6 for name, key in _LATENCIES.items() if key in words}
    rate = next((float(words[key]) for key in _RATES if key in words), None)
    if rate is not None:
        figures["throughput"] = rate
    said = str(words.get("result_validity", "nothing"))
    reason = str(words.get("result_invalid_reason", "")).strip()
    doubts = () if run.is_valid else (f"LoadGen says {said}: {reason or 'see its summary'}",)
    return EngineRun(
        how=(
            f"MLPerf LoadGen, scenario {plan.scenario}, at least {plan.seconds:g} s, seeds "
            f"{plan.seed + 1}; values as LoadGen gives them, 95 % intervals from order statistics "
            "of the same run at the sockets"
        ),
        figures=figures,
        result=run.result,
        doubts=doubts,
        notes=(f"LoadGen's logs are in {plan.logs}",),
    )
