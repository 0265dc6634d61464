"""Scenarios, ways in and labelled sets against real server processes, planted faults included."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.planted import BUSY

from edgewright.chain.validation import (
    Accuracy,
    ValidationOrder,
    run_validation,
    subject_of,
    validate_subject,
)
from edgewright.chain.versus import run_versus
from edgewright.contract import Budgets
from edgewright.errors import DeviceError, InputError, UnavailableError
from edgewright.testing.bundles import build_tiny
from edgewright.testing.planted import planted
from edgewright.validate import Report
from edgewright.validate.versus import ROUNDS, VersusOrder
from edgewright.validate.ways import BinaryWay

QUESTIONS = np.random.default_rng(0).random((2000, 4)).astype(np.float32)


def order(target: object, scenario: str, **changes: object) -> ValidationOrder:
    values = {"seconds": 1.0, "attempts": 1, "limits": BUSY}
    return ValidationOrder(
        target=str(target),
        scenario=scenario,
        **{**values, **changes},  # type: ignore[arg-type]
    )


def gates(report: Report) -> dict[str, bool]:
    return {gate.name: gate.ok for gate in report.verdict.gates}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    budgets = Budgets(throughput_rps=100.0, memory_mb=1024.0)
    build_tiny(folder / "a.ewb", budgets=budgets)
    build_tiny(folder / "b.ewb", budgets=budgets, version="2")
    return folder


@pytest.fixture(scope="module")
def subject(bundles: Path) -> Iterator[Callable[..., Report]]:
    """One server for the scenarios of this file."""
    with subject_of(order(bundles / "a.ewb", "server")) as served:

        def run(scenario: str, **changes: object) -> Report:
            return validate_subject(order(bundles / "a.ewb", scenario, **changes), served)

        yield run


@pytest.mark.alone
def test_a_swap_loses_no_request(subject: Callable[..., Report], bundles: Path) -> None:
    report = subject("swap", seconds=4.0)
    assert report.verdict.outcome == "VALID-PASS", report.verdict.reasons
    assert gates(report)["failed swaps"]
    swaps = report.figure("swaps")
    assert swaps is not None
    assert swaps.value >= 3
    two = subject("swap", seconds=2.0, swap_to=bundles / "b.ewb")
    assert two.verdict.outcome == "VALID-PASS", two.verdict.reasons
    assert two.answers.distinct > 4


def test_a_version_that_cannot_be_loaded_ends_the_swap(
    subject: Callable[..., Report], bundles: Path
) -> None:
    with pytest.raises(DeviceError, match="cannot be swapped with"):
        subject("swap", swap_to=bundles / "absent.ewb")


@pytest.mark.alone
def test_our_server_shrugs_at_bad_company(subject: Callable[..., Report]) -> None:
    report = subject("faults", seconds=4.2)
    assert report.verdict.outcome == "VALID-PASS", (report.verdict.reasons, report.notes)
    assert len(gates(report)) >= 9
    assert report.figure("latency p95 beside garbage") is not None


def test_binary_tensors_are_asked_and_checked(subject: Callable[..., Report]) -> None:
    report = subject("single-stream", way=BinaryWay())
    assert report.verdict.outcome == "VALID-PASS", report.verdict.reasons
    assert report.answers.is_compared
    assert "binary tensors" in report.figures[0].how


def test_grpc_is_loaded_and_checked(bundles: Path) -> None:
    pytest.importorskip("grpc", reason="absent: grpcio (extra grpc)")
    from edgewright.chain.validation_grpc import grpc_way

    report = run_validation(order(bundles / "a.ewb", "server", way=grpc_way()))
    assert report.verdict.outcome == "VALID-PASS", report.verdict.reasons
    assert report.answers.checked == 100
    assert report.answers.is_compared
    assert "gRPC" in report.figures[0].how


def test_a_server_that_takes_garbage_is_found_out() -> None:
    with planted() as url:
        report = run_validation(order(url, "faults", seconds=4.2))
        with pytest.raises(UnavailableError, match="admin"):
            run_validation(order(url, "swap"))
    assert report.verdict.outcome == "VALID-FAIL"
    found = gates(report)
    assert not found["garbage taken for a request"]
    assert not found["server errors to garbage"]
    assert any("an unknown type" in note for note in report.notes)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labelled") / "rows.npz"
    np.savez(path, x=QUESTIONS, y=QUESTIONS.argmax(axis=1))
    return path


def test_a_loss_of_two_points_of_accuracy_is_caught(labelled: Path) -> None:
    with planted() as reference, planted("--mistake-percent", "2.7") as worse:
        accuracy = Accuracy(labelled=labelled, reference=reference, output="y")
        report = run_validation(order(worse, "single-stream", accuracy=accuracy))
        same = run_validation(order(reference, "single-stream", accuracy=accuracy))
    drop = report.figure("accuracy drop")
    assert drop is not None
    assert 1.5 < drop.value < 3.0
    assert report.verdict.outcome == "VALID-FAIL"
    assert "accuracy drop" in report.verdict.reasons[0]
    assert same.verdict.outcome == "VALID-PASS", same.verdict.reasons
    assert same.figure("found of class 3") is not None


def test_a_least_accuracy_is_held_with_its_interval(labelled: Path) -> None:
    with planted("--mistake-percent", "10") as url:
        accuracy = Accuracy(labelled=labelled, min_percent=97.0, output="y")
        report = run_validation(order(url, "single-stream", accuracy=accuracy))
        with pytest.raises(InputError, match="no output 'q'"):
            run_validation(
                order(url, "single-stream", accuracy=Accuracy(labelled=labelled, output="q"))
            )
    assert report.verdict.outcome == "VALID-FAIL"
    assert not gates(report)["accuracy"]


def test_a_reference_gives_the_right_answers_where_there_are_no_vectors() -> None:
    with planted() as reference, planted("--gain", "1.05") as url:
        report = run_validation(order(url, "single-stream", accuracy=Accuracy(reference=reference)))
    assert report.answers.is_compared
    assert report.verdict.outcome == "VALID-FAIL"


def test_recorded_traffic_is_replayed_at_its_pace(tmp_path: Path) -> None:
    path = tmp_path / "traffic.jsonl"
    lines = []
    for place, row in enumerate(QUESTIONS[:60]):
        data = [float(value) for value in row]
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": data}
        lines.append({"at_s": 100 + place / 20, "body": {"inputs": [tensor]}})
    path.write_text("\n".join(map(json.dumps, lines)))
    with planted() as url:
        report = run_validation(order(url, "replay", recording=path, speed=3.0, seconds=None))
        cut = run_validation(order(url, "replay", recording=path, speed=3.0, seconds=0.5))
        with pytest.raises(InputError, match="recording"):
            run_validation(order(url, "replay"))
    assert report.verdict.outcome == "VALID-PASS", report.verdict.reasons
    assert (report.requests, report.answers.checked) == (60, 60)
    assert cut.requests == 30
    assert any("beyond the time" in note for note in cut.notes)


@pytest.mark.long
def test_the_quick_suite_runs_three_scenarios_on_one_server(bundles: Path, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.json", "a.html", "a.xml", "edge.json")]
    suite_file = tmp_path / "suite.toml"
    suite_file.write_text('[reports]\nedge_json = "edge.json"\n')
    done = subprocess.run(
        [
            *(sys.executable, "-m", "edgewright", "validate", bundles / "a.ewb", "--quick"),
            *("--out", files[0], "--html", files[1], "--junit", files[2], "--suite", suite_file),
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode in (0, 9), done.stdout + done.stderr
    assert "VALID-PASS" in done.stdout or "INVALID" in done.stdout
    suite = msgspec.json.decode(files[0].read_bytes())
    assert [one["scenario"] for one in suite["reports"]] == ["single-stream", "server", "offline"]
    assert suite["seconds"] < 60
    assert files[1].read_bytes().count(b"<article>") == 3
    assert "latency_benchmark" in json.loads(files[3].read_bytes())


def test_a_socket_path_is_a_way_in_and_its_process_is_seen(bundles: Path, tmp_path: Path) -> None:
    socket = tmp_path / "s.sock"
    process = subprocess.Popen(
        [sys.executable, "-m", "edgewright", "serve", bundles / "a.ewb", "--uds", socket],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert "ready" in process.stderr.readline()
        report = run_validation(
            order(f"unix:{socket}", "single-stream", bundle=bundles / "a.ewb", memory_mb=1024.0)
        )
    finally:
        process.terminate()
        process.communicate(timeout=20)
    assert report.verdict.outcome == "VALID-PASS", report.verdict.reasons
    assert gates(report)["server memory peak"]
    assert report.answers.is_compared


@pytest.mark.long
@pytest.mark.parametrize("scenario", ["single-stream", "server", "offline"])
def test_loadgen_makes_the_load_and_its_logs_stay(
    subject: Callable[..., Report], tmp_path: Path, scenario: str
) -> None:
    pytest.importorskip("mlperf_loadgen", reason="absent: mlcommons-loadgen (extra loadgen)")
    from edgewright.chain.validation_loadgen import LoadgenEngine

    report = subject(scenario, engine=LoadgenEngine(logs=tmp_path))
    assert report.verdict.outcome != "VALID-FAIL", report.verdict.reasons
    assert report.answers.checked == report.requests >= 50
    assert report.answers.is_compared
    assert "MLPerf LoadGen" in report.figures[0].how
    summary = (tmp_path / scenario / "mlperf_log_summary.txt").read_text()
    p50 = report.figure("latency p50")
    assert p50 is not None
    assert f"{round(p50.value * 1e6)}" in summary


@pytest.mark.long
def test_loadgen_comes_to_its_end_when_the_server_refuses_or_hangs_up(tmp_path: Path) -> None:
    pytest.importorskip("mlperf_loadgen", reason="absent: mlcommons-loadgen (extra loadgen)")
    from edgewright.chain.validation_loadgen import LoadgenEngine

    engine = LoadgenEngine(logs=tmp_path)
    with planted("--refuse-every", "7", "--hang-up-every", "10") as url:
        alone = run_validation(order(url, "single-stream", engine=engine))
        crowd = run_validation(order(url, "server", rate_rps=200.0, engine=engine))
    for report in (alone, crowd):
        assert report.failed > 10
        assert {"status 503", "connection closed before the answer"} <= set(report.errors)
        assert report.requests == report.answered + report.failed
        assert not report.verdict.ok


@pytest.mark.long
def test_a_slower_version_is_found_side_by_side() -> None:
    order = VersusOrder(round_s=0.04, attempts=1, limits=BUSY)
    with planted("--slow-ms", "4") as before, planted("--slow-ms", "12") as after:
        report = run_versus(ValidationOrder(target=after, scenario="single-stream"), before, order)
    assert report.outcome == "VALID-FAIL"
    assert report.shifts["latency p50"].ratio.value > 1.3


@pytest.mark.long
def test_a_version_that_answers_nonsense_does_not_pass_side_by_side() -> None:
    order = VersusOrder(rounds=24, round_s=0.03, attempts=1, limits=BUSY)
    with planted() as before, planted("--nan-every", "40") as after:
        report = run_versus(ValidationOrder(target=after, scenario="single-stream"), before, order)
    assert report.outcome == "VALID-FAIL"
    assert [gate.name for gate in report.verdict.gates if gate.has_failed][-1] == "wrong answers"
    assert any(note.startswith("question ") for note in report.notes)
    assert any("answered alike" in note for note in report.notes)


@pytest.mark.long
def test_a_comparison_is_written_and_ends_with_its_verdict(tmp_path: Path) -> None:
    """The machine's noise counts here, and a busy one makes it INVALID."""
    out = tmp_path / "versus.json"
    with planted("--slow-ms", "4") as before, planted("--slow-ms", "12") as after:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "edgewright", "validate", after, "--against", before),
                *("--seconds", "4", "--attempts", "1", "--out", out),
            ],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    written = json.loads(out.read_bytes())
    assert len(written["rounds_ms"]["latency p50"]) == ROUNDS
    assert done.returncode == {"VALID-FAIL": 7, "INVALID": 9}[written["verdict"]["outcome"]]
