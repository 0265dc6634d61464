"""One update from end to end on a real disk: the good way, and every way to refuse."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgewright.device.agent import Event, ServingSample, State
from edgewright.device.agent.progress import Release
from edgewright.errors import (
    DeviceError,
    EdgewrightError,
    InputError,
    ResourceError,
    TransportError,
    TrustError,
)
from edgewright.telemetry import ProbeReport
from edgewright.testing import MemorySigner
from edgewright.testing.bundles import MODEL

FORWARD = ["download", "verify", "stage", "probe", "shadow", "activate", "probation", "commit"]


def test_a_good_file_is_verified_probed_activated_and_committed(device: Any, play: Any) -> None:
    bundle = play(device.install("1"))
    assert device.states() == [*FORWARD, "idle"]
    assert device.current == device.served == device.progress().good == bundle
    assert device.probe.folders == [device.home.slots / MODEL / bundle]


def test_shadow_is_journalled_as_skipped_with_its_reason(device: Any, play: Any) -> None:
    play(device.install("1"))
    lines = [line.progress for line in device.agent.recorder.journal.lines]
    skipped = next(line for line in lines if line.state is State.ACTIVATE)
    assert skipped.event == "skipped"
    assert "no old model is served" in skipped.reason


def test_last_good_and_factory_slots_stay_and_older_ones_go(device: Any, play: Any) -> None:
    async def scene() -> list[str]:
        return [await device.install(version) for version in ("1", "2", "3", "4")]

    one, _, three, four = play(scene())
    assert device.slots() == {one, three, four}
    assert device.progress().committed == (four, three, one)


def test_applying_the_active_bundle_again_changes_nothing(device: Any, play: Any) -> None:
    play(device.install("1"))
    before = device.states()
    play(device.install("1"))
    assert device.states() == before


def spoiled(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-700])


@pytest.mark.parametrize("spoil", [spoiled, cut_short, lambda path: path.write_bytes(b"no tar")])
def test_a_corrupt_file_leaves_nothing_but_its_line(device: Any, play: Any, spoil: Any) -> None:
    good = play(device.install("1"))
    before = device.files()
    path = device.bundle("2")
    spoil(path)
    with pytest.raises(TrustError):
        play(device.agent.apply(path))
    last = device.agent.recorder.journal.lines[-1].progress
    assert (last.model, last.event) == ("", "refused")
    assert path.name in last.reason
    assert device.files() == before
    assert device.current == device.served == good


def test_a_bundle_of_another_key_is_refused_before_it_is_unpacked(device: Any, play: Any) -> None:
    good = play(device.install("1"))
    before = device.files()
    with pytest.raises(TrustError, match="trusted key"):
        play(device.agent.apply(device.bundle("2", signer=MemorySigner.from_seed(9))))
    assert device.states()[-2:] == ["verify", "idle"]
    assert (device.files(), device.current) == (before, good)


def test_a_failed_probe_keeps_the_old_model_and_says_why(device: Any, play: Any) -> None:
    good = play(device.install("1"))
    device.probe.report = ProbeReport(passed=False, reason="golden vectors: off by 3")
    before = device.files()
    with pytest.raises(DeviceError, match="off by 3"):
        play(device.install("2"))
    assert "off by 3" in device.progress().bad[0].reason
    assert (device.files(), device.current, device.served) == (before, good, good)
    assert "activate" not in device.states()[9:]


def killed_first(device: Any, times: int) -> None:
    """Let the probe be killed that many times before it gives a verdict."""
    killed = ProbeReport(passed=False, reason="died by SIGKILL", was_killed=True)

    def look(_: Path) -> None:
        is_killed = len(device.probe.folders) - first <= times
        device.probe.report = killed if is_killed else ProbeReport(passed=True)

    first = len(device.probe.folders)
    device.probe.on_run = look


def test_a_probe_that_was_killed_from_outside_runs_again(device: Any, play: Any) -> None:
    play(device.install("1"))
    killed_first(device, 2)
    bundle = play(device.install("2"))
    assert device.current == bundle
    assert device.progress().bad == ()
    assert device.states().count("probe") == 1 + 3


def test_a_release_whose_probe_is_always_killed_is_given_up(device: Any, play: Any) -> None:
    good = play(device.install("1"))
    killed_first(device, 99)
    with pytest.raises(DeviceError, match="SIGKILL"):
        play(device.install("2"))
    assert device.current == good
    assert "SIGKILL" in device.progress().bad[0].reason
    assert len(device.probe.folders) == 1 + 3


def test_a_bundle_the_server_cannot_load_is_rolled_back(device: Any, play: Any) -> None:
    good = play(device.install("1"))
    path = device.bundle("2")
    bundle = play(device.agent.release_of(path)).bundle_id
    device.server.refused.add(bundle)
    with pytest.raises(DeviceError, match="cannot load"):
        play(device.agent.apply(path))
    assert device.states()[-3:] == ["activate", "rollback", "idle"]
    assert device.current == device.served == good
    assert bundle not in device.slots()


BAD_SAMPLES = {
    "not ready": ServingSample(is_ready=False, reason="golden answer is wrong"),
    "errors": ServingSample(is_ready=True, requests=200, errors=60),
    "restarted": ServingSample(is_ready=True, requests=-1),
}


@pytest.mark.parametrize("kind", sorted(BAD_SAMPLES))
def test_a_bad_probation_is_rolled_back_without_the_fleet(
    device: Any, play: Any, kind: str
) -> None:
    good = play(device.install("1"))
    device.fleet.error = TransportError("no network")
    device.server.samples = [ServingSample(is_ready=True), BAD_SAMPLES[kind]]
    with pytest.raises(DeviceError, match="probation"):
        play(device.install("2"))
    assert device.states()[-3:] == ["probation", "rollback", "idle"]
    assert device.current == device.served == good
    assert len(device.progress().bad) == 1


def test_the_first_bundle_of_a_device_may_fail_too(device: Any, play: Any) -> None:
    device.server.samples = [BAD_SAMPLES["not ready"]]
    with pytest.raises(DeviceError):
        play(device.install("1"))
    assert (device.current, device.served, device.slots()) == ("", "", set())
    assert device.progress().committed == ()


def test_a_refused_release_is_not_taken_from_the_fleet_again(device: Any, play: Any) -> None:
    device.fleet.offer(device.bundle("2"))
    device.probe.report = ProbeReport(passed=False, reason="slow")
    for _ in range(3):
        with pytest.raises(DeviceError, match="slow"):
            play(device.agent.follow_once())
    assert len(device.probe.folders) == 1
    assert [record.state for record in device.fleet.records].count("probe") == 1


def test_a_person_may_apply_a_bad_release_again(device: Any, play: Any) -> None:
    device.probe.report = ProbeReport(passed=False, reason="too warm today")
    with pytest.raises(DeviceError):
        play(device.install("2"))
    device.probe.report = ProbeReport(passed=True)
    bundle = play(device.install("2"))
    assert device.current == bundle
    assert device.progress().bad == ()


def test_a_cut_download_goes_on_where_it_stopped(device: Any, play: Any) -> None:
    wanted = device.fleet.offer(device.bundle("2", filler_bytes=20_000))
    device.fleet.cut_after_bytes = 8_000
    progress = play(device.agent.follow_once())[0]
    assert progress.good == device.current == wanted.bundle_id
    assert device.fleet.sent_bytes == wanted.file_size_bytes
    assert not list(device.home.downloads.iterdir())


def test_a_download_goes_on_after_a_restart(device: Any, play: Any) -> None:
    wanted = device.fleet.offer(device.bundle("2", filler_bytes=20_000))
    device.home.downloads.mkdir(parents=True)
    part = device.home.downloads / f"{wanted.file_sha256}.part"
    part.write_bytes(device.fleet.files[wanted.bundle_id].read_bytes()[:9_000])
    play(device.agent.follow_once())
    assert device.current == wanted.bundle_id
    assert device.fleet.sent_bytes == wanted.file_size_bytes - 9_000


def test_telemetry_tells_every_step_once_in_order(device: Any, play: Any) -> None:
    device.fleet.offer(device.bundle("2"))
    play(device.agent.follow_once())
    assert [record.state for record in device.fleet.records] == [*FORWARD, "idle"]
    assert [record.sequence for record in device.fleet.records] == list(range(1, 10))
    play(device.agent.follow_once())
    assert len(device.fleet.records) == 9


def test_a_report_that_cannot_be_sent_is_no_failure(device: Any, play: Any) -> None:
    bundle = play(device.install("1"))
    device.fleet.error = TransportError("no network")
    with pytest.raises(TransportError):
        play(device.agent.follow_once())
    device.fleet.error = None
    device.start()
    play(device.agent.follow_once())
    assert device.current == bundle
    assert [record.state for record in device.fleet.records] == [*FORWARD, "idle"]


def test_the_file_must_be_the_bundle_that_the_fleet_promised(device: Any, play: Any) -> None:
    wanted = device.fleet.offer(device.bundle("2"))
    other = device.fleet.offer(device.bundle("3"))
    lie = {field: getattr(other, field) for field in other.__struct_fields__}
    device.fleet.wanted[MODEL] = type(other)(**lie | {"bundle_id": wanted.bundle_id})
    device.fleet.files[wanted.bundle_id] = device.fleet.files[other.bundle_id]
    with pytest.raises(TrustError, match="promised"):
        play(device.agent.follow_once())
    assert device.slots() == set()


HOOKS = {"preprocess.py": b"def preprocess(inputs):\n    return inputs\n"}


def test_hooks_are_refused_before_they_are_staged_unless_allowed(device: Any, play: Any) -> None:
    path = device.bundle("1", hooks=HOOKS)
    with pytest.raises(TrustError, match=r"carries preprocess.py.*allow_hooks"):
        play(device.agent.apply(path))
    assert (device.current, device.slots()) == ("", set())
    device.allow_hooks = True
    device.start()
    assert play(device.agent.apply(path)).good == device.current


def test_a_hook_of_no_such_name_is_refused(device: Any, play: Any) -> None:
    device.allow_hooks = True
    device.start()
    with pytest.raises(InputError, match=r"no such hook.*preprocess.py, postprocess.py"):
        play(device.agent.apply(device.bundle("1", hooks={"boot.py": b""})))
    assert device.slots() == set()


def test_a_model_name_that_is_a_path_is_refused(device: Any, play: Any) -> None:
    wanted = device.fleet.offer(device.bundle("2"))
    fields = {field: getattr(wanted, field) for field in wanted.__struct_fields__}
    device.fleet.wanted = {"x": type(wanted)(**fields | {"model": "../../etc"})}
    with pytest.raises(TrustError, match="model name"):
        play(device.agent.follow_once())
    assert device.states() == []


def test_a_full_disk_is_nobodys_fault_and_leaves_nothing(device: Any, play: Any) -> None:
    good = play(device.install("1"))
    before = device.files()
    device.disk_budget_mb = 0.1
    device.start()
    with pytest.raises(ResourceError, match="budget"):
        play(device.install("2", filler_bytes=200_000))
    assert (device.files(), device.current, device.progress().bad) == (before, good, ())


def test_the_bundle_before_goes_when_there_is_no_other_room(device: Any, play: Any) -> None:
    filler = 600 << 10
    factory, _, good = [play(device.install(v, filler_bytes=filler)) for v in ("1", "2", "3")]
    device.disk_budget_mb = 2.6
    device.start()
    four = play(device.install("4", filler_bytes=filler))
    assert device.slots() == {factory, good, four}
    assert play(device.agent.go_back("it smokes", device.update())).good == good
    device.disk_budget_mb = 1.0
    device.start()
    with pytest.raises(ResourceError, match="slots and downloads hold"):
        play(device.install("5", filler_bytes=filler))
    assert device.slots() == {factory, good}


def test_the_file_of_a_download_needs_room_too(device: Any, play: Any) -> None:
    device.disk_budget_mb = 1.0
    device.start()
    device.fleet.offer(device.bundle("1", filler_bytes=600 << 10))
    with pytest.raises(ResourceError, match="would exceed the budget"):
        play(device.agent.follow_once())
    play(device.agent.apply(device.bundle("1", filler_bytes=600 << 10)))
    assert device.current


def test_going_back_returns_to_the_bundle_before(device: Any, play: Any) -> None:
    async def scene() -> tuple[str, str]:
        one, two = await device.install("1"), await device.install("2")
        await device.agent.go_back("too hot", device.update())
        return one, two

    one, two = play(scene())
    assert device.current == device.served == one
    assert "too hot" in device.progress().why_bad(two)
    with pytest.raises(InputError, match="no earlier bundle"):
        play(device.agent.go_back("again", device.update()))


def test_going_back_needs_no_fleet_and_skips_a_damaged_slot(device: Any, play: Any) -> None:
    async def scene() -> list[str]:
        return [await device.install(version) for version in ("1", "2", "3")]

    one, two, _ = play(scene())
    next((device.home.slots / MODEL / two / "blobs").iterdir()).write_bytes(b"flipped")
    play(device.agent.go_back("it drifts", device.update()))
    assert device.current == device.served == one


def hanging_in(update: Any, state: State, begun: Callable[[], None]) -> None:
    """Let an update's action of this state tell that it began and never end, the first time."""
    actions = update._actions._by_state

    async def hang(progress: Any, release: Any) -> Any:
        update._actions._by_state = actions
        begun()
        await asyncio.Event().wait()
        raise AssertionError

    update._actions._by_state = {**actions, state: hang}


CANCELLABLE = [state for state in State if state not in {State.IDLE, State.ROLLBACK}]


@pytest.mark.parametrize("state", CANCELLABLE)
def test_an_update_can_be_cancelled_in_every_state(device: Any, play: Any, state: State) -> None:
    async def scene() -> str:
        good = await device.install("1")
        update = device.update()
        hanging_in(update, state, lambda: update.cancel("changed my mind"))
        release = await device.agent.release_of(device.bundle("2"))
        with pytest.raises(DeviceError, match="changed my mind"):
            await device.agent.take(release, update)
        return good

    good = play(scene())
    assert device.current == device.served == good
    assert (device.progress().state, device.progress().bad) == (State.IDLE, ())
    play(device.install("2"))
    assert device.current == device.served != good


def test_a_cancelled_rollback_goes_on_rolling_back(device: Any, play: Any) -> None:
    async def scene() -> str:
        one = await device.install("1")
        await device.install("2")
        update = device.update()
        hanging_in(update, State.ROLLBACK, lambda: update.cancel("too late"))
        await device.agent.go_back("it smokes", update)
        return one

    one = play(scene())
    assert device.current == one


def test_a_cancellation_that_came_too_late_ends_no_later_update(device: Any, play: Any) -> None:
    async def scene() -> None:
        await device.install("1")
        update = device.update()
        update.cancel("too late")
        release = await device.agent.release_of(device.bundle("2"))
        await device.agent.take(release, update)

    play(scene())
    assert "cancelled" not in [line.progress.event for line in device.agent.recorder.journal.lines]


@pytest.mark.parametrize("state", CANCELLABLE)
def test_every_state_has_a_deadline_that_blames_nobody_at_once(
    device: Any, play: Any, state: State
) -> None:
    good = play(device.install("1"))
    device.deadlines_s = {state: 0.01}
    device.start()

    async def scene() -> None:
        update = device.update()
        hanging_in(update, state, lambda: None)
        release = await device.agent.release_of(device.bundle("2"))
        with pytest.raises(EdgewrightError):
            await device.agent.take(release, update)

    play(scene())
    assert device.current == device.served == good
    events = [line.progress.event for line in device.agent.recorder.journal.lines]
    assert Event.TIMED_OUT in events
    assert device.progress().bad == ()


def test_a_state_that_hangs_ends_at_its_deadline(device: Any, play: Any) -> None:
    class Hanging:
        async def run(self, folder: Path) -> ProbeReport:
            await asyncio.Event().wait()
            raise AssertionError

    good = play(device.install("1"))
    device.probe = Hanging()
    device.deadlines_s = {State.PROBE: 0.02}
    device.start()
    with pytest.raises(EdgewrightError, match="longer than"):
        play(device.install("2"))
    assert (device.progress().event, device.current) == (Event.TIMED_OUT, good)


def test_two_models_are_independent(device: Any, play: Any) -> None:
    async def scene() -> str:
        good = await device.install("1")
        device.probe.report = ProbeReport(passed=False, reason="bad")
        with pytest.raises(DeviceError):
            await device.install("1", name="other")
        return good

    good = play(scene())
    assert device.current == good
    assert device.agent.tools.slots.current("other") == ""
    assert not (device.home.slots / "other").exists()


def test_a_lost_local_file_is_told(device: Any, play: Any) -> None:
    path = device.bundle("1")
    release = play(device.agent.release_of(path))
    shutil.move(path, path.with_suffix(".moved"))
    with pytest.raises(ResourceError, match="is gone"):
        play(device.agent.take(release, device.update()))
    with pytest.raises(InputError):
        play(device.agent.release_of(path))


def test_a_release_value_from_the_journal_is_readable(device: Any, play: Any) -> None:
    play(device.install("1"))
    release = device.progress().release
    assert isinstance(release, Release)
    assert (release.origin, release.version) == ("file", "1")


@pytest.mark.parametrize("hops", range(8))
def test_a_stop_is_heard_in_whatever_turn_of_the_loop_it_comes(
    device: Any, play: Any, hops: int
) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        release = await device.agent.release_of(device.bundle("1"))
        task = asyncio.create_task(device.agent.take(release, device.update()))

        def cancel_later(hops: int) -> None:
            loop.call_soon(cancel_later, hops - 1) if hops else task.cancel()

        async def run(folder: Path) -> ProbeReport:
            cancel_later(hops)
            return ProbeReport(passed=True)

        device.probe.run = run
        device.server.sample = _never
        await asyncio.wait({task}, timeout=5)
        assert task.cancelled()

    play(scene())
    assert device.progress().event == "stopped"


async def _never(model: str) -> Any:
    await asyncio.Event().wait()
