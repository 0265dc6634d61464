"""The probe's parent side against processes that misbehave, and the real child on real bundles."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from edgewright.bundle import unpack
from edgewright.chain.probe_child import probe
from edgewright.contract import Budgets
from edgewright.device.agent import ProcessLimits, ProcessProbe
from edgewright.measure.procfs import descendants
from edgewright.telemetry import ProbeReport
from edgewright.testing.bundles import build_tiny, no_model, not_finite, wrong_output

VERDICT = 'print(\'{"passed": true, "reason": "fine"}\')'


def run(code: str, folder: Path, **limits: float) -> ProbeReport:
    command = (sys.executable, "-c", code)
    return asyncio.run(ProcessProbe(command, ProcessLimits(**limits)).run(folder))


def test_a_verdict_on_the_last_line_counts(tmp_path: Path) -> None:
    report = run(f"print('an engine that chatters'); {VERDICT}", tmp_path)
    assert (report.passed, report.reason) == (True, "fine")


MISBEHAVIOUR = {
    "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)": "died by SIGSEGV",
    "import os; os.abort()": "died by SIGABRT",
    f"{VERDICT}; import sys; sys.exit(3)": "ended with code 3",
    "print('I am fine')": "without a verdict",
    "": "without a verdict",
    "raise RuntimeError('no such kernel')": "no such kernel",
    f"{VERDICT}; print('more')": "without a verdict",
}


@pytest.mark.parametrize("code", sorted(MISBEHAVIOUR))
def test_a_child_that_misbehaves_is_a_refusal_with_the_reason(tmp_path: Path, code: str) -> None:
    report = run(code, tmp_path)
    assert not report.passed
    assert MISBEHAVIOUR[code] in report.reason


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_a_child_that_somebody_else_kills_has_no_verdict(tmp_path: Path, name: str) -> None:
    report = run(f"import os, signal; os.kill(os.getpid(), signal.{name})", tmp_path)
    assert (report.passed, report.was_killed) == (False, True)


def test_only_a_signal_from_outside_counts_as_killed(tmp_path: Path) -> None:
    crashed = run("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", tmp_path)
    hung = run("import time; time.sleep(60)", tmp_path, timeout_s=0.2)
    assert not crashed.was_killed
    assert not hung.was_killed


def test_a_child_that_hangs_is_killed_in_time(tmp_path: Path) -> None:
    started_s = time.monotonic()
    report = run("import time; time.sleep(60)", tmp_path, timeout_s=0.5)
    assert "no verdict within 0.5 s" in report.reason
    assert time.monotonic() - started_s < 10


def test_a_child_that_leaks_is_killed(tmp_path: Path) -> None:
    code = "x = []\nwhile True: x.append(bytearray(4 << 20))"
    report = run(code, tmp_path, memory_mb=200)
    assert not report.passed
    assert "limit is 200 MB" in report.reason or "MemoryError" in report.reason


def test_a_child_that_talks_without_end_does_not_fill_the_agent(tmp_path: Path) -> None:
    report = run(f"[print('x' * 1000) for _ in range(20000)]; {VERDICT}", tmp_path)
    assert report.passed


def test_grandchildren_do_not_stay(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, pathlib\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path(sys.argv[1], 'pid').write_text(str(p.pid))\n{VERDICT}"
    )
    started_s = time.monotonic()
    assert run(code, tmp_path).passed
    assert time.monotonic() - started_s < 50  # it did not wait for the grandchild's own end
    pid = int((tmp_path / "pid").read_text())
    deadline_s = time.monotonic() + 30  # its own end is 60 s away
    while time.monotonic() < deadline_s and _runs(pid):
        time.sleep(0.02)
    assert not _runs(pid)


def test_a_grandchild_that_got_away_with_the_output_is_not_waited_for(tmp_path: Path) -> None:
    code = (
        "import pathlib, subprocess, sys\n"
        "nap = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
        "p = subprocess.Popen(nap, start_new_session=True)\n"
        f"pathlib.Path(sys.argv[1], 'pid').write_text(str(p.pid))\n{VERDICT}"
    )
    started_s = time.monotonic()
    assert run(code, tmp_path).passed
    assert time.monotonic() - started_s < 50
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def _runs(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("change", "reason"),
    [(wrong_output, "golden vectors"), (not_finite, "NaN"), (no_model, "not an npz")],
)
def test_the_real_probe_refuses_a_bad_bundle(tmp_path: Path, change: object, reason: str) -> None:
    build_tiny(tmp_path / "a.ewb", change=change)
    unpack(tmp_path / "a.ewb", tmp_path / "slot")
    report = probe(tmp_path / "slot")
    assert not report.passed
    assert reason in report.reason


def test_the_real_probe_measures_a_good_bundle(tmp_path: Path) -> None:
    build_tiny(tmp_path / "a.ewb")
    unpack(tmp_path / "a.ewb", tmp_path / "slot")
    command = (sys.executable, "-m", "edgewright.chain.probe_child", "60")
    report = asyncio.run(ProcessProbe(command, ProcessLimits()).run(tmp_path / "slot"))
    assert report.passed, report.reason
    assert report.outcome in ("VALID-PASS", "INVALID")  # the latter where the machine is busy
    assert report.cases == 4
    assert report.max_abs_error is not None
    assert report.max_abs_error < 1e-5
    assert 0 < report.latency_p50_ms <= report.latency_p95_ms
    told = {figure.name: figure for figure in report.figures}
    assert told["latency p95"].value == report.latency_p95_ms
    assert told["latency p95"].unit == "ms"
    assert {"latency min", "latency p50", "server memory peak"} <= set(told)
    assert "single requests in its own process" in report.how
    assert "cores" in report.where
    assert 10 < report.memory_mb < 400


def test_the_real_probe_ends_in_the_time_that_it_is_given(tmp_path: Path) -> None:
    """So that a model of seconds a call is judged by few calls, not refused for want of time."""
    build_tiny(tmp_path / "a.ewb", budgets=Budgets(latency_p95_ms=1e6))
    unpack(tmp_path / "a.ewb", tmp_path / "slot")
    report = probe(tmp_path / "slot", within_s=0.0)
    assert report.passed, report.reason
    assert "of 1 requests" in report.reason


@pytest.mark.parametrize(
    ("budgets", "word"),
    [(Budgets(latency_p95_ms=1e-5), "quickest call"), (Budgets(memory_mb=1.0), "memory peak")],
)
def test_the_real_probe_refuses_what_validate_calls_a_miss(
    tmp_path: Path, budgets: Budgets, word: str
) -> None:
    build_tiny(tmp_path / "a.ewb", budgets=budgets)
    unpack(tmp_path / "a.ewb", tmp_path / "slot")
    report = probe(tmp_path / "slot")
    assert (report.passed, report.outcome) == (False, "VALID-FAIL")
    assert word in report.reason


def test_no_process_is_left(tmp_path: Path) -> None:
    before = set(descendants(os.getpid()))
    run("import time; time.sleep(60)", tmp_path, timeout_s=0.2)
    assert set(descendants(os.getpid())) <= before
