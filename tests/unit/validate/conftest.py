"""Recordings and reports that the rules of validate are tried on."""

from collections.abc import Callable

import numpy as np
import pytest

from edgewright.contract import Evidence
from edgewright.evidence import Gate, Interval, Verdict, decide
from edgewright.measure import Machine, Noise
from edgewright.measure.load_result import ANSWERED, LoadResult
from edgewright.validate.answers import AnswerCheck
from edgewright.validate.figures import UNITS, Histogram, Slice
from edgewright.validate.report import MemorySample, Report

USUAL_P95 = Interval(12.0, 11.0, 13.0)
MACHINE = Machine(
    cpu="Test CPU",
    flags=("avx2",),
    architecture="x86_64",
    cores=2,
    memory_mb=4096,
    os="Debian",
    kernel="6.1",
    python="3.11.7",
)
QUIET = Noise(
    seconds=10.0,
    steal_share=0.0,
    others_share=0.0,
    wait_share=0.0,
    pressure_share=0.0,
    frequency_ratio=None,
    clock_step_s=0.0,
    load_1min=0.1,
)


@pytest.fixture
def quiet() -> Noise:
    return QUIET


@pytest.fixture
def recording() -> Callable[..., LoadResult]:
    def make(latencies_s: np.ndarray, *, seconds: float = 10.0, **changes: object) -> LoadResult:
        count = len(latencies_s)
        scheduled_s = np.linspace(0.0, seconds * 0.99, count)
        values: dict[str, object] = {
            "scheduled_s": scheduled_s,
            "sent_s": scheduled_s,
            "done_s": scheduled_s + latencies_s,
            "lag_s": np.zeros(0),
            "states": np.full(count, ANSWERED, np.uint8),
            "errors": {},
            "refusals": {},
            "answers": ({b"{}": count},),
            "unkept": 0,
            "wall_s": seconds,
            "client_cpu_s": 1.0,
            "started_wall_s": 0.0,
            "connections": 1,
        }
        return LoadResult(**{**values, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def report() -> Callable[..., Report]:
    def make(p95: Interval = USUAL_P95, **changes: object) -> Report:
        gate = Gate.at_most("latency p95", p95, 50.0, unit="ms")
        figures = {"latency p50": Interval(8.0, 7.9, 8.1), "latency p95": p95}
        values: dict[str, object] = {
            "scenario": "single-stream",
            "model": "har<tcn>",
            "subject": "http://127.0.0.1:8000",
            "verdict": decide([gate]),
            "started": "2026-01-01T00:00:00Z",
            "seconds": 10.0,
            "machine": MACHINE,
            "figures": tuple(
                Evidence(
                    name=name,
                    value=figure.value,
                    unit=UNITS[name],
                    how="closed loop",
                    where=MACHINE.text,
                    when="2026-01-01T00:00:00Z",
                    on="model",
                    low=figure.low,
                    high=figure.high,
                )
                for name, figure in figures.items()
            ),
            "requests": 1000,
            "answered": 1000,
            "failed": 0,
            "errors": {},
            "answers": AnswerCheck(
                checked=1000, wrong=0, unchecked=0, distinct=4, is_compared=True
            ),
            "noise": QUIET,
            "histogram": Histogram(edges_ms=(1.0, 10.0, 100.0), counts=(900, 100)),
            "timeline": tuple(
                Slice(at_s=float(at), answered=100, failed=0, p50_ms=8.0, p95_ms=12.0)
                for at in range(10)
            ),
            "memory": (MemorySample(at_s=0.0, mb=50.0), MemorySample(at_s=9.0, mb=51.0)),
        }
        return Report(**{**values, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def invalid() -> Verdict:
    return decide([], unsound=["steal time 40 % & more"])
