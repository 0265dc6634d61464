"""Scripts of the agent's steps: run when, refused when, and what their failure means."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgewright.bundle import open_bundle
from edgewright.bundle.hooks import Step
from edgewright.chain.agent_parts import STEP_COMMAND
from edgewright.device.agent import ProcessLimits, ProcessProbe, Settings, State
from edgewright.device.agent.step_hooks import StepHooks
from edgewright.errors import DeviceError, EdgewrightError, ResourceError, TrustError
from edgewright.telemetry import ProbeReport
from edgewright.testing.bundles import MODEL
from edgewright.testing.device import inline

STEPS = ("before_activate", "after_commit", "after_rollback")
SCRIPTS = {f"{step}.py": b"" for step in STEPS}


class Runner:
    """Notes the steps; those in `failing` end badly."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, str]] = []
        self.failing: set[str] = set()
        self.lasting: set[str] = set()
        """These do not end by themselves; `lasts` says that one has begun."""
        self.lasts = asyncio.Event()
        self.error: EdgewrightError | None = None
        """Raised instead of running one of `failing`."""

    def __call__(self, step: Step) -> "Runner.One":
        return Runner.One(self, step)

    class One:
        def __init__(self, runner: "Runner", step: Step) -> None:
            self.runner, self.step = runner, step

        async def run(self, folder: Path) -> ProbeReport:
            self.runner.ran.append((self.step, folder.name))
            if self.step in self.runner.lasting:
                self.runner.lasts.set()
                await asyncio.Event().wait()
            if self.runner.error is not None and self.step in self.runner.failing:
                raise self.runner.error
            return ProbeReport(passed=self.step not in self.runner.failing, reason="not now")


@pytest.fixture
def runner(device: Any) -> Runner:
    found = Runner()
    device.step_hooks = StepHooks(found, inline)
    device.start()
    return found


def test_each_script_runs_at_its_step(
    device: Any, play: Callable[..., Any], runner: Runner
) -> None:
    async def scene() -> tuple[str, str]:
        one, two = await device.install("1"), await device.install("2", hooks=SCRIPTS)
        await device.agent.go_back("ordered", device.update())
        return one, two

    one, two = play(scene())
    assert runner.ran == [(step, two) for step in STEPS]
    assert device.current == device.served == one


def test_a_script_that_says_no_before_activation_keeps_the_old_model(
    device: Any, play: Callable[..., Any], runner: Runner
) -> None:
    old = play(device.install("1"))
    runner.failing = {"before_activate"}
    with pytest.raises(DeviceError, match=r"before_activate\.py: not now"):
        play(device.install("2", hooks=SCRIPTS))
    assert device.current == device.served == old
    assert "not now" in device.progress().bad[0].reason


@pytest.mark.parametrize("error", [None, ResourceError("not now: no process is left")])
def test_what_fails_after_the_commit_is_written_down_and_changes_nothing(
    device: Any, play: Callable[..., Any], runner: Runner, error: EdgewrightError | None
) -> None:
    runner.failing, runner.error = {"after_commit", "after_rollback"}, error

    async def scene() -> tuple[str, str]:
        one, two = await device.install("1"), await device.install("2", hooks=SCRIPTS)
        assert device.current == device.served == two
        assert "after_commit.py: not now" in device.progress().reason
        await device.agent.go_back("ordered", device.update())
        return one, two

    one, _ = play(scene())
    assert device.current == device.served == one
    assert "after_rollback.py: not now" in device.progress().reason


@pytest.mark.parametrize("why", ["cancelled", "deadline"])
def test_a_script_that_is_cut_off_after_the_commit_undoes_nothing(
    device: Any, play: Callable[..., Any], runner: Runner, why: str
) -> None:
    """A deadline below the script's own, or somebody who cancels, ends the script alone."""
    device.deadlines_s = {State.COMMIT: 0.01} if why == "deadline" else {}
    device.start()
    runner.lasting = {"after_commit"}

    async def scene() -> tuple[str, str]:
        one = await device.install("1")
        path = device.bundle("2", hooks=SCRIPTS)
        release = await device.agent.release_of(path)
        update = device.update()
        taking = asyncio.ensure_future(device.agent.take(release, update))
        await runner.lasts.wait()
        if why == "cancelled":
            update.cancel("ordered")
        await taking
        return one, release.bundle_id

    _, two = play(scene())
    assert device.current == device.served == two
    assert device.progress().reason == "committed; after_commit.py: cut off before it ended"
    assert device.progress().bad == ()


def test_a_device_that_allows_none_refuses_the_bundle(
    device: Any, play: Callable[..., Any]
) -> None:
    with pytest.raises(TrustError, match="allow_step_hooks"):
        play(device.install("1", hooks=SCRIPTS))
    assert device.files() == []


def probe(step: str, *, timeout_s: float = 20.0) -> ProcessProbe:
    return ProcessProbe((*STEP_COMMAND, step), ProcessLimits(timeout_s=timeout_s))


SAYING = b"""
import os, sys
print("for", os.environ["EDGEWRIGHT_MODEL"], os.environ["EDGEWRIGHT_VERSION"])
sys.exit(3)
"""


def test_a_real_script_learns_its_bundle_and_its_last_words_are_kept(
    device: Any, play: Callable[..., Any]
) -> None:
    folder = slot_with(device, {"after_commit.py": SAYING})
    report = play(probe("after_commit").run(folder))
    assert (report.passed, report.reason) == (False, f"it ended with code 3: for {MODEL} 1")


def test_a_real_script_that_does_not_end_is_ended(device: Any, play: Callable[..., Any]) -> None:
    folder = slot_with(device, {"after_commit.py": b"while True: pass"})
    report = play(probe("after_commit", timeout_s=1.0).run(folder))
    assert (report.passed, report.reason) == (False, "no verdict within 1 s")


LEAVING = b"""
import subprocess, sys
print("asked the neighbour", flush=True)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
"""


def test_a_real_script_is_over_while_what_it_started_still_holds_its_output(
    device: Any, play: Callable[..., Any]
) -> None:
    folder = slot_with(device, {"after_commit.py": LEAVING})
    report = play(probe("after_commit", timeout_s=40.0).run(folder))
    assert (report.passed, report.reason) == (True, "asked the neighbour")


def slot_with(device: Any, scripts: dict[str, bytes]) -> Path:
    bundle = device.bundle("1", hooks=scripts)
    staged = device.agent.tools.slots.stage(bundle, model=MODEL, bundle_id=open_bundle(bundle).id)
    return Path(staged.path)


@pytest.mark.parametrize("seconds", [0.0, 31.0])
def test_a_time_limit_that_a_state_would_not_bear_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="step_hook_timeout_s"):
        Settings(step_hook_timeout_s=seconds)


LASTING = b"""
import os, pathlib, time
pathlib.Path(os.environ["HOME"], "pid").write_text(str(os.getpid()))
time.sleep(120)
"""


def test_a_script_does_not_outlive_an_agent_that_is_killed(device: Any, tmp_path: Path) -> None:
    folder = slot_with(device, {"after_commit.py": LASTING})
    child = subprocess.Popen(
        [*STEP_COMMAND, "after_commit", str(folder)], env={**os.environ, "HOME": str(tmp_path)}
    )
    pid = tmp_path / "pid"
    until(lambda: pid.is_file() and pid.read_text() != "", "the script to begin")
    os.kill(child.pid, signal.SIGKILL)
    child.wait(20)
    until(lambda: not Path("/proc", pid.read_text()).exists(), "the script to end")


def until(is_true: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < deadline_s, f"waited in vain for {what}"
        time.sleep(0.02)
