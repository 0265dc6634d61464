"""The shape of result files, which bench suites write and the docs cite."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def results(bench_script: Callable[[str], ModuleType]) -> ModuleType:
    return bench_script("_results")


def test_recording_says_what_ran_where(results: ModuleType, tmp_path: Path) -> None:
    with results.Recording("speed", folder=tmp_path) as recording:
        recording.figures["latency_p95_ms"] = 1.5
        recording.raw["latencies_ms"] = [1.0, 1.5]
    written = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    assert written["figures"] == {"latency_p95_ms": 1.5}
    assert written["raw"] == {"latencies_ms": [1.0, 1.5]}
    assert written["suite"] == "speed"
    assert written["commit"]
    assert written["duration_s"] >= 0
    assert written["machine"]["cores"] >= 1


def test_nothing_is_written_when_the_suite_fails(results: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), results.Recording("speed", folder=tmp_path):
        1 / 0  # noqa: B018 - the failure is the point
    assert list(tmp_path.iterdir()) == []


def test_figure_that_is_no_number_is_refused(results: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):  # noqa: SIM117
        with results.Recording("speed", folder=tmp_path) as recording:
            recording.figures["latency_p95_ms"] = float("nan")
    assert list(tmp_path.iterdir()) == []


def test_command_names_no_folder_of_this_machine(
    results: ModuleType, tmp_path: Path, project_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [str(project_root / "bench/speed.py"), "--url", "http://a//b"])
    with results.Recording("speed", folder=tmp_path):
        pass
    written = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    assert written["command"] == "python bench/speed.py --url http://a//b"
