"""Validation of real server processes: foreign ones with planted faults, and our own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from tests.planted import BUSY

from edgewright.chain.validation import ValidationOrder, run_validation
from edgewright.contract import Budgets
from edgewright.errors import InputError, TransportError, UnavailableError
from edgewright.measure import listening_pid, read_tree
from edgewright.testing.bundles import build_tiny, wrong_output
from edgewright.testing.planted import planted
from edgewright.validate import Report, read_report

pytestmark = pytest.mark.alone
"""Judged by the clock and by how busy the machine is."""


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    x = np.random.default_rng(0).random((20, 4)).astype(np.float32)
    path = tmp_path_factory.mktemp("golden") / "golden.npz"
    np.savez(path, x=x, y=2 * x, s=x.sum(axis=1, keepdims=True))
    return path


def ask(target: str, golden: Path | None, **changes: object) -> Report:
    values = {
        "target": target,
        "scenario": "single-stream",
        "seconds": 1.5,
        "attempts": 1,
        "limits": BUSY,
        "golden": golden,
    }
    return run_validation(ValidationOrder(**{**values, **changes}))  # type: ignore[arg-type]


def figure(report: Report, name: str) -> float:
    found = report.figure(name)
    assert found is not None
    return found.value


def test_a_sound_server_passes_with_every_figure_explained(golden: Path) -> None:
    with planted() as url:
        report = ask(
            url,
            golden,
            scenario="server",
            rate_rps=100.0,
            seconds=3.0,
            p95_ms=500.0,
            memory_mb=512.0,
        )
    assert report.verdict.outcome == "VALID-PASS", report.verdict.reasons
    assert {gate.name for gate in report.verdict.gates} == {
        "wrong answers",
        "failed requests",
        "latency p95",
        "kept up",
        "server memory peak",
    }
    assert (report.requests, report.answers.checked, report.answers.wrong) == (300, 300, 0)
    for one in report.figures:
        assert one.how
        assert one.where
        assert one.when
        assert one.on
    assert report.timeline
    assert sum(report.histogram.counts) == 300


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        (("--gain", "1.01"), "largest absolute difference"),
        (("--garbage",), "not a valid V2 message"),
        (("--nan-every", "200"), "wrong answers"),
    ],
)
def test_wrong_answers_fail_the_validation(
    golden: Path, faults: tuple[str, ...], reason: str
) -> None:
    with planted(*faults) as url:
        report = ask(url, golden)
    assert report.verdict.outcome == "VALID-FAIL"
    assert reason in " ".join((*report.verdict.reasons, *report.answers.reasons))


def test_a_slow_server_misses_its_limit(golden: Path) -> None:
    with planted("--slow-ms", "30") as url:
        report = ask(url, golden, p95_ms=10.0)
    assert report.verdict.outcome == "VALID-FAIL"
    assert "latency p95" in report.verdict.reasons[0]
    assert figure(report, "latency p50") >= 29


def test_a_stall_of_the_server_shows_in_an_open_loop(golden: Path) -> None:
    with planted("--stall-every", "50", "--stall-s", "0.3") as url:
        report = ask(url, golden, scenario="server", rate_rps=100.0, p95_ms=50.0, connections=1)
    assert report.verdict.outcome == "VALID-FAIL"
    assert figure(report, "latency p95") > 150


def test_refusals_are_failed_requests_with_their_text(golden: Path) -> None:
    with planted("--refuse-every", "10") as url:
        report = ask(url, golden)
    assert report.verdict.outcome == "VALID-FAIL"
    assert report.errors["status 503"] == report.failed > 5
    assert any("busy" in note for note in report.notes)


def test_a_server_that_refuses_everything_gives_no_sample_and_so_no_verdict(golden: Path) -> None:
    with planted("--refuse-every", "1") as url:
        report = ask(url, golden, p95_ms=50.0)
    assert report.verdict.outcome == "INVALID"
    assert "no request was answered" in report.verdict.reasons[0]


def test_without_golden_vectors_form_is_checked_and_the_report_says_so() -> None:
    with planted() as url:
        report = ask(url, None, scenario="multi-stream")
    assert report.verdict.outcome == "VALID-PASS", report.verdict.reasons
    assert any("no golden vectors" in note for note in report.notes)


def test_find_peak_brackets_a_known_capacity(golden: Path) -> None:
    with planted("--slow-ms", "20") as url:
        report = ask(
            url,
            golden,
            scenario="find-peak",
            p95_ms=60.0,
            seconds=5.0,
            connections=4,
            rate_rps=40.0,
        )
    assert 60 < figure(report, "peak rate") < 260


def test_a_run_that_decides_stops_early_and_says_so(golden: Path) -> None:
    with planted("--slow-ms", "5") as url:
        kept = ask(url, golden, seconds=8.0, p95_ms=5000.0, stops_early=True)
        missed = ask(url, golden, seconds=8.0, p95_ms=1.0, stops_early=True)
        asked_whole = ask(url, golden, seconds=1.0, p95_ms=5000.0)
    assert [one.verdict.outcome for one in (kept, missed)] == ["VALID-PASS", "VALID-FAIL"]
    for one in (kept, missed):
        assert any("decided and stopped after" in note for note in one.notes), one.notes
        assert one.seconds < 8
        (gate,) = (gate for gate in one.verdict.gates if gate.name == "latency p95")
        assert gate.is_decided
    assert any("p99.9" in note and "bounds need 3688" in note for note in asked_whole.notes)


def test_an_offline_run_ends_once_its_throughput_is_beyond_doubt(golden: Path) -> None:
    with planted() as url:
        report = ask(url, golden, scenario="offline", seconds=8.0, rate_rps=5.0, stops_early=True)
    assert report.verdict.outcome == "VALID-PASS", report.verdict.reasons
    assert report.seconds < 8
    assert any("decided and stopped after" in note for note in report.notes), report.notes


def test_offline_counts_throughput_and_stream_keeps_its_beat(golden: Path) -> None:
    with planted() as url:
        offline = ask(url, golden, scenario="offline", rate_rps=20.0)
        stream = ask(url, golden, scenario="stream", rate_rps=50.0, p95_ms=500.0)
    assert offline.verdict.outcome == "VALID-PASS", offline.verdict.reasons
    assert {gate.name for gate in offline.verdict.gates} >= {"throughput", "wrong answers"}
    assert stream.requests == 75


def test_bad_requests_for_a_validation_are_refused(golden: Path, tmp_path: Path) -> None:
    with planted() as url:
        with pytest.raises(InputError, match="it serves: double"):
            ask(url, golden, model="halve")
        with pytest.raises(InputError, match="no model 'half of it'; it serves: double"):
            ask(url, golden, model="half of it")
        with pytest.raises(InputError, match="needs a rate"):
            ask(url, golden, scenario="server")
        with pytest.raises(InputError, match="--p95-ms"):
            ask(url, golden, scenario="find-peak")
        with pytest.raises(UnavailableError, match="give the bundle"):
            ask(url, golden, scenario="cold-start")
        with pytest.raises(InputError, match="no such file"):
            ask(url, tmp_path / "absent.npz")
    with pytest.raises(TransportError):
        ask(url, golden)
    with pytest.raises(InputError, match="no such file"):
        ask(str(tmp_path / "absent.ewb"), None)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("bundles")
    budgets = Budgets(latency_p95_ms=500.0, throughput_rps=50.0, memory_mb=512.0)
    build_tiny(folder / "good.ewb", budgets=budgets)
    build_tiny(folder / "wrong.ewb", budgets=budgets, change=wrong_output)
    return lambda name: folder / name


def test_a_bundle_is_held_to_its_own_budgets_and_golden_vectors(
    bundles: Callable[[str], Path],
) -> None:
    # 300 requests: a 95th percentile keeps its upper bound though answers come in bad stretches.
    report = ask(str(bundles("good.ewb")), None, scenario="server", seconds=6.0)
    assert report.verdict.outcome == "VALID-PASS", report.verdict.reasons
    assert report.subject.startswith("bundle ")
    assert report.answers.is_compared
    assert {"latency p95", "kept up", "server memory peak"} <= {
        gate.name for gate in report.verdict.gates
    }
    assert figure(report, "server memory peak") > 10


def test_cold_starts_are_timed_with_their_answers_checked(bundles: Callable[[str], Path]) -> None:
    report = ask(str(bundles("good.ewb")), None, scenario="cold-start", seconds=1.0)
    assert report.verdict.outcome == "VALID-PASS", report.verdict.reasons
    assert report.answers.checked == report.requests >= 6
    assert figure(report, "start to first right answer") > 50


def run_cli(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgewright", "validate", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_the_command_line_writes_all_reports_and_exits_with_the_verdict(
    golden: Path, tmp_path: Path
) -> None:
    files = [tmp_path / name for name in ("a.json", "a.html", "a.xml")]
    with planted("--gain", "1.5") as url:
        options = ["--golden", golden, "--seconds", "1", "--attempts", "1", "--json"]
        done = run_cli(url, *options, "--out", files[0], "--html", files[1], "--junit", files[2])
    assert done.returncode == 7, done.stderr
    shown = json.loads(done.stdout)
    assert (shown["kind"], shown["schema_version"]) == ("validation", 1)
    assert shown["verdict"]["outcome"] == "VALID-FAIL"
    assert read_report(files[0]).verdict.outcome == "VALID-FAIL"
    assert b"VALID-FAIL" in files[1].read_bytes()
    assert ET.parse(files[2]).getroot().get("failures") == "1"
    same = run_cli("--diff", files[0], files[0])
    assert same.returncode in (0, 9)
    assert "latency p95" in same.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["--scenario", "ofline", "http://127.0.0.1:9"], 2, "did you mean 'offline'"),
        (["http://127.0.0.1:9"], 4, "127.0.0.1:9"),
        (["ftp://host"], 2, "http://HOST:PORT"),
        (["model.pkl"], 2, "no bundle and no model file"),
        ([], 2, "TARGET"),
        (["--diff", "/nowhere/a.json", "/nowhere/b.json"], 2, "no such file"),
        (["--diff", "a.json", "b.json", "--out", "c.json"], 2, "--diff takes two reports"),
        (["http://127.0.0.1:9", "--html", "/"], 2, "writing /: it is a folder"),
        (["http://127.0.0.1:9", "--against", "a.ewb", "--html", "a.html"], 2, "no other report"),
        (["http://127.0.0.1:9", "--against", "a.ewb", "--rps", "9"], 2, "not against a rate"),
    ],
)
def test_bad_command_lines_end_with_one_line_and_their_code(
    arguments: list[str], code: int, word: str
) -> None:
    done = run_cli(*arguments)
    assert done.returncode == code, done.stderr
    assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_leaves_a_partial_report_and_no_process(golden: Path, tmp_path: Path) -> None:
    out = tmp_path / "part.json"
    with planted() as url:
        options = ["--golden", golden, "--seconds", "60", "--out", out]
        process = subprocess.Popen(
            [sys.executable, "-m", "edgewright", "validate", url, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        _wait_for_load(_pid_at(url), warm_up_s=2.0)
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 130, said
    report = read_report(out)
    assert report.is_partial
    assert report.verdict.outcome == "INVALID"
    assert "interrupted" in report.verdict.reasons[0]
    assert report.answers.checked > 10


def test_a_server_that_dies_meanwhile_fails_and_the_report_says_so(
    golden: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report.json"
    with planted() as url:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "edgewright", "validate", url, "--seconds", "5"),
                *("--golden", golden, "--out", out, "--attempts", "3"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        server = _pid_at(url)
        _wait_for_load(server, warm_up_s=0.3)
        os.kill(server, signal.SIGKILL)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 7, said
    report = read_report(out)
    assert report.verdict.outcome == "VALID-FAIL"
    assert "servers that ended: 1" in report.verdict.reasons[0]
    assert report.failed


STEPPING_CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(id, at);
    const char *file = getenv("STEP_WHEN_THERE");
    if (id == CLOCK_REALTIME && file && access(file, F_OK) == 0) at->tv_sec += 3600;
    return done;
}
"""
"""A wall clock that stands an hour ahead from the moment on at which a file is there."""


def test_a_clock_that_steps_during_the_run_moves_no_figure(golden: Path, tmp_path: Path) -> None:
    """Latencies and the run's length are of the monotonic clock, which does not step."""
    if shutil.which("gcc") is None:
        pytest.skip("absent: gcc (Debian packages gcc and libc6-dev)")
    library, stepped, out = tmp_path / "clock.so", tmp_path / "stepped", tmp_path / "report.json"
    build = ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", library, "-ldl"]
    subprocess.run(build, input=STEPPING_CLOCK.encode(), check=True)
    with planted() as url:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "edgewright", "validate", url, "--seconds", "10"),
                *("--golden", golden, "--out", out, "--attempts", "1"),
            ],
            env=os.environ | {"LD_PRELOAD": str(library), "STEP_WHEN_THERE": str(stepped)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _wait_for_load(_pid_at(url), warm_up_s=0.6)
        stepped.touch()
        process.wait(60)
    report = read_report(out)
    assert report.noise is not None
    assert report.noise.clock_step_s == pytest.approx(3600, abs=0.1)
    assert any("stepped by +3600.0 s" in note for note in report.notes)
    assert 10 <= report.seconds < 60
    assert figure(report, "latency max") < 10_000
    assert report.verdict.outcome in ("VALID-PASS", "INVALID"), report.verdict.reasons
    assert not any("clock" in reason for reason in report.verdict.reasons)


def _pid_at(url: str) -> int:
    pid = listening_pid(int(url.rpartition(":")[2]))
    assert pid is not None
    return pid


def _wait_for_load(pid: int, *, warm_up_s: float) -> None:
    """Until a server has worked for longer than it could in the warm-up: the load is on."""
    idle_s, deadline_s = read_tree(pid).cpu_s, time.monotonic() + 60
    while read_tree(pid).cpu_s < idle_s + warm_up_s + 0.1 and time.monotonic() < deadline_s:
        time.sleep(0.02)
