"""The keys of `edge_performance_validation_*.json`, which scripts of the first users read.

What was not measured is null there, where the earlier files had a guess or a zero, and
`production_ready` is the verdict, nothing softer.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from edgewright.evidence import Gate
from edgewright.validate.report import Report, outcome_of

_LATENCIES = {
    "min_ms": "latency min",
    "max_ms": "latency max",
    "mean_ms": "latency mean",
    "median_ms": "latency p50",
    "p95_ms": "latency p95",
    "p99_ms": "latency p99",
}


def earlier_json(reports: Sequence[Report]) -> bytes:
    """One or more validations in the earlier keys."""
    first = reports[0]
    latency = _first_with(reports, "latency p95", ("single-stream", "server"))
    throughput = _first_with(reports, "throughput", ("offline", "server", "multi-stream"))
    is_right = all(one.answers.checked > 0 and one.answers.wrong == 0 for one in reports)
    accuracy = next((f for one in reports if (f := one.figure("accuracy"))), None)
    document = {
        "validation_info": {
            "timestamp": first.started,
            "edge_host": first.subject,
            "model_version": first.model,
            "model_accuracy": None if accuracy is None else f"{accuracy.value:.2f}%",
        },
        "health_check": {"status": "PASSED" if any(one.answered for one in reports) else "FAILED"},
        "latency_benchmark": _latency(latency),
        "throughput_benchmark": _throughput(throughput),
        "output_quality": {
            "pattern_results": {one.scenario: _quality(one) for one in reports},
            "overall_quality_validation": is_right,
        },
        "overall_assessment": {
            "latency_target_met": _met(reports, "latency p95"),
            "throughput_target_met": _met(reports, "throughput"),
            "output_quality_passed": is_right,
            "production_ready": outcome_of(reports) == "VALID-PASS",
        },
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _first_with(reports: Sequence[Report], figure: str, scenarios: Sequence[str]) -> Report | None:
    having = [one for one in reports if one.figure(figure) is not None]
    preferred = [one for name in scenarios for one in having if one.scenario == name]
    return next(iter(preferred or having), None)


def _latency(report: Report | None) -> dict[str, Any]:
    if report is None:
        return {"error": "No successful requests"}
    return {
        "num_requests": report.requests,
        "successful_requests": report.answered,
        "success_rate_percent": _percent(report),
        "latency_stats": {key: _value(report, name) for key, name in _LATENCIES.items()},
        "p95_target_met": _met([report], "latency p95"),
    }


def _throughput(report: Report | None) -> dict[str, Any]:
    if report is None:
        return {"error": "No successful requests"}
    return {
        "test_duration_seconds": report.seconds,
        "concurrent_threads": None,
        "total_requests": report.requests,
        "successful_requests": report.answered,
        "success_rate_percent": _percent(report),
        "throughput_req_per_sec": _value(report, "throughput"),
        "throughput_target_met": _met([report], "throughput"),
    }


def _quality(report: Report) -> dict[str, Any]:
    return {
        "samples_tested": report.answers.checked,
        "all_quality_checks_passed": report.answers.checked > 0 and report.answers.wrong == 0,
    }


def _percent(report: Report) -> float:
    return 100.0 * report.answered / report.requests if report.requests else 0.0


def _value(report: Report, name: str) -> float | None:
    found = report.figure(name)
    return None if found is None else found.value


def _met(reports: Sequence[Report], name: str) -> bool | None:
    """Whether a limit was kept, null where none was given or the machine was not quiet."""
    gates: list[Gate] = [
        gate
        for report in reports
        if report.verdict.outcome != "INVALID"
        for gate in report.verdict.gates
        if gate.name == name
    ]
    return all(gate.ok for gate in gates) if gates else None
