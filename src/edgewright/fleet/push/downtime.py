"""How long a machine did not answer while its model was changed: asked, not assumed."""

import asyncio

import msgspec

from edgewright.clock import Clock
from edgewright.errors import TransportError
from edgewright.transports.http1 import Client

EVERY_S = 0.02


class Downtime(msgspec.Struct, frozen=True, kw_only=True):
    """The longest time between two good answers, and how finely it was looked at."""

    longest_gap_ms: float
    asked: int
    failed: int
    every_ms: float

    @property
    def is_measured(self) -> bool:
        """Whether the machine answered at all while it was watched."""
        return self.asked > self.failed


class Watch:
    """Asks whether a model is ready until it is stopped."""

    def __init__(self, address: str, model: str, clock: Clock) -> None:
        self._address = address
        self._path = f"/v2/models/{model}/ready"
        self._clock = clock
        self._asked = self._failed = 0
        self._longest_s = 0.0
        self._good_s = clock.monotonic_s()

    async def run(self) -> None:
        """Until cancelled."""
        async with Client(self._address, timeout_s=5.0) as client:
            self._good_s = self._clock.monotonic_s()
            while True:
                is_good = await self._ask(client)
                self._note_gap()
                if is_good:
                    self._good_s = self._clock.monotonic_s()
                await self._clock.sleep(EVERY_S)

    def result(self) -> Downtime:
        """What was seen so far."""
        self._note_gap()
        return Downtime(
            longest_gap_ms=round(1000 * self._longest_s, 1),
            asked=self._asked,
            failed=self._failed,
            every_ms=1000 * EVERY_S,
        )

    def _note_gap(self) -> None:
        self._longest_s = max(self._longest_s, self._clock.monotonic_s() - self._good_s)

    async def _ask(self, client: Client) -> bool:
        self._asked += 1
        try:
            answer = await client.request("GET", self._path)
        except TransportError:
            self._failed += 1
            return False
        self._failed += answer.status != 200
        return answer.status == 200


async def watched(watch: Watch, work: "asyncio.Task[None]") -> Downtime:
    """Watch while some work goes on, and a moment longer."""
    task = asyncio.create_task(watch.run(), name="push-watch")
    try:
        await asyncio.wait({work})
        await asyncio.sleep(5 * EVERY_S)
    finally:
        task.cancel()
        await asyncio.wait({task})
    return watch.result()
