import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.office import Office
from edgewright.fleet.presence import Presence
from edgewright.fleet.pulse import Pulse
from edgewright.fleet.rollout_plan import RolloutOrder
from edgewright.testing import FakeClock
from edgewright.testing.fleet import release_file


def test_an_error_that_nobody_thought_of_does_not_end_the_pulse(
    office: Office,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    beats = 0

    def tick(**_: object) -> bool:
        nonlocal beats
        beats += 1
        raise OverflowError("integer division result too large for a float")

    monkeypatch.setattr(office.rollouts, "tick", tick)

    async def case() -> None:
        with ThreadPoolExecutor(max_workers=1) as writer:
            beat = asyncio.create_task(Pulse(office, Presence(), writer).run())
            while beats < 2 or not office.watch.alerts():
                assert not beat.done()
                clock.advance(3)
                await asyncio.sleep(0.001)
            (alert,) = office.within("other").watch.alerts()
            monkeypatch.undo()
            while office.watch.alerts():
                clock.advance(3)
                await asyncio.sleep(0.001)
            beat.cancel()
            await asyncio.gather(beat, return_exceptions=True)
        assert (alert.what, alert.device) == ("rollouts stand still", "the fleet")
        assert alert.text == "integer division result too large for a float"

    asyncio.run(case())
    assert "rollouts stand still" in caplog.text
    assert "OverflowError" in caplog.text


def test_a_waiting_device_gets_its_order_without_asking_again(
    office: Office, tmp_path: Path
) -> None:
    release_file(tmp_path / "1.ewb", version="1")
    office.registry.publish(tmp_path / "1.ewb", by="ada")
    token = office.devices.create_token(TokenOrder(), by="ada").token
    office.devices.enrol(token, "d1", {})

    async def case() -> None:
        presence = Presence()
        with ThreadPoolExecutor(max_workers=1) as writer:
            beat = asyncio.create_task(Pulse(office, presence, writer).run())
            poll = asyncio.create_task(presence.wait("d1", since=0, timeout_s=30))
            await asyncio.sleep(0)
            order = RolloutOrder(release="tiny@1", waves="100%")
            await asyncio.to_thread(office.rollouts.start, order, by="ada")
            await asyncio.wait_for(poll, timeout=10)
            beat.cancel()
            await asyncio.gather(beat, return_exceptions=True)

    asyncio.run(case())
    assert office.devices.show("d1").models[0].desired_version == "1"
