import pytest

from edgewright.fleet.alerts import AlertLimits, judge, silent
from edgewright.telemetry import DriftRecord, HealthRecord, Record, ServingRecord

LIMITS = AlertLimits(latency_p95_ms=50)


def health(sequence: int = 1, **values: float) -> HealthRecord:
    fields = {"memory_free_mb": 500.0, "disk_free_mb": 5000.0, "temperature_c": 50.0} | values
    return HealthRecord(device="d1", sequence=sequence, at_s=0, **fields)


def serving(**values: float) -> ServingRecord:
    fields = {"requests": 1000, "errors": 0, "latency_p50_ms": 1.0, "latency_p95_ms": 2.0} | values
    return ServingRecord(device="d1", sequence=1, at_s=0, model="m", bundle="b", **fields)


def drift(score: float) -> DriftRecord:
    return DriftRecord(
        device="d1", sequence=1, at_s=0, model="m", channel="ay", cause="gain", score=score, limit=3
    )


@pytest.mark.parametrize("record", [health(), serving(), drift(2.9), serving(errors=10)])
def test_a_value_within_its_limit_alerts_nobody(record: Record) -> None:
    assert judge([record], LIMITS) == ()


@pytest.mark.parametrize(
    ("record", "what"),
    [
        (health(disk_free_mb=99), "free disk"),
        (health(memory_free_mb=49), "free memory"),
        (health(temperature_c=80.5), "temperature"),
        (serving(errors=11), "errors"),
        (serving(latency_p95_ms=51), "latency p95"),
        (drift(3.1), "drift"),
    ],
)
def test_a_value_past_its_limit_is_named(record: Record, what: str) -> None:
    (alert,) = judge([record], LIMITS)
    assert (alert.device, alert.what) == ("d1", what)
    assert alert.measured != alert.limit


def test_few_requests_prove_nothing() -> None:
    assert judge([serving(requests=10, errors=9)], LIMITS) == ()


def test_only_the_newest_record_counts() -> None:
    old, new = health(1, disk_free_mb=1), health(2)
    assert judge([new, old], LIMITS) == judge([old, new], LIMITS) == ()


def test_a_device_that_fell_silent_is_named() -> None:
    alerts = silent({"d1": 0.0, "d2": 500.0}, LIMITS, now_s=601.0)
    assert [alert.device for alert in alerts] == ["d1"]
