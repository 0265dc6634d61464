"""The demo, whole, and cut off by Ctrl-C: nothing of it stays, no process and no file."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

INTERRUPTED = 130


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "edgewright", "demo", "--out", "out", "--epochs", "1", "--json"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "EDGEWRIGHT_TEST_MARK": str(folder)},
    )


def descendants(folder: Path) -> list[str]:
    """Processes that carry this test's mark in their environment."""
    mark = f"EDGEWRIGHT_TEST_MARK={folder}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def test_the_demo_shows_what_it_claims(tmp_path: Path) -> None:
    child = start(tmp_path)
    out, err = child.communicate()
    assert child.returncode == 0, err + out
    outcome = json.loads(out)
    held = {claim["claim"]: claim["held"] for claim in outcome["claims"]}
    assert "no" not in held.values()
    refusals = [claim for claim in outcome["claims"] if "refuses" in claim["claim"]]
    assert [claim["held"] for claim in refusals] == ["yes"] * 4
    (unnoticed,) = (claim for claim in outcome["claims"] if "no client noticed" in claim["claim"])
    assert unnoticed["held"] == "yes", unnoticed["measured"]
    assert {budget["name"] for budget in outcome["budgets"]} == {
        "export",
        "compile",
        "deploy",
        "validate",
    }
    assert (tmp_path / "out" / "demo.html").is_file()
    assert descendants(tmp_path) == []


@pytest.mark.parametrize("act", ["train", "deploy"])
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, act: str) -> None:
    child = start(tmp_path)
    assert child.stderr is not None
    before = {"train": "data: done", "deploy": "package: done"}[act]
    for line in child.stderr:
        if line.startswith(before):
            break
    time.sleep(2.0)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    assert child.returncode == INTERRUPTED
    assert list(tmp_path.iterdir()) == []
    assert descendants(tmp_path) == []


def test_a_folder_of_somebody_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    child = start(tmp_path)
    _, err = child.communicate()
    assert child.returncode == 2
    assert "holds something that no demo made" in err
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"
