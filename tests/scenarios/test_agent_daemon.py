"""The agent that stays, on fakes: follows the fleet, obeys orders, tells what came of it."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edgewright.device.agent import Daemon, Event, Order, State
from edgewright.device.agent.control import Control, send_order
from edgewright.device.agent.recorder import Recorder
from edgewright.errors import DeviceError, InputError, ResourceError, TransportError
from edgewright.telemetry import ProbeReport
from edgewright.testing.bundles import MODEL

POLL_S = 1.0
FACTOR = 100.0


class FastClock:
    """Time runs a hundred times as fast; several tasks wait on it at once."""

    def wall_s(self) -> float:
        return 1_700_000_000.0 + self.monotonic_s()

    def monotonic_s(self) -> float:
        return FACTOR * time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / FACTOR)


@asynccontextmanager
async def service(device: Any) -> AsyncIterator[Daemon]:
    """A daemon that runs in the background."""
    device.clock = FastClock()
    device.start()
    daemon = Daemon(device.agent, poll_s=POLL_S, rng=random.Random(1))
    task = asyncio.create_task(daemon.run())
    try:
        yield daemon
    finally:
        daemon.stop()
        await task


async def until(look: Callable[[], Any]) -> None:
    async with asyncio.timeout(15):
        while not look():  # noqa: ASYNC110 - what is looked at knows no event
            await asyncio.sleep(0.005)


def is_idle_on(device: Any, bundle: str) -> bool:
    progress = device.progress()
    return (progress.good, progress.state) == (bundle, State.IDLE)


def test_what_the_fleet_wants_is_taken_and_told(device: Any, play: Any) -> None:
    async def scene() -> None:
        async with service(device):
            for version in ("1", "2"):
                wanted = device.fleet.offer(device.bundle(version)).bundle_id
                await until(lambda w=wanted: is_idle_on(device, w))
            await until(lambda: told_states(device)[-1:] == ["idle"])

    play(scene())
    assert device.served == device.current
    assert told_states(device).count("commit") == 2


def test_memory_is_given_back_when_a_model_rests_and_not_before(device: Any, play: Any) -> None:
    states: list[State] = []

    async def scene() -> None:
        async with service(device) as daemon:
            daemon.on_rest = lambda: states.append(device.progress().state)
            wanted = device.fleet.offer(device.bundle("1")).bundle_id
            await until(lambda: is_idle_on(device, wanted) and states)

    play(scene())
    assert set(states) == {State.IDLE}


def told_states(device: Any) -> list[str]:
    return [record.state for record in device.fleet.records if hasattr(record, "state")]


def test_a_silent_fleet_changes_nothing_and_is_asked_on(device: Any, play: Any) -> None:
    async def scene() -> str:
        one = await device.install("1")
        device.fleet.error = TransportError("no network")
        async with service(device):
            await until(lambda: device.served == one)
            await asyncio.sleep(0.1)
            device.fleet.error = None
            two = device.fleet.offer(device.bundle("2")).bundle_id
            await until(lambda: is_idle_on(device, two))
        return two

    bundle = play(scene())
    assert device.current == bundle


def test_a_release_that_is_wanted_no_more_is_cancelled(device: Any, play: Any) -> None:
    async def scene() -> str:
        waiting = asyncio.Event()

        async def run(folder: Path) -> ProbeReport:
            if not waiting.is_set():
                waiting.set()
                await asyncio.Event().wait()
            return ProbeReport(passed=True)

        device.probe.run = run
        async with service(device):
            device.fleet.offer(device.bundle("1"))
            await waiting.wait()
            two = device.fleet.offer(device.bundle("2")).bundle_id
            await until(lambda: is_idle_on(device, two))
        return two

    bundle = play(scene())
    assert device.current == bundle
    events = [line.progress.event for line in device.agent.recorder.journal.lines]
    assert Event.CANCELLED in events
    assert device.progress().bad == ()


def test_a_download_that_fails_is_tried_ever_more_seldom(device: Any, play: Any) -> None:
    async def scene() -> None:
        device.fleet.cut_after_bytes = 0
        device.fleet.offer(device.bundle("1"))
        async with service(device):
            await until(lambda: device.states().count("download") >= 6)

    play(scene())
    lines = [line.progress for line in device.agent.recorder.journal.lines]
    starts = [line.at_s for line in lines if line.state == "download"]
    assert starts[5] - starts[4] > 2 * (starts[1] - starts[0])
    assert device.progress().bad == ()


def test_an_order_to_go_back_interrupts_a_probation(device: Any, play: Any) -> None:
    async def scene() -> tuple[str, str]:
        one, two = await device.install("1"), await device.install("2")
        device.probation_s = 1e6
        async with service(device) as daemon:
            device.fleet.offer(device.bundle("3"))
            await until(lambda: device.progress().state is State.PROBATION)
            progress = await daemon.go_back(MODEL, "it smokes")
            assert progress.good == one
        return one, two

    one, two = play(scene())
    assert device.current == device.served == one
    assert "it smokes" in device.progress().why_bad(two)


def test_orders_come_over_the_socket_and_errors_go_back(device: Any, play: Any) -> None:
    async def scene() -> None:
        socket = device.home.control_socket
        async with service(device) as daemon:
            control = await Control(device.agent, daemon).listen(socket, device.clock)
            done = await send_order(socket, "apply", Order(path=str(device.bundle("1"))))
            assert done.good == device.current
            with pytest.raises(InputError, match="no earlier bundle"):
                await send_order(socket, "rollback", Order(model=MODEL))
            with pytest.raises(InputError, match="not on this device"):
                await send_order(socket, "rollback", Order(model="other"))
            with pytest.raises(InputError, match="no such order"):
                await send_order(socket, "dance", Order())
            device.probe.report = ProbeReport(passed=False, reason="slow")
            with pytest.raises(DeviceError, match="slow"):
                await send_order(socket, "apply", Order(path=str(device.bundle("2"))))
            with pytest.raises(InputError, match="nothing to cancel"):
                await send_order(socket, "cancel", Order(model=MODEL))
            await control.close()

    play(scene())


def test_a_server_that_keeps_dying_sends_the_model_that_changed_last_back(
    device: Any, play: Any
) -> None:
    async def scene() -> str:
        one, _ = await device.install("1"), await device.install("2")
        async with service(device) as daemon:
            await until(lambda: device.served)
            daemon.server_broke("it died by SIGSEGV, 3 times")
            await until(lambda: is_idle_on(device, one))
        return one

    bundle = play(scene())
    assert device.served == bundle
    reasons = [line.progress.reason for line in device.agent.recorder.journal.lines]
    assert any("SIGSEGV" in reason for reason in reasons)


def test_a_stop_in_the_middle_is_resumed_without_being_counted(device: Any, play: Any) -> None:
    async def scene() -> None:
        started = asyncio.Event()

        async def run(folder: Path) -> ProbeReport:
            started.set()
            await asyncio.Event().wait()
            raise AssertionError

        device.probe.run = run
        device.fleet.offer(device.bundle("1"))
        async with service(device):
            await started.wait()

    async def again() -> None:
        del device.probe.run
        device.start()
        await device.agent.settle()

    play(scene())
    assert (device.progress().state, device.progress().event) == (State.PROBE, "stopped")
    play(again())
    assert device.current == device.progress().good != ""
    assert device.progress().tries == {}


def test_a_full_disk_does_not_end_the_agent(device: Any, play: Any) -> None:
    async def scene() -> str:
        async with service(device) as daemon:
            write, failures = device.agent.recorder.journal.write, []

            def failing(progress: Any) -> Any:
                if len(failures) < 3 and progress.state == "stage":
                    failures.append(progress)
                    raise ResourceError("the disk is full")
                return write(progress)

            device.agent.recorder.journal.write = failing
            wanted = device.fleet.offer(device.bundle("1")).bundle_id
            await until(lambda: is_idle_on(device, wanted))
            assert len(failures) == 3
            assert daemon
        return wanted

    bundle = play(scene())
    assert device.current == bundle


def test_a_full_disk_under_the_outbox_hinders_neither_updates_nor_a_start(
    device: Any, play: Any
) -> None:
    disk = {"is_full": True}

    def fill(outbox: Any) -> None:
        add = outbox.add

        def failing(*words: Any, **options: Any) -> None:
            if disk["is_full"]:
                raise ResourceError("the disk is full")
            add(*words, **options)

        outbox.add = failing

    async def scene() -> None:
        async with service(device):
            fill(device.agent.recorder.outbox)
            wanted = device.fleet.offer(device.bundle("1")).bundle_id
            await until(lambda: is_idle_on(device, wanted))
            Recorder(device.agent.recorder.journal, device.agent.recorder.outbox)
            assert told_states(device) == []
            disk["is_full"] = False
            wanted = device.fleet.offer(device.bundle("2")).bundle_id
            await until(lambda: is_idle_on(device, wanted))
            await until(lambda: told_states(device)[-1:] == ["idle"])

    play(scene())
    assert told_states(device).count("commit") == 2


def test_a_defect_ends_the_agent_loudly(device: Any, play: Any) -> None:
    async def scene() -> None:
        async with service(device) as daemon:

            async def defect(update: Any) -> Any:
                raise RuntimeError("a defect")

            daemon._worker(MODEL).submit(defect)
            await asyncio.sleep(0.2)

    with pytest.raises(RuntimeError, match="a defect"):
        play(scene())


def told_reasons(device: Any) -> list[str]:
    return [record.reason for record in device.fleet.records if hasattr(record, "state")]


def test_an_order_for_what_runs_already_is_answered_once(device: Any, play: Any) -> None:
    async def scene() -> None:
        one = await device.install("1")
        async with service(device):
            wanted = device.fleet.offer(device.bundle("1")).bundle_id
            assert wanted == one
            await until(lambda: "kept: it runs here already" in told_reasons(device))
            await asyncio.sleep(5 * POLL_S / FACTOR)

    play(scene())
    assert told_reasons(device).count("kept: it runs here already") == 1


def test_an_order_for_a_release_that_was_found_bad_is_refused_at_once(
    device: Any, play: Any
) -> None:
    async def refusing(folder: Path) -> ProbeReport:
        return ProbeReport(passed=False, reason="output 3 differs")

    async def scene() -> str:
        one = await device.install("1")
        device.probe.run = refusing
        async with service(device):
            two = device.fleet.offer(device.bundle("2"))
            await until(lambda: device.progress().why_bad(two.bundle_id))
            device.fleet.wanted.clear()
            await asyncio.sleep(5 * POLL_S / FACTOR)
            device.fleet.offer(device.bundle("2"))
            await until(lambda: told_reasons(device)[-1].startswith("refused: found bad here"))
        return one

    bundle = play(scene())
    assert device.current == bundle


def test_a_first_order_that_is_withdrawn_is_ended(device: Any, play: Any) -> None:
    async def scene() -> None:
        waiting = asyncio.Event()

        async def run(folder: Path) -> ProbeReport:
            waiting.set()
            await asyncio.Event().wait()
            return ProbeReport(passed=True)

        device.probe.run = run
        async with service(device):
            device.fleet.offer(device.bundle("1"))
            await waiting.wait()
            device.fleet.wanted.clear()
            await until(lambda: "cancelled: the fleet wants it no more" in told_reasons(device))

    play(scene())
    assert device.current == ""
    assert device.progress().bad == ()
