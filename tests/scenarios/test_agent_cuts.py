"""Cuts at every step, damaged disks, wrong clocks: one verified model is active afterwards."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgewright.chain.agent_frozen import show_committed
from edgewright.device.agent import State
from edgewright.errors import DeviceError, EdgewrightError, ResourceError
from edgewright.telemetry import ProbeReport
from edgewright.testing.bundles import MODEL
from edgewright.testing.device import FakeServer

STEPS = [
    "download",
    "verify",
    "stage",
    "probe",
    "shadow",
    "activate",
    "probation",
    "commit",
    "idle",
]


class Cut(BaseException):
    """The power goes: nothing catches it."""


def cut_at(device: Any, state: str, *, is_kept: bool) -> None:
    """Let the agent die when it writes that it enters a state, just after or just before."""
    write = device.agent.recorder.write

    def cutting(progress: Any) -> None:
        if progress.state != state or is_kept:
            write(progress)
        if progress.state == state:
            raise Cut

    device.agent.tools = msgspec.structs.replace(device.agent.tools, write=cutting)


def assert_sound(device: Any, play: Any, allowed: set[str]) -> None:
    """Exactly one verified active bundle, served, and nothing on disk that is not needed."""
    slots = device.agent.tools.slots
    assert device.current in allowed
    assert device.served == device.current == device.progress().good
    assert slots.why_unusable(MODEL, device.current) == ""
    assert device.progress().state is State.IDLE
    assert device.slots() == set(device.progress().committed)
    assert [name for name in device.files() if ".tmp-" in name or "downloads" in name] == []


@pytest.mark.parametrize("is_kept", [True, False], ids=["after the line", "before the line"])
@pytest.mark.parametrize("state", STEPS)
def test_a_cut_at_any_step_is_resumed_to_the_new_bundle(
    device: Any, play: Any, state: str, is_kept: bool
) -> None:
    old = play(device.install("1"))
    wanted = device.fleet.offer(device.bundle("2")).bundle_id
    cut_at(device, state, is_kept=is_kept)
    with pytest.raises(Cut):
        play(device.agent.follow_once())
    device.start()
    play(device.agent.settle())
    assert_sound(device, play, {old, wanted})
    play(device.agent.follow_once())
    assert_sound(device, play, {wanted})
    assert device.progress().bad == ()


@pytest.mark.parametrize("state", STEPS[:-1])
def test_three_cuts_in_one_state_end_on_the_old_bundle(device: Any, play: Any, state: str) -> None:
    old = play(device.install("1"))
    device.fleet.offer(device.bundle("2"))
    for attempt in range(3):
        cut_at(device, state, is_kept=True)
        with pytest.raises(Cut):
            play(device.agent.settle() if attempt else device.agent.follow_once())
        device.start()
    play(device.agent.settle())
    assert_sound(device, play, {old})
    assert "3 of 3" in device.progress().bad[0].reason


@pytest.mark.parametrize("is_kept", [True, False], ids=["after the line", "before the line"])
@pytest.mark.parametrize("state", ["rollback", "idle"])
def test_a_cut_during_a_rollback_is_finished(
    device: Any, play: Any, state: str, is_kept: bool
) -> None:
    async def scene() -> tuple[str, str]:
        return await device.install("1"), await device.install("2")

    one, two = play(scene())
    cut_at(device, state, is_kept=is_kept)
    with pytest.raises(Cut):
        play(device.agent.go_back("ordered", device.update()))
    device.start()
    play(device.agent.settle())
    assert_sound(device, play, {one, two})
    assert device.current == (two if (state, is_kept) == ("rollback", False) else one)


def test_a_bundle_that_kills_its_device_in_probation_is_left(device: Any, play: Any) -> None:
    old = play(device.install("1"))
    path = device.bundle("2")
    deadly = play(device.agent.release_of(path)).bundle_id
    sample = device.server.sample

    async def dying(model: str) -> Any:
        if device.served == deadly:
            raise Cut
        return await sample(model)

    device.server.sample = dying
    with pytest.raises(Cut):
        play(device.agent.apply(path))
    cuts = 1
    while True:
        device.start()
        try:
            play(device.agent.settle())
            break
        except Cut:
            cuts += 1
    assert cuts == 3
    assert_sound(device, play, {old})


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("position", range(0, 4000, 157))
def test_a_flipped_bit_in_the_journal_never_takes_the_model(
    device: Any, play: Any, position: int
) -> None:
    async def scene() -> set[str]:
        return {await device.install("1"), await device.install("2")}

    bundles = play(scene())
    flip(device.home.journal_path, position)
    device.start()
    play(device.agent.settle())
    assert_sound(device, play, bundles)


def test_a_lost_journal_keeps_what_is_active(device: Any, play: Any) -> None:
    play(device.install("1"))
    two = play(device.install("2"))
    device.home.journal_path.unlink()
    device.start()
    play(device.agent.settle())
    assert_sound(device, play, {two})
    assert device.progress().event == "adopted"


def slot_file(device: Any, bundle: str) -> Path:
    return max((device.home.slots / MODEL / bundle / "blobs").iterdir(), key=lambda p: p.name)


def test_a_flipped_bit_in_the_active_slot_is_caught_at_load(device: Any, play: Any) -> None:
    one, two = play(device.install("1")), play(device.install("2"))
    flip(slot_file(device, two), 100)
    device.start()
    device.server.shown.clear()
    play(device.agent.settle())
    assert_sound(device, play, {one})
    assert two not in device.server.history[-1]
    assert device.progress().bad == ()


def test_a_damaged_slot_heals_when_the_bundle_is_offered_again(device: Any, play: Any) -> None:
    play(device.install("1"))
    wanted = device.fleet.offer(device.bundle("2")).bundle_id
    play(device.agent.follow_once())
    flip(slot_file(device, wanted), 100)
    device.start()
    play(device.agent.settle())
    play(device.agent.follow_once())
    assert_sound(device, play, {wanted})


def test_the_factory_slot_is_the_last_resort_and_then_none(device: Any, play: Any) -> None:
    bundles = [play(device.install(version)) for version in ("1", "2", "3")]
    for bundle in reversed(bundles[1:]):
        flip(slot_file(device, bundle), 100)
    device.start()
    play(device.agent.settle())
    assert_sound(device, play, {bundles[0]})
    flip(slot_file(device, bundles[0]), 100)
    device.start()
    play(device.agent.settle())
    assert (device.current, device.served, device.slots()) == ("", "", set())


@pytest.mark.parametrize("damage", ["unlinked", "dangling", "elsewhere"])
def test_a_wrong_link_is_put_right(device: Any, play: Any, damage: str) -> None:
    play(device.install("1"))
    two = play(device.install("2"))
    link = device.home.slots / MODEL / "current"
    link.unlink()
    targets = {"dangling": "f" * 64, "elsewhere": "/etc"}
    if damage in targets:
        link.symlink_to(targets[damage])
    device.start()
    play(device.agent.settle())
    assert_sound(device, play, {two})


def test_leftovers_of_a_cut_are_removed(device: Any, play: Any) -> None:
    one = play(device.install("1"))
    slots, downloads = device.home.slots / MODEL, device.home.downloads
    (slots / ".tmp-abc" / "blobs").mkdir(parents=True)
    (slots / ("e" * 64)).mkdir()
    downloads.mkdir(exist_ok=True)
    (downloads / "old.part").write_bytes(b"half")
    (device.home.root / ".tmp-identity").write_bytes(b"half")
    device.start()
    play(device.agent.settle())
    assert_sound(device, play, {one})
    assert device.files() == [name for name in device.files() if name.startswith("slots/")]


@pytest.mark.parametrize("wall_s", [0.0, 4_102_444_800.0])
def test_a_wrong_clock_stops_no_update(device: Any, play: Any, wall_s: float) -> None:
    play(device.install("1"))
    device.clock.set_wall(wall_s)
    two = play(device.install("2"))
    assert_sound(device, play, {two})


def full_journal(device: Any, *, at: int) -> Callable[[], int]:
    """Let the journal fail once, at a certain line."""
    write, count = device.agent.recorder.write, 0

    def failing(progress: Any) -> None:
        nonlocal count
        count += 1
        if count == at:
            raise ResourceError("the disk is full")
        write(progress)

    device.agent.tools = msgspec.structs.replace(device.agent.tools, write=failing)
    return lambda: count


@pytest.mark.parametrize("at", range(1, 10))
def test_a_journal_that_cannot_be_written_ends_the_update_and_no_more(
    device: Any, play: Any, at: int
) -> None:
    old = play(device.install("1"))
    path = device.bundle("2")
    new = play(device.agent.release_of(path)).bundle_id
    full_journal(device, at=at)
    with pytest.raises(ResourceError, match="full"):
        play(device.agent.apply(path))
    device.start()
    play(device.agent.settle())
    assert_sound(device, play, {old, new})
    play(device.agent.apply(path))
    assert_sound(device, play, {new})


def test_one_process_goes_on_after_its_journal_failed_without_blaming(
    device: Any, play: Any
) -> None:
    async def scene() -> str:
        await device.install("1")
        full_journal(device, at=4)
        update = device.update()
        release = await device.agent.release_of(device.bundle("2"))
        with pytest.raises(ResourceError):
            await device.agent.take(release, update)
        assert update.progress.state is State.STAGE
        await device.agent.take(release, update)
        return release.bundle_id

    assert_sound(device, play, {play(scene())})
    assert device.progress().tries == {}


def test_a_server_that_lost_a_model_gets_the_bundle_before(device: Any, play: Any) -> None:
    one, two = play(device.install("1")), play(device.install("2"))
    device.server.refused.add(two)
    device.start()
    play(device.agent.settle())
    assert_sound(device, play, {one})


def test_every_bad_kind_leaves_the_device_as_it_was(device: Any, play: Any) -> None:
    good = play(device.install("1"))
    before = device.files()
    for number, reason in enumerate(("hang", "segfault", "leak", "NaN")):
        device.probe.report = ProbeReport(passed=False, reason=reason)
        with pytest.raises(EdgewrightError, match=reason):
            play(device.install(f"bad{number}"))
    assert (device.files(), device.served) == (before, good)
    assert [bad.reason.split()[1].rstrip(";") for bad in device.progress().bad] == [
        "hang",
        "segfault",
        "leak",
        "NaN",
    ]
    with pytest.raises(DeviceError):
        play(device.install("bad0"))


@pytest.mark.parametrize("state", ["activate", "probation"])
def test_a_disk_that_became_read_only_serves_what_was_committed(
    device: Any, play: Any, state: str
) -> None:
    old = play(device.install("1"))
    wanted = device.fleet.offer(device.bundle("2")).bundle_id
    cut_at(device, state, is_kept=True)
    with pytest.raises(Cut):
        play(device.agent.follow_once())
    slots, models = device.agent.tools.slots, device.agent.recorder.journal.models()
    if state == "probation":
        assert device.current == wanted
    play(show_committed(device.server, slots, models))
    assert device.served == old


def test_a_first_bundle_that_was_not_committed_is_not_served_by_a_frozen_agent(
    device: Any, play: Any
) -> None:
    wanted = device.fleet.offer(device.bundle("1")).bundle_id
    cut_at(device, "probation", is_kept=True)
    with pytest.raises(Cut):
        play(device.agent.follow_once())
    assert device.current == wanted
    server, models = FakeServer(), device.agent.recorder.journal.models()
    play(show_committed(server, device.agent.tools.slots, models))
    assert server.shown == {}
    play(show_committed(server, device.agent.tools.slots, {}))
    assert server.shown[MODEL].name == wanted
