"""Several models on one device: what happens to one is no matter of the others."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edgewright.bundle import open_bundle
from edgewright.device.agent import Daemon, State
from edgewright.device.agent.status import read_status
from edgewright.errors import DeviceError, InputError
from edgewright.telemetry import ProbeReport
from edgewright.testing.bundles import MODEL

OTHER = "other"


@asynccontextmanager
async def service(device: Any) -> AsyncIterator[Daemon]:
    """A daemon that runs in the background; orders come by hand."""
    daemon = Daemon(device.agent, poll_s=3600.0, rng=random.Random(1))
    task = asyncio.create_task(daemon.run())
    try:
        yield daemon
    finally:
        daemon.stop()
        await task


def refusing(device: Any, version: str) -> None:
    """Let the probe refuse what has this version."""

    async def run(folder: Path) -> ProbeReport:
        is_bad = open_bundle(folder).manifest.version == version
        return ProbeReport(passed=not is_bad, reason="wrong answers" if is_bad else "good")

    device.probe.run = run


async def both(device: Any) -> tuple[str, str]:
    return await device.install("1"), await device.install("1", name=OTHER)


def test_each_model_has_slots_a_journal_and_a_factory_slot_of_its_own(
    device: Any, play: Any
) -> None:
    async def scene() -> None:
        await both(device)
        await device.install("2", name=OTHER)

    play(scene())
    one, other = device.progress(), device.progress(OTHER)
    assert one.good == one.factory
    assert other.previous == other.factory != other.good
    assert device.slots() == {one.good}
    assert device.slots(OTHER) == {other.good, other.previous}


def test_a_bad_update_of_one_model_runs_beside_a_good_one_of_another(
    device: Any, play: Any
) -> None:
    async def scene() -> tuple[str, str]:
        _, other = await both(device)
        refusing(device, "bad")
        bad = await device.agent.release_of(device.bundle("bad", name=OTHER))
        good = await device.agent.release_of(device.bundle("2"))
        async with service(device) as daemon:
            taken, refused = await asyncio.gather(
                daemon.submit(good), daemon.submit(bad), return_exceptions=True
            )
        assert isinstance(refused, DeviceError)
        return taken.good, other

    two, other = play(scene())
    assert (device.progress().good, device.progress().bad) == (two, ())
    assert device.progress(OTHER).good == other
    assert [bad.version for bad in device.progress(OTHER).bad] == ["bad"]
    assert {name: path.name for name, path in device.server.shown.items()} == {
        MODEL: two,
        OTHER: other,
    }


def test_a_model_that_hangs_keeps_no_other_waiting(device: Any, play: Any) -> None:
    async def scene() -> str:
        one, _ = await both(device)
        begun = asyncio.Event()

        async def run(folder: Path) -> ProbeReport:
            if open_bundle(folder).manifest.name == OTHER:
                begun.set()
                await asyncio.Event().wait()
            return ProbeReport(passed=True)

        device.probe.run = run
        async with service(device) as daemon:
            hanging = daemon.submit(await device.agent.release_of(device.bundle("2", name=OTHER)))
            await begun.wait()
            await daemon.submit(await device.agent.release_of(device.bundle("2")))
            await daemon.go_back(MODEL, "it smokes")
            assert device.progress(OTHER).state is State.PROBE
            with pytest.raises(InputError, match="nothing to cancel"):
                await daemon.cancel(MODEL, "no reason")
            assert (await daemon.cancel(OTHER, "it hangs")).state is State.IDLE
            with pytest.raises(DeviceError, match="it hangs"):
                await hanging
        return one

    one = play(scene())
    assert device.current == device.served == one


def test_a_rollback_names_its_model_where_there_are_several(device: Any, play: Any) -> None:
    async def scene() -> tuple[str, str]:
        _, other = await both(device)
        two = await device.install("2")
        await device.install("2", name=OTHER)
        async with service(device) as daemon:
            for order in (daemon.go_back, daemon.cancel):
                with pytest.raises(InputError, match=f"'{OTHER}', '{MODEL}'"):
                    order("", "which?")
            await daemon.go_back(OTHER, "it smokes")
        return two, other

    two, other = play(scene())
    assert (device.progress().good, device.progress(OTHER).good) == (two, other)


def test_the_status_shows_each_model_and_why_it_is_where_it_is(device: Any, play: Any) -> None:
    async def scene() -> None:
        await both(device)
        refusing(device, "bad")
        with pytest.raises(DeviceError):
            await device.install("bad", name=OTHER)

    play(scene())
    models = read_status(device.home, device.agent.tools.slots).models
    assert [(model.model, model.version, model.state, model.update) for model in models] == [
        (OTHER, "1", "idle", ""),
        (MODEL, "1", "idle", ""),
    ]
    assert "wrong answers" in models[0].reason
    assert models[1].reason == "done: committed"
    assert models[0].since.endswith("Z")
