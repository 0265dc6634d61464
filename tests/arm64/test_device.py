"""The device package on arm64 as its users run it: the command, the server, the agent."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.arm64.conftest import RUNNING_S, Run

import edgewright
from edgewright.errors import DeviceError
from edgewright.testing import MemorySigner
from edgewright.testing.bundles import build_tiny, wrong_output
from edgewright.transports.inference import InferenceClient

pytestmark = [pytest.mark.arm64, pytest.mark.timeout(3000)]

GOLDEN = Path("tests") / "golden"
GOOD = GOLDEN / "v1" / "good.ewb"
MAKER = MemorySigner.from_seed(1)


def test_the_command_says_its_version(python: Run) -> None:
    done = python("-m", "edgewright", "--version")
    assert done.stdout.split()[-1] == edgewright.__version__, done.stderr


def test_golden_files_are_read_trusted_refused_and_written_alike(python: Run) -> None:
    """Their own suite, on that machine: bundles, encrypted bundles and air-gap files."""
    done = python("-m", "pytest", "-n0", "-p", "no:cacheprovider", "-q", GOLDEN)
    assert done.returncode == 0, done.stdout
    last = done.stdout.splitlines()[-1]
    assert " passed in " in last, last
    assert "skipped" not in last, last


def test_the_server_answers_a_request(machine: Path, project_root: Path) -> None:
    server = subprocess.Popen(
        [machine / "bin" / "edgewright", "serve", GOOD, "--http", "127.0.0.1:0", "--json"],
        cwd=project_root,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line, server.communicate()[1].decode()
        with InferenceClient(json.loads(line)["address"], timeout_s=RUNNING_S) as client:
            x = np.stack([np.full((8, 3), -1), np.full((8, 3), 1)]).astype(np.float32)
            answer = client.infer("golden", {"x": x})
        assert answer.outputs["logits"].tolist() == [[4, -4], [-4, 4]]
        assert answer.outputs["label"].tolist() == ["rest", "move"]
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=RUNNING_S) == 0
    finally:
        server.kill()
        server.communicate()


def test_the_agent_commits_a_bundle_and_refuses_one_whose_probe_answers_otherwise(
    python: Run, tmp_path: Path
) -> None:
    key, home, wrong = tmp_path / "key.pub", tmp_path / "home", tmp_path / "wrong.ewb"
    key.write_text(MAKER.public.public_hex)
    build_tiny(wrong, signer=MAKER, change=wrong_output)

    def agent(*words: object) -> subprocess.CompletedProcess[str]:
        return python("-m", "edgewright", "agent", *words, "--home", home, "--json")

    assert agent("enroll", "--key", key, "--device", "d1").returncode == 0
    refused = agent("apply", wrong)
    progress = _json(agent("apply", GOOD))
    status = _json(agent("status"))

    assert refused.returncode == DeviceError.exit_code
    assert "golden vectors" in refused.stderr
    assert (progress["event"], progress["reason"]) == ("done", "committed")
    assert status["facts"]["cpu"] == "aarch64"
    versions = {model["model"]: model["version"] for model in status["models"]}
    assert versions["golden"] == "1.0.0"


def _json(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
