"""Who is told of what: notifiers as they are kept, and what waits for each."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from edgewright.clock import Clock, iso
from edgewright.errors import AbsentError, InputError, TransportError, TrustError
from edgewright.fleet.audit import Deed, write_down
from edgewright.fleet.labels import check_name
from edgewright.fleet.notify.base import TOPICS, Notice, Topic
from edgewright.fleet.notify.destination import Destination, parse_destination
from edgewright.fleet.notify.guard import Guard, Resolve, check_named, system_resolve
from edgewright.fleet.notify.news import delivery_row, move_to_newest
from edgewright.fleet.notify.signing import check_secret
from edgewright.fleet.projects import DEFAULT_PROJECT, OfProject
from edgewright.fleet.state import State, schema

MOST = 50
_SECRET_LIMIT = 4096
DEFAULT_TOPICS: tuple[Topic, ...] = ("rollout", "alert")

_NAMED = "notify_named_hosts"

Standing = Literal["waiting", "delivered", "given up"]


class NotifierOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is to be told: where, of what. A webhook's secret is made when none is brought."""

    name: str
    url: str
    topics: tuple[Topic, ...] = DEFAULT_TOPICS
    secret: str = ""

    def __post_init__(self) -> None:
        if not self.topics or "test" in self.topics:
            raise ValueError("topics are one or more of rollout, alert, audit, refused")
        if len(self.secret) > _SECRET_LIMIT:
            raise ValueError(f"a secret has at most {_SECRET_LIMIT} characters")

    def __repr__(self) -> str:
        return f"NotifierOrder({self.name!r})"


class NotifierFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A notifier as shown: neither its secret nor a webhook's path."""

    name: str
    destination: str
    topics: tuple[Topic, ...]
    created_at_s: float
    created_by: str
    waiting: int
    failures: int
    last_error: str


class NewNotifier(msgspec.Struct, frozen=True, kw_only=True):
    """A notifier that was just made; a webhook's secret is told this once."""

    notifier: NotifierFacts
    secret: str = ""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One notice for one notifier, and what became of it."""

    id: int
    notifier: str
    message_id: str
    at_s: float
    topic: Topic
    line: str
    attempts: int
    standing: Standing
    error: str


class Notifiers(OfProject):
    """The notifiers of a project; what they are told is that project's."""

    def __init__(
        self,
        state: State,
        *,
        clock: Clock,
        new_secret: Callable[[], str],
        resolve: Resolve = system_resolve,
        project: str = DEFAULT_PROJECT,
    ) -> None:
        self._project = project
        self._state = state
        self._clock = clock
        self._new_secret = new_secret
        self.guard = Guard(self.named, resolve=resolve)

    def add(self, order: NotifierOrder, *, by: str, hears_fleet: bool = False) -> NewNotifier:
        """Tell somebody from now on. One that `hears_fleet` is also told of what is no project's,
        like logins and refused requests; in a fleet of one project everybody is who asks for it.

        Raises:
            InputError: not a name or a destination, its host's name means nothing, a notifier of
                that name is there, or there are many.
            TrustError: nothing may be sent there; that this was asked is in the audit log.
        """
        check_name("notifier", order.name)
        destination = parse_destination(order.url)
        try:
            self.guard.pin(destination)
        except TrustError as error:
            where = f"{destination.host[:80]}:{destination.port}"
            with self._state.write() as connection:
                self._audit(connection, by, "notifier refused", where, error.message)
            raise
        except TransportError as error:
            raise InputError(error.message, hint=error.hint) from error
        secret = order.secret
        if destination.kind == "webhook":
            secret = check_secret(secret) if secret else self._new_secret()
        table, now_s = schema.notifiers, self._clock.wall_s()
        with self._state.write() as connection:
            count = select(func.count()).where(table.c.project == self._project)
            if (connection.scalar(count) or 0) >= MOST:
                raise InputError(f"there are {MOST} notifiers already", hint="remove one")
            self._refuse_known(connection, order.name)
            move_to_newest(connection)
            connection.execute(
                insert(table).values(
                    project=self._project,
                    name=order.name,
                    url=order.url,
                    secret=secret,
                    topics=",".join(order.topics),
                    hears_fleet=hears_fleet,
                    created_at_s=now_s,
                    created_by=by,
                    failures=0,
                    next_try_s=0.0,
                    last_error="",
                )
            )
            detail = f"{destination.shown}, of {', '.join(order.topics)}"
            self._audit(connection, by, "notifier added", order.name, detail)
            facts = self._facts(connection, order.name)
        told = secret if destination.kind == "webhook" and not order.secret else ""
        return NewNotifier(notifier=facts, secret=told)

    def remove(self, name: str, *, by: str) -> None:
        """Tell somebody no more; what waited for them goes.

        Raises:
            InputError: there is none of that name.
        """
        with self._state.write() as connection:
            self._facts(connection, name)
            connection.execute(delete(schema.notifiers).where(self._is(name)))
            connection.execute(delete(schema.deliveries).where(self._is_for(name)))
            self._audit(connection, by, "notifier removed", name, "")

    def list(self) -> tuple[NotifierFacts, ...]:
        """All of them, by name."""
        table = schema.notifiers
        query = select(table.c.name).where(table.c.project == self._project)
        with self._state.read() as connection:
            names = list(connection.scalars(query.order_by(table.c.name)))
            return tuple(self._facts(connection, name) for name in names)

    def deliveries(self, name: str, *, newest: int = 50) -> tuple[Delivery, ...]:
        """What was sent or waits, newest first.

        Raises:
            InputError: there is none of that name.
        """
        table = schema.deliveries
        query = select(table).where(self._is_for(name)).order_by(table.c.id.desc())
        with self._state.read() as connection:
            self._facts(connection, name)
            rows = connection.execute(query.limit(newest)).all()
        return tuple(
            Delivery(
                id=row.id,
                notifier=row.notifier,
                message_id=row.message_id,
                at_s=row.at_s,
                topic=row.topic,
                line=msgspec.json.decode(row.body, type=Notice).line,
                attempts=row.attempts,
                standing=row.standing,
                error=row.error,
            )
            for row in rows
        )

    def named(self) -> tuple[str, ...]:
        """The hosts that are reached although they are not public."""
        table = schema.meta
        with self._state.read() as connection:
            text = connection.scalar(select(table.c.value).where(table.c.key == _NAMED))
        return msgspec.json.decode(text, type=tuple[str, ...]) if text else ()

    def name_hosts(self, hosts: Sequence[str], *, by: str) -> tuple[str, ...]:
        """Reach these hosts although they are not public, instead of those named before. For who
        works on the fleet's own machine: no route leads here.

        Raises:
            InputError: one of them is no host.
        """
        checked = tuple(sorted({check_named(host) for host in hosts}))
        table = schema.meta
        with self._state.write() as connection:
            connection.execute(delete(table).where(table.c.key == _NAMED))
            content = msgspec.json.encode(checked).decode()
            connection.execute(insert(table).values(key=_NAMED, value=content))
            self._audit(connection, by, "hosts of notifiers named", " ".join(checked) or "none", "")
        return checked

    def target(self, name: str) -> tuple[Destination, str]:
        """Where a notifier sends, and its secret.

        Raises:
            InputError: there is none of that name.
        """
        table = schema.notifiers
        with self._state.read() as connection:
            row = connection.execute(select(table).where(self._is(name))).first()
        if row is None:
            raise _unknown(name)
        return parse_destination(row.url), row.secret

    def send_test(self, name: str, *, by: str) -> Delivery:
        """Let a notice wait that says nothing but that it arrived.

        Raises:
            InputError: there is no notifier of that name.
        """
        now_s = self._clock.wall_s()
        with self._state.write() as connection:
            self._facts(connection, name)
            row = delivery_row(self._project, name, trial(now_s), now_s=now_s)
            connection.execute(insert(schema.deliveries).values(**row))
            self._audit(connection, by, "notifier tried", name, "")
        return self.deliveries(name, newest=1)[0]

    def note_test(self, name: str, outcome: str, *, by: str) -> None:
        """Write down that somebody tried a notifier."""
        with self._state.write() as connection:
            self._audit(connection, by, "notifier tried", name, outcome)

    def _audit(self, connection: Connection, by: str, what: str, subject: str, text: str) -> None:
        deed = Deed(
            at_s=self._clock.wall_s(),
            who=by,
            what=what,
            subject=subject,
            detail=text,
            project=self._project,
        )
        write_down(connection, deed)

    def _refuse_known(self, connection: Connection, name: str) -> None:
        if connection.scalar(select(schema.notifiers.c.name).where(self._is(name))) is not None:
            raise InputError(
                f"there is a notifier {name} already", hint="remove it, or choose another name"
            )

    def _facts(self, connection: Connection, name: str) -> NotifierFacts:
        table, waiting = schema.notifiers, schema.deliveries
        row = connection.execute(select(table).where(self._is(name))).first()
        if row is None:
            raise _unknown(name)
        count = select(func.count()).where(self._is_for(name), waiting.c.standing == "waiting")
        return NotifierFacts(
            name=row.name,
            destination=parse_destination(row.url).shown,
            topics=tuple(row.topics.split(",")),
            created_at_s=row.created_at_s,
            created_by=row.created_by,
            waiting=connection.scalar(count) or 0,
            failures=row.failures,
            last_error=row.last_error,
        )

    def _is(self, name: str) -> ColumnElement[bool]:
        table = schema.notifiers
        return (table.c.project == self._project) & (table.c.name == name)

    def _is_for(self, name: str) -> ColumnElement[bool]:
        table = schema.deliveries
        return (table.c.project == self._project) & (table.c.notifier == name)


def trial(at_s: float) -> Notice:
    """A notice that says nothing but that it arrived."""
    return Notice(
        id=f"test-{int(at_s * 1000)}",
        topic="test",
        at=iso(at_s),
        subject="this fleet",
        text="can tell you what happens",
    )


def parse_topics(texts: Iterable[str]) -> tuple[Topic, ...]:
    """Kinds of news by their names.

    Raises:
        InputError: there is no such kind.
    """
    offered = [topic for topic in TOPICS if topic != "test"]
    wanted = {part.strip() for text in texts for part in text.split(",")}
    unknown = wanted - set(offered)
    if unknown:
        raise InputError(
            f"there is no news of {min(unknown)!r}", hint=f"there is: {', '.join(offered)}"
        )
    return tuple(topic for topic in offered if topic in wanted)


def _unknown(name: str) -> AbsentError:
    return AbsentError(
        f"there is no notifier {name[:80]!r}", hint="see: edgewright fleet notify list"
    )
