"""People: their role in a project, their password and sessions, and the tokens of their programs.

An account is the fleet's: one name, one password. What it opens is a role in each project that it
is a member of, and nothing in the others. A program's token opens one project. Who guesses
passwords is locked out for ever longer, by account; what is answered, and after how long, does not
tell an account that exists from one that does not.
"""

import hmac
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, literal, select, update

from edgewright.clock import Clock
from edgewright.contract.decoding import suggestion
from edgewright.errors import AbsentError, InputError, TrustError
from edgewright.fleet.audit import FLEET_ITSELF, Deed, write_down
from edgewright.fleet.labels import check_name
from edgewright.fleet.lockout import count_failure
from edgewright.fleet.password import MOST_CHARACTERS, hash_password, is_password
from edgewright.fleet.people import Membership, Session, User, UserToken
from edgewright.fleet.projects import DEFAULT_PROJECT, OfProject, unknown_project
from edgewright.fleet.roles import ROLES, Permission, Role, may
from edgewright.fleet.secret import SESSION_PREFIX, USER_PREFIX, hash_of
from edgewright.fleet.state import State, schema
from edgewright.fleet.token_scopes import check_scopes

MAX_TOKEN_LIFETIME_S = 366 * 86_400.0
SESSION_LIFETIME_S = 8 * 3600.0

_NOBODY = "nobody"


class Users(OfProject):
    """The people of a project."""

    def __init__(
        self,
        state: State,
        *,
        clock: Clock,
        draw: Callable[[str], str],
        project: str = DEFAULT_PROJECT,
    ) -> None:
        self._project = project
        self._state = state
        self._clock = clock
        self._draw = draw

    def add(self, name: str, role: str, *, by: str) -> User:
        """A new member; the account is made unless another project's people have it already.

        Raises:
            InputError: a member or not a name, or there is no such role.
        """
        check_name("user", name)
        wanted, now_s = _checked_role(role), self._clock.wall_s()
        users, members = schema.users, schema.memberships
        with self._state.write() as connection:
            if self._role_of(connection, name) is not None:
                raise InputError(f"user {name} is there already", hint="change its role: user role")
            if connection.scalar(select(users.c.name).where(users.c.name == name)) is None:
                connection.execute(insert(users).values(name=name, created_at_s=now_s))
            member = {"project": self._project, "user": name, "role": wanted, "since_s": now_s}
            connection.execute(insert(members).values(member))
            write_down(connection, self._deed(by, "user added", name, wanted))
        return User(name=name, role=wanted, project=self._project, created_at_s=now_s)

    def set_role(self, name: str, role: str, *, by: str) -> User:
        """Give a member another role, at once for all of the user's tokens."""
        wanted = _checked_role(role)
        table = schema.memberships
        with self._state.write() as connection:
            self._require(connection, name)
            connection.execute(
                update(table).where(*self._is_member(name)).values(role=wanted, source="")
            )
            write_down(connection, self._deed(by, "role changed", name, wanted))
        return next(user for user in self.list() if user.name == name)

    def remove(self, name: str, *, by: str) -> None:
        """Take a member out of the project; the tokens for it end. The account stays.

        Raises:
            AbsentError: no such member.
        """
        members, tokens = schema.memberships, schema.user_tokens
        with self._state.write() as connection:
            self._require(connection, name)
            connection.execute(delete(members).where(*self._is_member(name)))
            connection.execute(
                delete(tokens).where(tokens.c.user == name, tokens.c.project == self._project)
            )
            write_down(connection, self._deed(by, "user removed", name, ""))

    def set_password(self, name: str, password: str, *, by: str) -> None:
        """Give a user a password, instead of the one before; ends the user's sessions.

        Raises:
            InputError: too short a password, or no such user.
        """
        kept = hash_password(password, salt=secrets.token_bytes(16))
        table = schema.users
        with self._state.write() as connection:
            done = connection.execute(
                update(table)
                .where(table.c.name == name)
                .values(password=kept, failures=0, locked_until_s=0.0)
            )
            if done.rowcount != 1:
                raise _unknown(name)
            self._end_sessions(connection, name)
            write_down(connection, self._deed(by, "password set", name, "", of=FLEET_ITSELF))

    def set_disabled(self, name: str, *, is_disabled: bool, by: str) -> None:
        """Shut a user out, or let the user in again; sessions end, tokens rest."""
        table = schema.users
        with self._state.write() as connection:
            done = connection.execute(
                update(table).where(table.c.name == name).values(is_disabled=is_disabled)
            )
            if done.rowcount != 1:
                raise _unknown(name)
            self._end_sessions(connection, name)
            what = "user disabled" if is_disabled else "user enabled"
            write_down(connection, self._deed(by, what, name, "", of=FLEET_ITSELF))

    def create_token(
        self, name: str, *, lifetime_s: float, by: str, scopes: Sequence[str] = ()
    ) -> UserToken:
        """A token for a member's programs, for this project; it is not kept and cannot be shown
        again. With scopes it opens these permissions only, as far as the user's role holds them.
        """
        if not 0 < lifetime_s <= MAX_TOKEN_LIFETIME_S:
            raise InputError(
                f"a lifetime of {lifetime_s:g} s: expected above 0 and at most a year",
                hint="like --expires 30d",
            )
        check_scopes(scopes)
        token = self._draw(USER_PREFIX)
        now_s = self._clock.wall_s()
        made = UserToken(
            user=name, token=token, expires_at_s=now_s + lifetime_s, scopes=tuple(scopes)
        )
        with self._state.write() as connection:
            self._require(connection, name)
            connection.execute(
                insert(schema.user_tokens).values(
                    token_hash=hash_of(token),
                    user=name,
                    created_at_s=now_s,
                    expires_at_s=made.expires_at_s,
                    scopes=",".join(scopes),
                    project=self._project,
                )
            )
            detail = f"scopes {', '.join(scopes)}" if scopes else ""
            write_down(connection, self._deed(by, "user token created", name, detail))
        return made

    def revoke_tokens(self, name: str, *, by: str) -> int:
        """End a member's sessions and tokens for this project; returns how many tokens there
        were.
        """
        table = schema.user_tokens
        mine = (table.c.user == name) & (table.c.project == self._project)
        with self._state.write() as connection:
            self._require(connection, name)
            count = connection.execute(delete(table).where(mine)).rowcount
            self._end_sessions(connection, name)
            write_down(connection, self._deed(by, "user tokens revoked", name, str(count)))
        return count

    def login(self, name: str, password: str) -> Session:
        """Begin a session.

        Raises:
            TrustError: name and password do not belong together, or the account is locked or
                disabled; which of them is in the audit log only.
        """
        table, now_s = schema.users, self._clock.wall_s()
        with self._state.read() as connection:
            row = connection.execute(select(table).where(table.c.name == name)).first()
        is_right = is_password(password[:MOST_CHARACTERS], row.password if row else "")
        if row is not None and is_right and now_s >= row.locked_until_s and not row.is_disabled:
            return self.begin_session(name)
        with self._state.write() as connection:
            lock_s = count_failure(connection, name, now_s=now_s) if row is not None else 0.0
            if lock_s:
                why = f"for {lock_s:.0f} s"
                write_down(
                    connection, self._deed(_NOBODY, "account locked", name, why, of=FLEET_ITSELF)
                )
            subject = name if row is not None else "unknown user"
            deed = self._deed(_NOBODY, "login refused", subject, "", of=FLEET_ITSELF)
            write_down(connection, deed)
        raise TrustError(
            "name and password do not belong together, or the account is locked",
            hint="wait a while and try again; a security admin can set a new password",
        )

    def logout(self, session: str) -> None:
        """End a session."""
        table = schema.sessions
        with self._state.write() as connection:
            connection.execute(delete(table).where(table.c.session_hash == hash_of(session)))

    def list(self) -> tuple[User, ...]:
        """Every member, by name."""
        users, members = schema.users, schema.memberships
        query = (
            select(users.c.name, members.c.role, members.c.project, users.c.created_at_s)
            .join(members, members.c.user == users.c.name)
            .where(members.c.project == self._project)
            .order_by(users.c.name)
        )
        with self._state.read() as connection:
            return tuple(User(**row) for row in connection.execute(query).mappings())

    def allowed(self, token: str, permission: Permission) -> User:
        """Whoever has this token or session, if the role and the token's scopes hold the
        permission.

        Raises:
            TrustError: the token is unknown or expired, or does not open this.
            AbsentError: it opens nothing of this project, which may be there or not.
        """
        row = self._owner(token)
        if row is None or row.expires_at_s <= self._clock.wall_s() or row.is_disabled:
            raise TrustError(
                "the token is unknown or expired", hint="make one: edgewright user token NAME"
            )
        if row.role is None:
            raise unknown_project(self._project)
        if not may(row.role, permission):
            raise TrustError(
                f"role {row.role} of {row.name} does not include {permission!r}",
                hint="ask a security admin for another role",
            )
        if row.scopes and permission not in row.scopes.split(","):
            raise TrustError(
                f"this token of {row.name} is for {row.scopes} only, not for {permission!r}",
                hint="make one with that scope: edgewright user token NAME --scope",
            )
        return self._user_of(row)

    def scopes_of(self, token: str) -> tuple[str, ...]:
        """To what a living token is limited; nothing for a session, and where the role decides."""
        row = self._owner(token)
        return tuple(row.scopes.split(",")) if row is not None and row.scopes else ()

    def who(self, session: str) -> User | None:
        """Whose session this is; None when it is nobody's any more, or no member's."""
        row = self._living(session)
        return self._user_of(row) if row is not None and row.role is not None else None

    def is_living(self, session: str) -> bool:
        """Whether a session is somebody's still, of this project or not."""
        return self._living(session) is not None

    def projects_of(self, token: str) -> tuple[Membership, ...]:
        """What a token or session opens, by name of project.

        Raises:
            TrustError: it is unknown or expired.
        """
        row = self._owner(token)
        if row is None or row.expires_at_s <= self._clock.wall_s() or row.is_disabled:
            raise TrustError("the token is unknown or expired", hint="log in again")
        with self._state.read() as connection:
            opened = _memberships(connection, row.name)
        only = "" if token.startswith(SESSION_PREFIX) else row.token_project
        return tuple(one for one in opened if only in ("", one.project))

    def _living(self, session: str) -> Any:
        row = self._owner(session) if session.startswith(SESSION_PREFIX) else None
        if row is None or row.expires_at_s <= self._clock.wall_s() or row.is_disabled:
            return None
        return row

    def _user_of(self, row: Any) -> User:
        return User(
            name=row.name, role=row.role, project=self._project, created_at_s=row.created_at_s
        )

    def _owner(self, token: str) -> Any:
        """The row of whoever has this token or session, with the role that it opens here: none for
        who is no member, and none by a token for another project.
        """
        users, members, tokens = schema.users, schema.memberships, schema.user_tokens
        columns = (users.c.name, users.c.created_at_s, users.c.is_disabled, members.c.role)
        is_member = (members.c.user == users.c.name) & (members.c.project == self._project)
        if token.startswith(SESSION_PREFIX):
            held = schema.sessions
            query = (
                select(*columns, held.c.expires_at_s, literal("").label("scopes"))
                .join(held, held.c.user == users.c.name)
                .outerjoin(members, is_member)
                .where(held.c.session_hash == hash_of(token))
            )
        else:
            query = (
                select(
                    *columns,
                    tokens.c.expires_at_s,
                    tokens.c.scopes,
                    tokens.c.project.label("token_project"),
                )
                .join(tokens, tokens.c.user == users.c.name)
                .outerjoin(members, is_member & (tokens.c.project == self._project))
                .where(tokens.c.token_hash == hash_of(token))
            )
        with self._state.read() as connection:
            return connection.execute(query).first()

    def begin_session(self, name: str) -> Session:
        """A session of somebody who proved who that is."""
        session = self._draw(SESSION_PREFIX)
        table, users, now_s = schema.sessions, schema.users, self._clock.wall_s()
        expires_at_s = now_s + SESSION_LIFETIME_S
        with self._state.write() as connection:
            connection.execute(delete(table).where(table.c.expires_at_s <= now_s))
            connection.execute(
                insert(table).values(
                    session_hash=hash_of(session),
                    user=name,
                    created_at_s=now_s,
                    expires_at_s=expires_at_s,
                )
            )
            connection.execute(
                update(users).where(users.c.name == name).values(failures=0, locked_until_s=0.0)
            )
            write_down(connection, self._deed(name, "login", name, "", of=FLEET_ITSELF))
            opened = _memberships(connection, name)
        return Session(
            user=name,
            projects=opened,
            session=session,
            csrf=csrf_of(session),
            expires_at_s=expires_at_s,
        )

    @staticmethod
    def _end_sessions(connection: Connection, name: str) -> None:
        connection.execute(delete(schema.sessions).where(schema.sessions.c.user == name))

    def _is_member(self, name: str) -> tuple[ColumnElement[bool], ...]:
        table = schema.memberships
        return (table.c.project == self._project, table.c.user == name)

    def _role_of(self, connection: Connection, name: str) -> str | None:
        table = schema.memberships
        return connection.scalar(select(table.c.role).where(*self._is_member(name)))

    def _require(self, connection: Connection, name: str) -> None:
        if self._role_of(connection, name) is None:
            raise _unknown(name)

    def _deed(
        self, by: str, what: str, subject: str, detail: str, *, of: str | None = None
    ) -> Deed:
        return Deed(
            at_s=self._clock.wall_s(),
            who=by,
            what=what,
            subject=subject,
            detail=detail,
            project=self._project if of is None else of,
        )


def csrf_of(session: str) -> str:
    """What a browser must send beside its cookie: nobody can compute it without the session."""
    return hash_of(f"csrf {session}")[:32]


def is_csrf_of(session: str, told: str) -> bool:
    """Whether that is what was told; found out in a time that tells nothing."""
    return hmac.compare_digest(told.encode(), csrf_of(session).encode())


def _checked_role(role: str) -> Role:
    for known in ROLES:
        if role == known:
            return known
    raise InputError(f"there is no role {role!r}", hint=suggestion(role, list(ROLES)))


def _memberships(connection: Connection, name: str) -> tuple[Membership, ...]:
    table = schema.memberships
    query = select(table.c.project, table.c.role).where(table.c.user == name)
    rows = connection.execute(query.order_by(table.c.project)).mappings()
    return tuple(Membership(**row) for row in rows)


def _unknown(name: str) -> AbsentError:
    return AbsentError(f"there is no user {name[:80]!r}", hint="add one: edgewright user add")
