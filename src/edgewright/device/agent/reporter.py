"""Telling the fleet: steps of updates at once, health and serving numbers when the agent has asked
the fleet what to run, so that they need no connection of their own. A fleet that does not answer is
no failure; the records wait.
"""

import asyncio
import logging
from functools import partial

import msgspec

from edgewright.clock import Clock
from edgewright.device.agent.health import Health
from edgewright.device.agent.outbox import Outbox
from edgewright.device.agent.ports import Fleet, OutOfStepError, ServingSample
from edgewright.errors import EdgewrightError
from edgewright.telemetry import HealthRecord, Record, ServingRecord

BACKOFF_FIRST_S = 1.0
BACKOFF_LIMIT_S = 300.0

_log = logging.getLogger(__name__)


class ServingSpan(msgspec.Struct, frozen=True, kw_only=True):
    """What a model had done at two moments."""

    model: str
    bundle: str
    first: ServingSample
    last: ServingSample


class Reporter:
    """Delivers the outbox of one device."""

    def __init__(self, outbox: Outbox, fleet: Fleet, clock: Clock) -> None:
        self._outbox = outbox
        self._fleet = fleet
        self._clock = clock
        self._news = asyncio.Event()

    def wake(self) -> None:
        """There is something new to tell, or now is a good time to."""
        self._news.set()

    async def send_all(self) -> None:
        """Deliver everything that waits.

        Raises:
            EdgewrightError: the fleet did not take it; it goes on waiting.
        """
        is_in_step = True
        while records := self._outbox.waiting():
            try:
                await self._fleet.send(records)
            except OutOfStepError as error:
                if not is_in_step:
                    raise
                is_in_step = False
                _log.warning("numbering telemetry anew: %s", error)
                self._outbox.delivered(min(error.same, records[-1].sequence))
                self._outbox.number_anew(above=error.newest)
                continue
            self._outbox.delivered(records[-1].sequence)

    async def run(self) -> None:
        """Deliver whenever there is something, until cancelled."""
        backoff_s = BACKOFF_FIRST_S
        while True:
            self._news.clear()
            try:
                await self.send_all()
            except EdgewrightError as error:
                _log.info("telemetry waits: %s", error)
                await self._clock.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, BACKOFF_LIMIT_S)
                continue
            backoff_s = BACKOFF_FIRST_S
            await self._news.wait()

    def add_health(self, health: Health) -> None:
        """Note how the device is; it is told with the next `wake`."""
        self._outbox.add(partial(_health_record, health, self._clock.wall_s()))

    def add_serving(self, span: ServingSpan) -> None:
        """Note what a model did between two samples; it is told with the next `wake`."""
        self._outbox.add(partial(_serving_record, span, self._clock.wall_s()))


def _health_record(health: Health, at_s: float, device: str, sequence: int) -> Record:
    return HealthRecord(
        device=device,
        sequence=sequence,
        at_s=at_s,
        memory_free_mb=health.memory_free_mb,
        disk_free_mb=health.disk_free_mb,
        temperature_c=health.temperature_c,
    )


def _serving_record(span: ServingSpan, at_s: float, device: str, sequence: int) -> Record:
    first, last = span.first, span.last
    has_restarted = last.requests < first.requests
    return ServingRecord(
        device=device,
        sequence=sequence,
        at_s=at_s,
        model=span.model,
        bundle=span.bundle,
        requests=last.requests - (0 if has_restarted else first.requests),
        errors=last.errors - (0 if has_restarted else first.errors),
        latency_p50_ms=last.latency_p50_ms,
        latency_p95_ms=last.latency_p95_ms,
    )
