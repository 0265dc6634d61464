"""The rollouts of a fleet: what people order and devices tell goes through the rule of `rollout`.

Every change is one transaction: events in, the rule's new state and actions out. A process killed
in between leaves the state before it, and the next `tick` takes the same events again.
"""

from collections.abc import Collection, Sequence
from typing import get_args

import msgspec
from sqlalchemy import Connection, select

from edgewright.clock import Clock
from edgewright.errors import ConflictError
from edgewright.fleet import rollout_store as store
from edgewright.fleet.audit import Deed, write_down
from edgewright.fleet.devices import timezones_of
from edgewright.fleet.projects import DEFAULT_PROJECT, OfProject
from edgewright.fleet.quality import Difference, Quality, breach, compare, with_probes
from edgewright.fleet.quality_store import Tally
from edgewright.fleet.registry import find_release
from edgewright.fleet.rollout import begin, step
from edgewright.fleet.rollout_facts import RolloutFacts, facts
from edgewright.fleet.rollout_plan import Offers, RolloutOrder, RolloutPlan, plan_of
from edgewright.fleet.rollout_refusals import (
    refuse_unusable,
    require_failed,
    require_gone_on,
    require_left_over,
    returning,
)
from edgewright.fleet.rollout_terms import (
    WATCHED,
    Abort,
    Acknowledged,
    Event,
    Left,
    Pause,
    Resume,
    Retry,
    RolloutState,
    Seen,
    Status,
)
from edgewright.fleet.state import State, schema
from edgewright.fleet.telemetry import Heard, has_unheard, hear
from edgewright.fleet.telling import event_of
from edgewright.fleet.validations import pairs_ms
from edgewright.wire.windows import is_open, parse_window

QUALITY_EVERY_S = 5.0

_ANY: tuple[Status, ...] = get_args(Status)


class Rollouts(OfProject):
    """The rollouts of a project; `tick` is for those of all projects. `offers` knows what was taken
    back, where the fleet keeps an image repository.
    """

    def __init__(
        self,
        state: State,
        *,
        clock: Clock,
        offers: Offers | None = None,
        project: str = DEFAULT_PROJECT,
    ) -> None:
        self._state = state
        self._offers = offers
        self._clock = clock
        self._project = project
        self._tallies: dict[int, Tally] = {}
        self._looked_s = float("-inf")

    def plan(self, order: RolloutOrder) -> RolloutPlan:
        """What starting this would do; changes nothing.

        Raises:
            InputError: no such release, or one that was taken back; not a query, not waves.
        """
        with self._state.read() as connection:
            return self._plan(connection, order)

    def start(self, order: RolloutOrder, *, by: str) -> RolloutFacts:
        """Open the first wave.

        Raises:
            InputError: as `plan`; no device is left to update, or one is in another active rollout
                of the same model.
        """
        now_s = self._clock.wall_s()
        with self._state.write() as connection:
            plan = self._plan(connection, order)
            refuse_unusable(plan, order)
            devices = [device for wave in plan.waves for device in wave]
            self._take_over(connection, plan.release.model, devices, now_s)
            state = begin(plan.waves, order.limits, now_s=now_s)
            created = store.Created(
                model=plan.release.model,
                bundle_id=plan.release.bundle_id,
                query=order.query,
                waves=order.waves,
                created_at_s=now_s,
                created_by=by,
                project=self._project,
                options=msgspec.json.encode(order.options).decode(),
            )
            number = store.add(connection, created, state)
            self._audit(
                connection,
                by,
                "rollout started",
                number,
                f"{plan.release.text} to {len(devices)} devices, waves {order.waves}"
                f"{_vouched(order)}",
            )
            return facts(connection, number)

    def status(self, number: int) -> RolloutFacts:
        """One rollout.

        Raises:
            AbsentError: there is none of that number.
        """
        with self._state.read() as connection:
            self._require(connection, number)
            return facts(connection, number)

    def list(self, *, newest: int = 100) -> tuple[RolloutFacts, ...]:
        """Rollouts, newest first."""
        with self._state.read() as connection:
            numbers = store.numbers(connection, newest, project=self._project)
            return tuple(facts(connection, number) for number in numbers)

    def pause(self, number: int, *, reason: str, by: str, seen: int | None = None) -> RolloutFacts:
        """Give no further orders; devices that are updating go on. Who names the revision that was
        `seen` gives this command for that one only; so it is with `abort` and `retry`.

        Raises:
            AbsentError: there is none of that number.
            ConflictError: somebody was first; it is not as it was seen, or not running.
        """
        event = Pause(f"{by}: {reason}" if reason else by)
        return self._command(number, event, ("running", "trailing"), by, seen)

    def resume(self, number: int, *, by: str) -> RolloutFacts:
        """Let a paused rollout go on; its wave is judged again."""
        return self._command(number, Resume(), ("paused",), by)

    def abort(
        self,
        number: int,
        *,
        returns: bool | None,
        reason: str,
        by: str,
        seen: int | None = None,
    ) -> RolloutFacts:
        """End it. Its devices return to what they ran before, unless told or ordered otherwise."""
        with self._state.read() as connection:
            self._require(connection, number)
            limits = store.load(connection, number).limits
        wanted = limits.returns_on_abort if returns is None else returns
        event = Abort(f"{by}: {reason}" if reason else by, wanted)
        return self._command(number, event, _ANY, by, seen)

    def retry(self, number: int, *, reason: str, by: str, seen: int | None = None) -> RolloutFacts:
        """Give the failed devices another try; their failures count no more. A device that found
        the release itself bad refuses it again.
        """
        why = f"{by}: {reason}" if reason else by
        needed: tuple[Status, ...] = ("running", "paused", "trailing", "done")
        return self._command(number, Retry(why), needed, by, seen)

    def compare(self, number: int) -> Difference:
        """How the release of a rollout does beside the others of its model, since it started.

        Raises:
            AbsentError: there is none of that number.
        """
        with self._state.read() as connection:
            self._require(connection, number)
            tally = _tally(connection, number)
            tally.update(connection)
            pairs = pairs_ms(connection, number)
        return with_probes(compare(tally.old, tally.new), pairs)

    def tick(self, *, here: Collection[str] = (), acknowledged: Collection[str] = ()) -> bool:
        """Take what devices told since the last tick and let time pass; whether anything changed.

        `here` are the devices that asked lately or wait for an answer, `acknowledged` those that
        took note of their order.
        """
        with self._state.read() as connection:
            watched = store.watched(connection)
            if not watched and not has_unheard(connection):
                return False
        with self._state.write() as connection:
            heard = hear(connection)
            changed = bool(heard)
            now_s = self._clock.wall_s()
            looks = self._clock.monotonic_s() - self._looked_s >= QUALITY_EVERY_S
            if looks:
                self._looked_s = self._clock.monotonic_s()
            for number in store.watched(connection):
                before = store.load(connection, number)
                options = store.options_of(connection, number)
                events = _events(connection, number, heard)
                if looks and options.quality.is_asked and before.status in WATCHED:
                    events += self._breaches(connection, number, options.quality, before)
                if looks and before.status in WATCHED:
                    events += self._taken_back(connection, number, before)
                inside = _inside_window(connection, before, here, options.window, now_s)
                events += _presence(before, inside, acknowledged)
                changed |= self._step(connection, number, before, events)
            return changed

    def _plan(self, connection: Connection, order: RolloutOrder) -> RolloutPlan:
        return plan_of(connection, order, project=self._project, offers=self._offers)

    def _taken_back(
        self, connection: Connection, number: int, before: RolloutState
    ) -> Sequence[Event]:
        """An order to end the rollout, if its release was taken back: devices refuse it at every
        poll until their deadline.
        """
        if self._offers is None:
            return []
        project = store.project_of(connection, number) or self._project
        bundle_id = store.bundle_id_of(connection, number)
        release = find_release(connection, bundle_id, project=project)
        if not self._offers.has_taken_back(release):
            return []
        reason = f"{release.text} was taken back: the image repository lists it no more"
        return [Abort(reason, before.limits.returns_on_abort)]

    def _breaches(
        self, connection: Connection, number: int, quality: Quality, before: RolloutState
    ) -> Sequence[Event]:
        """An order to end the rollout, if what devices tell of the release demands it."""
        if number not in self._tallies:
            limit_ms = quality.latency_p95_ms or float("inf")
            self._tallies[number] = _tally(connection, number, limit_ms=limit_ms)
        tally = self._tallies[number]
        tally.update(connection)
        pairs = pairs_ms(connection, number) if quality.worst_latency_ratio is not None else ()
        reason = breach(quality, old=tally.old, new=tally.new, pairs=pairs)
        return [Abort(reason, before.limits.returns_on_abort)] if reason else []

    def _step(
        self, connection: Connection, number: int, before: RolloutState, events: Sequence[Event]
    ) -> bool:
        now_s = self._clock.wall_s()
        outcome = step(before, events, now_s=now_s)
        return store.save(connection, number, before, outcome, now_s=now_s)

    def _command(
        self,
        number: int,
        event: Pause | Resume | Retry | Abort,
        needed: Sequence[Status],
        by: str,
        seen: int | None = None,
    ) -> RolloutFacts:
        verb, now_s = type(event).__name__.lower(), self._clock.wall_s()
        with self._state.write() as connection:
            self._require(connection, number)
            before = store.load(connection, number)
            revision = store.revision_of(connection, number)
            if seen is not None and seen != revision:
                raise ConflictError(
                    f"rollout {number} went on since you saw it: it is {before.status}"
                    f"{f' ({before.reason})' if before.reason else ''}, revision {revision}",
                    hint=f"see: edgewright rollout status {number}",
                )
            if before.status not in needed:
                raise ConflictError(
                    f"rollout {number} is {before.status}, {verb} needs one that is "
                    f"{' or '.join(needed)}",
                    hint=f"see: edgewright rollout status {number}",
                )
            if isinstance(event, Abort) and before.status == "aborted":
                require_left_over(connection, number, event, before)
            if isinstance(event, Retry):
                require_failed(number, before)
            if isinstance(event, Abort) and event.returns:
                store.note(connection, number, returning(connection, number), at_s=now_s)
            self._step(connection, number, before, [event])
            if isinstance(event, Resume):
                require_gone_on(connection, number)
            self._audit(connection, by, f"rollout {verb}", number, getattr(event, "reason", ""))
            return facts(connection, number)

    def _take_over(
        self, connection: Connection, model: str, devices: Sequence[str], now_s: float
    ) -> None:
        """Devices that an older rollout still waits for are the new one's from now on."""
        for number in store.watched(connection, model=model, project=self._project):
            before = store.load(connection, number)
            events = [
                Left(device, "a newer rollout took over")
                for device in devices
                if device in before.members
            ]
            self._step(connection, number, before, events)

    def _audit(self, connection: Connection, by: str, what: str, number: int, detail: str) -> None:
        write_down(
            connection,
            Deed(
                at_s=self._clock.wall_s(),
                who=by,
                what=what,
                subject=f"rollout {number}",
                detail=detail,
                project=self._project,
            ),
        )

    def _require(self, connection: Connection, number: int) -> None:
        if store.project_of(connection, number) != self._project:
            raise store.unknown(number)


def _vouched(order: RolloutOrder) -> str:
    report = order.options.report
    return f", validated by report {report.sha256}" if report is not None else ""


def _events(connection: Connection, number: int, heard: Sequence[Heard]) -> list[Event]:
    bundle_id = store.bundle_id_of(connection, number)
    told: list[Event] = [event_of(item.record) for item in heard if item.record.bundle == bundle_id]
    revoked = store.revoked(connection, number)
    return told + [Left(device, "revoked") for device in revoked]


def _tally(connection: Connection, number: int, *, limit_ms: float = float("inf")) -> Tally:
    table = schema.rollouts
    row = connection.execute(select(table).where(table.c.id == number)).first()
    if row is None:
        raise store.unknown(number)
    return Tally(
        project=row.project,
        model=row.model,
        bundle_id=row.bundle_id,
        since_s=row.created_at_s,
        limit_ms=limit_ms,
    )


def _inside_window(
    connection: Connection,
    state: RolloutState,
    here: Collection[str],
    window_text: str,
    now_s: float,
) -> Collection[str]:
    """Those of the devices that are here whose maintenance window is open."""
    if not window_text:
        return here
    window = parse_window(window_text)
    pending = [d for d, m in state.members.items() if m.standing == "pending" and d in here]
    zones = timezones_of(connection, pending)
    open_in = {zone: is_open(window, at_s=now_s, timezone=zone) for zone in set(zones.values())}
    return {device for device in pending if open_in[zones[device]]}


def _presence(
    state: RolloutState, here: Collection[str], acknowledged: Collection[str]
) -> list[Event]:
    members = state.members
    noted: list[Event] = [
        Acknowledged(device)
        for device in acknowledged
        if device in members and members[device].standing == "ordered"
    ]
    return noted + [
        Seen(device)
        for device, member in members.items()
        if member.standing == "pending" and device in here
    ]
