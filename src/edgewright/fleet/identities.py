"""Accounts of people whom an identity provider vouches for.

A person is known by issuer and subject, never by a name: a provider's user who calls himself like
an account of this fleet does not get that account.
"""

import re
from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, delete, insert, select

from edgewright.clock import Clock
from edgewright.errors import TrustError
from edgewright.fleet.audit import Deed, write_down
from edgewright.fleet.labels import NAME
from edgewright.fleet.people import Membership, Session
from edgewright.fleet.state import State, schema
from edgewright.fleet.users import Users

SOURCE = "oidc"

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who somebody is at a provider, and what the provider calls that person."""

    issuer: str
    subject: str
    name: str


class Identities:
    """Lets people of a provider in."""

    def __init__(self, state: State, users: Users, *, clock: Clock) -> None:
        self._state = state
        self._users = users
        self._clock = clock

    def login(self, person: Person, grants: Sequence[Membership]) -> Session:
        """Give a person the roles of this login, in place of those of the last one, and a session.

        Raises:
            TrustError: there are no roles for the person, the account is shut out, or its name is
                somebody else's.
        """
        problem = ""
        with self._state.write() as connection:
            applicable = self._applicable(connection, grants)
            account = self._account(connection, person, is_wanted=bool(applicable))
            if not account:
                problem = "name taken" if applicable else "no role"
            else:
                self._grant(connection, account, grants)
                problem = self._why_not(connection, account)
            if problem:
                self._note(connection, "login refused", account or "unknown user", problem)
        if problem:
            raise TrustError(
                "the provider vouches for you, and nothing in this fleet is for you",
                hint="ask a security admin; the audit log has the reason",
            )
        return self._users.begin_session(account)

    def _applicable(self, connection: Connection, grants: Sequence[Membership]) -> list[Membership]:
        there = set(connection.scalars(select(schema.projects.c.name)))
        return [one for one in grants if one.project in there]

    def _account(self, connection: Connection, person: Person, *, is_wanted: bool) -> str:
        """The account of a person, made at the first login that brings a role; "" when there is
        none, or when its name is somebody else's. Who has no role gets no account: its name would
        be theirs before somebody gives it one.
        """
        table, users = schema.identities, schema.users
        known = select(table.c.user).where(
            table.c.issuer == person.issuer, table.c.subject == person.subject
        )
        account = connection.scalar(known)
        if account is not None:
            return str(account)
        if not is_wanted:
            return ""
        name = account_name(person.name)
        is_taken = connection.scalar(select(users.c.name).where(users.c.name == name)) is not None
        if is_taken or not name:
            return ""
        now_s = self._clock.wall_s()
        connection.execute(insert(users).values(name=name, created_at_s=now_s))
        connection.execute(
            insert(table).values(
                issuer=person.issuer, subject=person.subject, user=name, created_at_s=now_s
            )
        )
        self._note(connection, "user added", name, f"{person.issuer} {person.subject}"[:300])
        return name

    def _grant(self, connection: Connection, account: str, grants: Sequence[Membership]) -> None:
        members, projects = schema.memberships, schema.projects
        mine = members.c.user == account
        before = {
            (row.project, row.role)
            for row in connection.execute(select(members).where(mine, members.c.source == SOURCE))
        }
        connection.execute(delete(members).where(mine, members.c.source == SOURCE))
        by_hand = set(connection.scalars(select(members.c.project).where(mine)))
        there = set(connection.scalars(select(projects.c.name)))
        given = [one for one in grants if one.project in there - by_hand]
        for one in given:
            connection.execute(
                insert(members).values(
                    project=one.project,
                    user=account,
                    role=one.role,
                    since_s=self._clock.wall_s(),
                    source=SOURCE,
                )
            )
        after = {(one.project, one.role) for one in given}
        for project, role in sorted(after - before):
            self._note(connection, "role by claim", account, role, project=project)
        for project, role in sorted(before - after):
            self._note(connection, "role by claim ended", account, role, project=project)

    def _why_not(self, connection: Connection, account: str) -> str:
        users, members = schema.users, schema.memberships
        if connection.scalar(select(users.c.is_disabled).where(users.c.name == account)):
            return "disabled"
        has_role = connection.scalar(select(members.c.role).where(members.c.user == account))
        return "" if has_role else "no rule fits"

    def _note(
        self, connection: Connection, what: str, who: str, why: str, *, project: str = ""
    ) -> None:
        deed = Deed(
            at_s=self._clock.wall_s(),
            who="identity provider",
            what=what,
            subject=who,
            detail=why,
            project=project,
        )
        write_down(connection, deed)


def account_name(name: str) -> str:
    """A provider's name as one of an account; "" when nothing is left of it.

    >>> account_name("ada@plant.example"), account_name("§§")
    ('ada-plant.example', '')
    """
    plain = _NOT_IN_NAMES.sub("-", name).strip("-._")[:63]
    return plain if NAME.fullmatch(plain) else ""
