"""Brings deliveries to their receivers: one notifier's in their order, the notifiers side by side.

A receiver that does not answer is asked again after 5 s, then twice as long each time, up to ten
minutes; what is a day old is given up. What a receiver refuses for good is given up at once. Both
are said in the list of deliveries.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, select, update

from edgewright.errors import EdgewrightError, InputError, ResourceError, TrustError
from edgewright.fleet.audit import Deed, write_down
from edgewright.fleet.looking import looked
from edgewright.fleet.notify.alarms import Key, keyed
from edgewright.fleet.notify.base import Notice, Notifier, Parcel
from edgewright.fleet.notify.destination import Destination, Kind, parse_destination
from edgewright.fleet.notify.guard import Guard
from edgewright.fleet.notify.news import (
    DELIVERY_REFUSED,
    forget_old,
    gather,
    gather_alerts,
    has_news,
    wanted_topics,
)
from edgewright.fleet.office import Office
from edgewright.fleet.state import State, schema

T = TypeVar("T")
Ways = Callable[[Kind], Notifier]
Which = tuple[str, str]
"""A notifier: its project and its name."""

LOOK_EVERY_S = 1.0
ALERTS_EVERY_S = 30.0
FORGET_EVERY_S = 3600.0
AFTER_ERROR_S = 5.0
FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 600.0
GIVE_UP_S = 86_400.0
IN_A_ROW = 100

_log = logging.getLogger(__name__)


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """The next delivery of a notifier."""

    id: int
    project: str
    notifier: str
    url: str
    secret: str
    body: str
    at_s: float
    failures: int

    def __repr__(self) -> str:
        return f"Due({self.id}, {self.notifier!r})"


class Courier:
    """Works until it is cancelled."""

    def __init__(
        self, office: Office, writer: Executor, ways: Ways, *, rng: random.Random, fleet_id: str
    ) -> None:
        self._office = office
        self._writer = writer
        self._ways = ways
        self._rng = rng
        self._fleet_id = fleet_id
        self._changes = -1
        self._busy: set[Which] = set()
        self._watched_s = self._forgot_s = float("-inf")

    async def run(self) -> None:
        """Gather and deliver. A database that is full or slow is said and tried again, and so is
        what nobody thought of: what one device told may not end the fleet.
        """
        clock = self._office.clock
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    for which in await self._due():
                        if which not in self._busy:
                            self._busy.add(which)
                            group.create_task(self._serve(which), name=f"notify-{which[1]}")
                    await clock.sleep(LOOK_EVERY_S)
                except ResourceError as error:
                    _log.warning("news wait: %s", error)
                    await clock.sleep(AFTER_ERROR_S)
                except Exception:  # noqa: BLE001  # the top of a task: one may not end the fleet
                    _log.exception("news wait")
                    await clock.sleep(AFTER_ERROR_S)

    async def round(self) -> int:
        """Take what is new and bring what is due; returns how many deliveries came to an end."""
        return sum(await asyncio.gather(*(self._bring(which) for which in await self._due())))

    async def _due(self) -> list[Which]:
        await self._gather()
        return await self._written(lambda: due_now(self._office.state, self._now_s()))

    async def _gather(self) -> None:
        now_s, monotonic_s = self._now_s(), self._office.clock.monotonic_s()
        state = self._office.state
        changes = await looked(state, state.change_count)
        topics = await self._written(self._topics)
        if not topics:
            return
        if changes != self._changes:
            while await self._written(lambda: self._gather_new(now_s)):
                pass
            self._changes = changes
        if monotonic_s - self._watched_s >= ALERTS_EVERY_S:
            self._watched_s = monotonic_s
            for project in [name for name, wanted in topics.items() if "alert" in wanted]:
                await self._watch(project, now_s)
        if monotonic_s - self._forgot_s >= FORGET_EVERY_S:
            self._forgot_s = monotonic_s
            await self._written(self._forget)

    async def _watch(self, project: str, now_s: float) -> None:
        watch = self._office.watch.within(project)
        alerts = keyed(await asyncio.to_thread(watch.alerts))
        await self._written(lambda: self._gather_alerts(project, alerts, now_s))

    def _topics(self) -> dict[str, frozenset[str]]:
        with self._office.state.read() as connection:
            return wanted_topics(connection)

    def _gather_new(self, now_s: float) -> bool:
        with self._office.state.read() as connection:
            if not has_news(connection):
                return False
        with self._office.state.write() as connection:
            gather(connection, fleet_id=self._fleet_id, now_s=now_s)
        return True

    def _gather_alerts(self, project: str, alerts: Mapping[Key, str], now_s: float) -> None:
        with self._office.state.write() as connection:
            gather_alerts(connection, project, alerts, fleet_id=self._fleet_id, now_s=now_s)

    def _forget(self) -> None:
        with self._office.state.write() as connection:
            forget_old(connection, now_s=self._now_s())

    async def _serve(self, which: Which) -> None:
        try:
            await self._bring(which)
        except ResourceError as error:
            _log.warning("news for %s wait: %s", which[1], error)
        except Exception:  # noqa: BLE001  # the top of a task: one may not end the fleet
            _log.exception("news for %s wait", which[1])
        finally:
            self._busy.discard(which)

    async def _bring(self, which: Which) -> int:
        """Bring what waits for one notifier, until it fails once."""
        ended = 0
        for _ in range(IN_A_ROW):
            due = await self._written(lambda: next_due(self._office.state, which))
            if due is None:
                break
            error = await self._try(due)
            await self._written(partial(self._note, due, error))
            if error is not None and not _is_final(error, due, self._now_s()):
                break
            ended += 1
        return ended

    async def _try(self, due: Due) -> EdgewrightError | None:
        try:
            destination = parse_destination(due.url)
            notice = msgspec.json.decode(due.body, type=Notice)
            await deliver(
                self._office.notifiers.guard, self._ways, destination, notice,
                secret=due.secret, at_s=self._now_s(),
            )  # fmt: skip
        except EdgewrightError as error:
            return error
        except Exception as error:  # noqa: BLE001  # the top of a task: one may not end the fleet
            _log.exception("delivery failed: notifier=%s", due.notifier)
            return InputError(f"the delivery failed: {type(error).__name__}")
        return None

    def _note(self, due: Due, error: EdgewrightError | None) -> None:
        now_s = self._now_s()
        wait_s = min(FIRST_WAIT_S * 2**due.failures, LONGEST_WAIT_S) * self._rng.uniform(0.9, 1.1)
        with self._office.state.write() as connection:
            if error is None:
                _settle(connection, due, "delivered", "")
                _mark(connection, due, failures=0, next_try_s=0.0, last_error="")
                return
            if isinstance(error, TrustError):
                self._audit_refusal(connection, due, error)
            if _is_final(error, due, now_s):
                _settle(connection, due, "given up", error.message)
                _mark(connection, due, failures=0, next_try_s=0.0, last_error=error.message)
                return
            _settle(connection, due, "waiting", error.message)
            _mark(
                connection, due, failures=due.failures + 1, next_try_s=now_s + wait_s,
                last_error=error.message,
            )  # fmt: skip
        _log.info("notifier %s: %s", due.notifier, error)

    def _audit_refusal(self, connection: Connection, due: Due, error: TrustError) -> None:
        deed = Deed(
            at_s=self._now_s(),
            who="fleet",
            what=DELIVERY_REFUSED,
            subject=due.notifier,
            detail=error.message,
            project=due.project,
        )
        write_down(connection, deed)

    def _now_s(self) -> float:
        return self._office.clock.wall_s()

    async def _written(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)


async def deliver(
    guard: Guard, ways: Ways, destination: Destination, notice: Notice, *, secret: str, at_s: float
) -> None:
    """Look at the address, then bring a notice to it.

    Raises:
        TransportError: not now.
        InputError: the receiver will never take it.
        TrustError: nothing may be sent there.
        UnavailableError: what is needed for this kind of destination is not installed.
    """
    address = await asyncio.to_thread(guard.pin, destination)
    parcel = Parcel(
        notice=notice,
        destination=destination,
        address=address,
        secret=secret,
        may_be_plain=guard.is_named(destination),
    )
    await ways(destination.kind).deliver(parcel, at_s=at_s)


def due_now(state: State, now_s: float) -> list[Which]:
    """The notifiers that something waits for and that are not to be left alone yet."""
    table, waiting = schema.notifiers, schema.deliveries
    query = (
        select(table.c.project, table.c.name)
        .where(
            table.c.next_try_s <= now_s,
            select(waiting.c.id)
            .where(waiting.c.project == table.c.project, waiting.c.notifier == table.c.name)
            .where(waiting.c.standing == "waiting")
            .exists(),
        )
        .order_by(table.c.project, table.c.name)
    )
    with state.read() as connection:
        return [(row.project, row.name) for row in connection.execute(query)]


def next_due(state: State, which: Which) -> Due | None:
    """The oldest delivery that waits for a notifier."""
    table, receivers = schema.deliveries, schema.notifiers
    query = (
        select(
            table.c.id, table.c.project, table.c.notifier, table.c.body, table.c.at_s,
            receivers.c.url, receivers.c.secret, receivers.c.failures,
        )
        .join(
            receivers,
            (receivers.c.project == table.c.project) & (receivers.c.name == table.c.notifier),
        )
        .where(table.c.project == which[0], table.c.notifier == which[1])
        .where(table.c.standing == "waiting")
        .order_by(table.c.id)
        .limit(1)
    )  # fmt: skip
    with state.read() as connection:
        row = connection.execute(query).mappings().first()
    return Due(**row) if row else None


def _is_final(error: EdgewrightError, due: Due, now_s: float) -> bool:
    """Whether trying again is no use. What must be installed first can still come."""
    return isinstance(error, InputError | TrustError) or now_s - due.at_s >= GIVE_UP_S


def _settle(connection: Connection, due: Due, standing: str, error: str) -> None:
    table = schema.deliveries
    connection.execute(
        update(table)
        .where(table.c.id == due.id)
        .values(standing=standing, error=error[:500], attempts=table.c.attempts + 1)
    )


def _mark(
    connection: Connection, due: Due, *, failures: int, next_try_s: float, last_error: str
) -> None:
    table = schema.notifiers
    connection.execute(
        update(table)
        .where(table.c.project == due.project, table.c.name == due.notifier)
        .values(failures=failures, next_try_s=next_try_s, last_error=last_error[:500])
    )
