import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.office import Office
from edgewright.fleet.presence import Presence
from edgewright.fleet.pulse import Pulse
from edgewright.fleet.rollout_plan import RolloutOrder
from edgewright.testing.fleet import release_file


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
