"""Golden requests through a real server by the real child, and children that misbehave."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from edgewright.bundle import unpack
from edgewright.chain.agent_parts import REPLAY_COMMAND
from edgewright.device.agent import Answer, ProcessReplay
from edgewright.errors import ResourceError
from edgewright.testing.bundles import MODEL, build_tiny

pytestmark = pytest.mark.timeout(120)


def collect(replay: ProcessReplay, folder: Path, count: int) -> list[Answer]:
    async def scene() -> list[Answer]:
        answers: list[Answer] = []
        async with aclosing(replay.answers(MODEL, folder, pace_s=0.01)) as stream:
            async for answer in stream:
                answers.append(answer)
                if len(answers) == count:
                    break
        return answers

    return asyncio.run(scene())


def slot(folder: Path, version: str) -> Path:
    build_tiny(folder / f"{version}.ewb", version=version)
    unpack(folder / f"{version}.ewb", folder / version)
    return folder / version


@pytest.fixture
def socket(tmp_path: Path) -> Iterator[Path]:
    """A server of version 1."""
    path = tmp_path / "s.sock"
    command = [sys.executable, "-m", "edgewright", "serve", str(slot(tmp_path, "1"))]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen([*command, "--uds", str(path)], stdout=log, stderr=log)
    deadline_s = time.monotonic() + 60
    while not path.exists() and server.poll() is None and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert path.exists(), (tmp_path / "log").read_text()
    yield path
    server.terminate()
    server.wait(20)


def test_right_answers_are_timed_and_wrong_ones_named(socket: Path, tmp_path: Path) -> None:
    replay = ProcessReplay((*REPLAY_COMMAND, str(socket)))
    right = collect(replay, tmp_path / "1", 8)
    assert all(not answer.problem and answer.latency_ms > 0 for answer in right)
    wrong = collect(replay, slot(tmp_path, "2"), 3)
    assert all(answer.is_wrong and answer.problem for answer in wrong)


def test_a_socket_that_nobody_serves_is_no_answer_of_the_model(tmp_path: Path) -> None:
    replay = ProcessReplay((*REPLAY_COMMAND, str(tmp_path / "none.sock")))
    with pytest.raises(ResourceError, match="cannot be sent"):
        collect(replay, slot(tmp_path, "1"), 1)


LINE = "print('{\"latency_ms\": 1.0}', flush=True)"


@pytest.mark.parametrize(
    ("code", "silence_s", "reason"),
    [
        ("raise SystemExit(3)", 30.0, "ended with code 3"),
        ("import os; os.abort()", 30.0, "SIGABRT"),
        ("print('I am fine')", 30.0, "malformed"),
        ("import time; time.sleep(60)", 0.5, "said nothing for 0.5 s"),
    ],
)
def test_a_child_that_misbehaves_is_started_again_and_then_told(
    tmp_path: Path, code: str, silence_s: float, reason: str
) -> None:
    replay = ProcessReplay((sys.executable, "-c", code), silence_s=silence_s)
    with pytest.raises(ResourceError, match=reason):
        collect(replay, tmp_path, 1)


def test_answers_go_on_when_the_child_was_killed_once(tmp_path: Path) -> None:
    code = f"import os, signal; {LINE}; {LINE}; os.kill(os.getpid(), signal.SIGKILL)"
    assert len(collect(ProcessReplay((sys.executable, "-c", code)), tmp_path, 5)) == 5
