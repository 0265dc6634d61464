"""What a person should look at: a rule over the newest records of devices. Values in, values out.

An alert is a claim about a measured value and its limit. A device that was never heard of makes
none: nothing was measured.

    >>> from edgewright.telemetry import HealthRecord
    >>> hot = HealthRecord(
    ...     device="d1", sequence=1, at_s=0.0, memory_free_mb=900, disk_free_mb=12, temperature_c=88
    ... )
    >>> [alert.what for alert in judge([hot], AlertLimits())]
    ['free disk', 'temperature']
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from edgewright.telemetry import DriftRecord, HealthRecord, Record, ServingRecord, UpdateRecord


class AlertLimits(msgspec.Struct, frozen=True, kw_only=True):
    """From where on a value is worth a look."""

    silence_s: float = 600.0
    disk_free_mb: float = 100.0
    memory_free_mb: float = 50.0
    temperature_c: float = 80.0
    error_percent: float = 1.0
    least_requests: int = 100
    latency_p95_ms: float | None = None


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A measured value that passed its limit, on a device, maybe of a model."""

    device: str
    what: str
    measured: float
    limit: float
    unit: str
    model: str = ""
    text: str = ""


def judge(records: Iterable[Record], limits: AlertLimits) -> tuple[Alert, ...]:
    """Alerts of the newest record of each kind, device and model."""
    newest: dict[tuple[str, str, str], Record] = {}
    for record in records:
        key = (record.device, type(record).__name__, _subject(record))
        if key not in newest or newest[key].sequence < record.sequence:
            newest[key] = record
    return tuple(alert for key in sorted(newest) for alert in _alerts_of(newest[key], limits))


def silent(
    last_seen_s: Mapping[str, float], limits: AlertLimits, *, now_s: float
) -> tuple[Alert, ...]:
    """Alerts for devices that were here once and are not any more."""
    return tuple(
        Alert(
            device=device, what="silence", measured=now_s - at_s, limit=limits.silence_s, unit="s"
        )
        for device, at_s in sorted(last_seen_s.items())
        if now_s - at_s > limits.silence_s
    )


def _subject(record: Record) -> str:
    match record:
        case DriftRecord():
            return f"{record.model}/{record.channel}"
        case ServingRecord() | UpdateRecord():
            return record.model
        case _:
            return ""


def _alerts_of(record: Record, limits: AlertLimits) -> Iterator[Alert]:
    match record:
        case HealthRecord():
            yield from _health(record, limits)
        case ServingRecord():
            yield from _serving(record, limits)
        case DriftRecord() if record.score > record.limit:
            yield Alert(
                device=record.device,
                what="drift",
                measured=record.score,
                limit=record.limit,
                unit="",
                model=record.model,
                text=f"{record.channel}: {record.cause}",
            )


def _health(record: HealthRecord, limits: AlertLimits) -> Iterator[Alert]:
    for what, measured, limit in (
        ("free disk", record.disk_free_mb, limits.disk_free_mb),
        ("free memory", record.memory_free_mb, limits.memory_free_mb),
    ):
        if measured < limit:
            yield Alert(device=record.device, what=what, measured=measured, limit=limit, unit="MB")
    if record.temperature_c is not None and record.temperature_c > limits.temperature_c:
        yield Alert(
            device=record.device,
            what="temperature",
            measured=record.temperature_c,
            limit=limits.temperature_c,
            unit="°C",
        )


def _serving(record: ServingRecord, limits: AlertLimits) -> Iterator[Alert]:
    if record.requests >= limits.least_requests:
        share = 100 * record.errors / record.requests
        if share > limits.error_percent:
            yield Alert(
                device=record.device,
                what="errors",
                measured=share,
                limit=limits.error_percent,
                unit="%",
                model=record.model,
                text=f"{record.errors} of {record.requests} requests",
            )
    if limits.latency_p95_ms is not None and record.latency_p95_ms > limits.latency_p95_ms:
        yield Alert(
            device=record.device,
            what="latency p95",
            measured=record.latency_p95_ms,
            limit=limits.latency_p95_ms,
            unit="ms",
            model=record.model,
        )
