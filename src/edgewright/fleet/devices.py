"""Devices: tokens that let them in, enrolment, labels, revocation, and what is known of each."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from edgewright.clock import Clock
from edgewright.errors import AbsentError
from edgewright.fleet.admission import (
    PIN_MARK,
    Newcomer,
    admit,
    next_revision,
    replace_labels,
    spend,
)
from edgewright.fleet.audit import Deed, write_down
from edgewright.fleet.labels import OWN_NAME, Clause, Query, check_labels, check_name, matching
from edgewright.fleet.projects import DEFAULT_PROJECT, OfProject
from edgewright.fleet.secret import DEVICE_PREFIX, TOKEN_PREFIX, hash_of
from edgewright.fleet.state import State, schema
from edgewright.wire.windows import check_timezone

MAX_TOKEN_USES = 100_000
MAX_TOKEN_LIFETIME_S = 366 * 86_400.0

_NOBODY = "nobody"


class TokenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What an enrolment token allows: how many devices, for how long, and the labels they get.

    With `device` it lets in that one only, also in place of one of this name, as after a wipe.
    """

    uses: int = 1
    lifetime_s: float = 86_400.0
    labels: Mapping[str, str] = {}
    device: str = ""
    needs_approval: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.uses <= MAX_TOKEN_USES:
            raise ValueError(f"uses is {self.uses}, expected 1 to {MAX_TOKEN_USES}")
        if not 0 < self.lifetime_s <= MAX_TOKEN_LIFETIME_S:
            raise ValueError("lifetime_s must be above 0 and at most a year")


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token as it is shown, once."""

    token: str
    uses: int
    expires_at_s: float


class ModelOnDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one device: what it is to run, what it runs, what it said last."""

    model: str
    desired_version: str = ""
    desired_bundle_id: str = ""
    rollout: int = 0
    running_version: str = ""
    running_bundle_id: str = ""
    state: str = ""
    reason: str = ""
    reported_at_s: float | None = None


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """All that the fleet knows of a device."""

    name: str
    labels: Mapping[str, str]
    enrolled_at_s: float
    last_seen_s: float | None
    is_revoked: bool
    timezone: str = "UTC"
    models: tuple[ModelOnDevice, ...]


class Devices(OfProject):
    """The devices of a project."""

    def __init__(
        self,
        state: State,
        *,
        clock: Clock,
        draw: Callable[[str], str],
        pin: Callable[[], str] = str,
        project: str = DEFAULT_PROJECT,
    ) -> None:
        self._state = state
        self._clock = clock
        self._draw = draw
        self._pin = pin
        self._project = project

    def create_token(self, order: TokenOrder, *, by: str) -> NewToken:
        """A token that lets devices in; it is not kept and cannot be shown again."""
        labels = check_labels(order.labels)
        token = self._draw(TOKEN_PREFIX)
        now_s = self._clock.wall_s()
        pin = self._pin()
        made = NewToken(
            token=f"{token}{PIN_MARK}{pin}" if pin else token,
            uses=order.uses,
            expires_at_s=now_s + order.lifetime_s,
        )
        with self._state.write() as connection:
            connection.execute(
                insert(schema.enrol_tokens).values(
                    token_hash=hash_of(token),
                    created_at_s=now_s,
                    created_by=by,
                    expires_at_s=made.expires_at_s,
                    uses_left=made.uses,
                    labels=msgspec.json.encode(labels).decode(),
                    device=order.device and check_name("device", order.device),
                    needs_approval=order.needs_approval,
                    project=self._project,
                )
            )
            detail = f"{order.uses} uses, {order.lifetime_s:g} s"
            self._audit(connection, by, "token created", hash_of(token)[:12], detail)
        return made

    def enrol(self, token: str, name: str, labels: Mapping[str, str]) -> str:
        """Let a device in; returns its own secret. The token's labels win over the device's.

        Raises:
            TrustError: the token is unknown, used up or expired; which one is not said.
            InputError: a name that is taken or not a name, or labels that are none.
        """
        check_name("device", name)
        own = check_labels(labels)
        secret = self._draw(DEVICE_PREFIX)
        now_s = self._clock.wall_s()
        with self._state.write() as connection:
            given = spend(connection, token, name, now_s=now_s)
            newcomer = Newcomer(
                device=name,
                labels=own | dict(given.labels),
                secret_hash=hash_of(secret),
                may_replace=given.may_replace,
                project=given.project,
            )
            admit(connection, newcomer, now_s=now_s)
            who = f"token {given.given_by[:12]}"
            self._audit(connection, who, "device enrolled", name, "", project=given.project)
        return secret

    def add(self, name: str, labels: Mapping[str, str], *, by: str) -> str:
        """Let a device in that does not enrol itself; returns the secret that it sends.

        Raises:
            InputError: a name that is taken or not a name, or labels that are none.
        """
        secret = self._draw(DEVICE_PREFIX)
        newcomer = Newcomer(
            device=check_name("device", name),
            labels=check_labels(labels),
            secret_hash=hash_of(secret),
            project=self._project,
        )
        with self._state.write() as connection:
            admit(connection, newcomer, now_s=self._clock.wall_s())
            self._audit(connection, by, "device added", name, "")
        return secret

    def revoke(self, name: str, *, by: str) -> None:
        """Let a device in no more; it is refused at its next request."""
        with self._state.write() as connection:
            self._require(connection, name)
            connection.execute(
                update(schema.devices)
                .where(schema.devices.c.name == name)
                .values(is_revoked=True, revision=next_revision(connection))
            )
            for table in (schema.assignments, schema.reports):
                connection.execute(delete(table).where(table.c.device == name))
            self._audit(connection, by, "device revoked", name, "")

    def label(self, name: str, changes: Mapping[str, str | None], *, by: str) -> None:
        """Set labels; None takes one away."""
        kept = check_labels({key: value for key, value in changes.items() if value is not None})
        with self._state.write() as connection:
            self._require(connection, name)
            before = labels_of(connection, [name]).get(name, {})
            after = {key: value for key, value in before.items() if key not in changes} | kept
            replace_labels(connection, name, check_labels(after))
            self._audit(connection, by, "device labelled", name, str(dict(changes)))

    def set_timezone(self, name: str, timezone: str, *, by: str) -> None:
        """Where a device is, for maintenance windows in its local time."""
        check_timezone(timezone)
        with self._state.write() as connection:
            self._require(connection, name)
            table = schema.devices
            connection.execute(update(table).where(table.c.name == name).values(timezone=timezone))
            self._audit(connection, by, "time zone set", name, timezone)

    def find(self, query: Query = (), *, limit: int = 1000, after: str = "") -> tuple[Device, ...]:
        """Devices by name, at most `limit` of those behind `after`."""
        wanted = (
            select(schema.devices)
            .where(schema.devices.c.project == self._project)
            .where(schema.devices.c.name > after, *matching(query))
            .order_by(schema.devices.c.name)
            .limit(limit)
        )
        with self._state.read() as connection:
            rows = connection.execute(wanted).all()
            names = [row.name for row in rows]
            labels, models = labels_of(connection, names), _models_of(connection, names)
        return tuple(
            Device(
                name=row.name,
                labels=labels.get(row.name, {}),
                enrolled_at_s=row.enrolled_at_s,
                last_seen_s=row.last_seen_s,
                is_revoked=row.is_revoked,
                timezone=row.timezone,
                models=models.get(row.name, ()),
            )
            for row in rows
        )

    def show(self, name: str) -> Device:
        """One device.

        Raises:
            AbsentError: there is none of that name.
        """
        found = self.find((Clause(OWN_NAME, (name,)),), limit=1)
        if not found:
            raise _unknown(name)
        return found[0]

    def note_seen(self, seen: Mapping[str, float]) -> None:
        """Remember when devices were seen last."""
        table = schema.devices
        statement = update(table).where(table.c.name == bindparam("of"))
        rows = [{"of": name, "at": at_s} for name, at_s in seen.items()]
        if rows:
            with self._state.write() as connection:
                connection.execute(statement.values(last_seen_s=bindparam("at")), rows)

    def newest_revision(self) -> int:
        """The number of the latest change of what any device is to do."""
        with self._state.read() as connection:
            return next_revision(connection) - 1

    def changed_since(self, revision: int) -> tuple[str, ...]:
        """The devices that have something new to look at."""
        table = schema.devices
        with self._state.read() as connection:
            return tuple(
                connection.scalars(select(table.c.name).where(table.c.revision > revision))
            )

    def count(self) -> int:
        """How many devices are enrolled and not revoked."""
        table = schema.devices
        query = select(func.count()).select_from(table)
        query = query.where(table.c.project == self._project, ~table.c.is_revoked)
        with self._state.read() as connection:
            return connection.scalar(query) or 0

    def _require(self, connection: Connection, name: str) -> None:
        check_name("device", name)
        devices = schema.devices
        mine = (devices.c.name == name) & (devices.c.project == self._project)
        if connection.scalar(select(devices.c.name).where(mine)) is None:
            raise _unknown(name)

    def _audit(
        self,
        connection: Connection,
        who: str,
        what: str,
        subject: str,
        why: str,
        *,
        project: str = "",
    ) -> None:
        deed = Deed(
            at_s=self._clock.wall_s(),
            who=who or _NOBODY,
            what=what,
            subject=subject,
            detail=why,
            project=project or self._project,
        )
        write_down(connection, deed)


def _unknown(name: str) -> AbsentError:
    return AbsentError(f"there is no device {name}", hint="see: edgewright device list")


def timezones_of(connection: Connection, names: Sequence[str]) -> dict[str, str]:
    """Where devices are."""
    table, zones = schema.devices, dict[str, str]()
    for part in _parts(names):
        query = select(table.c.name, table.c.timezone).where(table.c.name.in_(part))
        zones |= {row.name: row.timezone for row in connection.execute(query)}
    return zones


def labels_of(connection: Connection, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """The labels of devices; one that has none is not in it."""
    labels: dict[str, dict[str, str]] = {}
    query = select(schema.labels).order_by(schema.labels.c.key)
    for part in _parts(names):
        for row in connection.execute(query.where(schema.labels.c.device.in_(part))):
            labels.setdefault(row.device, {})[row.key] = row.value
    return labels


def _models_of(
    connection: Connection, names: Sequence[str]
) -> dict[str, tuple[ModelOnDevice, ...]]:
    found: dict[tuple[str, str], dict[str, object]] = {}
    assigned = select(schema.assignments, schema.releases.c.version).join(
        schema.devices, schema.devices.c.name == schema.assignments.c.device
    )
    assigned = assigned.join(
        schema.releases,
        (schema.releases.c.bundle_id == schema.assignments.c.bundle_id)
        & (schema.releases.c.project == schema.devices.c.project),
    )
    for part in _parts(names):
        for row in connection.execute(assigned.where(schema.assignments.c.device.in_(part))):
            found.setdefault((row.device, row.model), {}).update(
                desired_version=row.version, desired_bundle_id=row.bundle_id, rollout=row.rollout
            )
        reported = select(schema.reports).where(schema.reports.c.device.in_(part))
        for row in connection.execute(reported):
            found.setdefault((row.device, row.model), {}).update(
                running_version=row.running_version,
                running_bundle_id=row.running_bundle_id,
                state=row.state,
                reason=row.reason,
                reported_at_s=row.at_s,
            )
    models: dict[str, tuple[ModelOnDevice, ...]] = {}
    for (device, model), fields in sorted(found.items()):
        known = msgspec.convert({"model": model, **fields}, ModelOnDevice)
        models[device] = (*models.get(device, ()), known)
    return models


def _parts(names: Sequence[str], size: int = 500) -> Iterable[Sequence[str]]:
    return (names[start : start + size] for start in range(0, len(names), size))
