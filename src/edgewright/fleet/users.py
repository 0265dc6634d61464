"""People: their role, their password and sessions, and the tokens of their programs.

Who guesses passwords is locked out for ever longer, by account; what is answered, and after how
long, does not tell an account that exists from one that does not.
"""

import secrets
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, literal, select, update

from edgewright.clock import Clock
from edgewright.contract.decoding import suggestion
from edgewright.errors import InputError, TrustError
from edgewright.fleet.audit import Deed, write_down
from edgewright.fleet.labels import check_name
from edgewright.fleet.password import MOST_CHARACTERS, hash_password, is_password
from edgewright.fleet.roles import ALL_PERMISSIONS, ROLES, Permission, Role, may
from edgewright.fleet.secret import SESSION_PREFIX, USER_PREFIX, hash_of
from edgewright.fleet.state import State, schema

MAX_TOKEN_LIFETIME_S = 366 * 86_400.0
SESSION_LIFETIME_S = 8 * 3600.0
FREE_FAILURES = 5
FIRST_LOCK_S = 30.0
LONGEST_LOCK_S = 3600.0

_NOBODY = "nobody"


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may do what the role says."""

    name: str
    role: Role
    created_at_s: float


class UserToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token as it is shown, once."""

    user: str
    token: str
    expires_at_s: float


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A login. `csrf` goes into a header of every command that a browser sends with its cookie."""

    user: str
    role: Role
    session: str
    csrf: str
    expires_at_s: float


class Users:
    """The people of a fleet."""

    def __init__(self, state: State, *, clock: Clock, draw: Callable[[str], str]) -> None:
        self._state = state
        self._clock = clock
        self._draw = draw

    def add(self, name: str, role: str, *, by: str) -> User:
        """A new user.

        Raises:
            InputError: the name is taken or not a name, or there is no such role.
        """
        user = User(
            name=check_name("user", name),
            role=_checked_role(role),
            created_at_s=self._clock.wall_s(),
        )
        if name in {known.name for known in self.list()}:
            raise InputError(f"user {name} is there already", hint="change its role: user role")
        with self._state.write() as connection:
            connection.execute(insert(schema.users).values(**msgspec.structs.asdict(user)))
            write_down(connection, self._deed(by, "user added", name, user.role))
        return user

    def set_role(self, name: str, role: str, *, by: str) -> User:
        """Give a user another role, at once for all of the user's tokens."""
        wanted = _checked_role(role)
        table = schema.users
        with self._state.write() as connection:
            done = connection.execute(update(table).where(table.c.name == name).values(role=wanted))
            if done.rowcount != 1:
                raise _unknown(name)
            write_down(connection, self._deed(by, "role changed", name, wanted))
        return next(user for user in self.list() if user.name == name)

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
            write_down(connection, self._deed(by, "password set", name, ""))

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
            write_down(connection, self._deed(by, what, name, ""))

    def create_token(
        self, name: str, *, lifetime_s: float, by: str, scopes: Sequence[str] = ()
    ) -> UserToken:
        """A token for a user's programs; it is not kept and cannot be shown again. With scopes it
        opens these permissions only, as far as the user's role holds them.
        """
        if not 0 < lifetime_s <= MAX_TOKEN_LIFETIME_S:
            raise InputError(
                f"a lifetime of {lifetime_s:g} s: expected above 0 and at most a year",
                hint="like --expires 30d",
            )
        if unknown := [scope for scope in scopes if scope not in ALL_PERMISSIONS]:
            raise InputError(
                f"there is no scope {unknown[0]!r}",
                hint=suggestion(unknown[0], list(ALL_PERMISSIONS)),
            )
        if name not in {known.name for known in self.list()}:
            raise _unknown(name)
        token = self._draw(USER_PREFIX)
        now_s = self._clock.wall_s()
        made = UserToken(user=name, token=token, expires_at_s=now_s + lifetime_s)
        with self._state.write() as connection:
            connection.execute(
                insert(schema.user_tokens).values(
                    token_hash=hash_of(token),
                    user=name,
                    created_at_s=now_s,
                    expires_at_s=made.expires_at_s,
                    scopes=",".join(scopes),
                )
            )
            detail = f"scopes {', '.join(scopes)}" if scopes else ""
            write_down(connection, self._deed(by, "user token created", name, detail))
        return made

    def revoke_tokens(self, name: str, *, by: str) -> int:
        """End every token and session of a user; returns how many tokens there were."""
        table = schema.user_tokens
        with self._state.write() as connection:
            count = connection.execute(delete(table).where(table.c.user == name)).rowcount
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
            return self._begin_session(User(name=name, role=row.role, created_at_s=now_s))
        with self._state.write() as connection:
            if row is not None:
                self._count_failure(connection, name, now_s)
            subject = name if row is not None else "unknown user"
            write_down(connection, self._deed(_NOBODY, "login refused", subject, ""))
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
        """Everybody, by name."""
        table = schema.users
        query = select(table.c.name, table.c.role, table.c.created_at_s).order_by(table.c.name)
        with self._state.read() as connection:
            return tuple(User(**row) for row in connection.execute(query).mappings())

    def allowed(self, token: str, permission: Permission) -> User:
        """Whoever has this token or session, if the role and the token's scopes hold the
        permission.

        Raises:
            TrustError: the token is unknown or expired, or does not open this.
        """
        row = self._owner(token)
        if row is None or row.expires_at_s <= self._clock.wall_s() or row.is_disabled:
            raise TrustError(
                "the token is unknown or expired", hint="make one: edgewright user token NAME"
            )
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
        return User(name=row.name, role=row.role, created_at_s=row.created_at_s)

    def who(self, session: str) -> User | None:
        """Whose session this is; None when it is nobody's any more."""
        row = self._owner(session) if session.startswith(SESSION_PREFIX) else None
        if row is None or row.expires_at_s <= self._clock.wall_s() or row.is_disabled:
            return None
        return User(name=row.name, role=row.role, created_at_s=row.created_at_s)

    def _owner(self, token: str) -> Any:
        """The row of whoever has this token or session."""
        users = schema.users
        columns = (users.c.name, users.c.role, users.c.created_at_s, users.c.is_disabled)
        if token.startswith(SESSION_PREFIX):
            held = schema.sessions
            query = select(*columns, held.c.expires_at_s, literal("").label("scopes")).join(
                held, held.c.user == users.c.name
            )
            query = query.where(held.c.session_hash == hash_of(token))
        else:
            tokens = schema.user_tokens
            query = select(*columns, tokens.c.expires_at_s, tokens.c.scopes).join(
                tokens, tokens.c.user == users.c.name
            )
            query = query.where(tokens.c.token_hash == hash_of(token))
        with self._state.read() as connection:
            return connection.execute(query).first()

    def _begin_session(self, user: User) -> Session:
        session = self._draw(SESSION_PREFIX)
        table, users, now_s = schema.sessions, schema.users, self._clock.wall_s()
        expires_at_s = now_s + SESSION_LIFETIME_S
        with self._state.write() as connection:
            connection.execute(delete(table).where(table.c.expires_at_s <= now_s))
            connection.execute(
                insert(table).values(
                    session_hash=hash_of(session),
                    user=user.name,
                    created_at_s=now_s,
                    expires_at_s=expires_at_s,
                )
            )
            connection.execute(
                update(users)
                .where(users.c.name == user.name)
                .values(failures=0, locked_until_s=0.0)
            )
            write_down(connection, self._deed(user.name, "login", user.name, ""))
        return Session(
            user=user.name,
            role=user.role,
            session=session,
            csrf=csrf_of(session),
            expires_at_s=expires_at_s,
        )

    def _count_failure(self, connection: Connection, name: str, now_s: float) -> None:
        """From the fifth wrong password on the account is locked, each time twice as long."""
        table = schema.users
        query = select(table.c.failures).where(table.c.name == name)
        failures = (connection.scalar(query) or 0) + 1
        over = failures - FREE_FAILURES
        lock_s = min(FIRST_LOCK_S * 2**over, LONGEST_LOCK_S) if over >= 0 else 0.0
        connection.execute(
            update(table)
            .where(table.c.name == name)
            .values(failures=failures, locked_until_s=now_s + lock_s if lock_s else 0.0)
        )
        if lock_s:
            write_down(
                connection, self._deed(_NOBODY, "account locked", name, f"for {lock_s:.0f} s")
            )

    @staticmethod
    def _end_sessions(connection: Connection, name: str) -> None:
        connection.execute(delete(schema.sessions).where(schema.sessions.c.user == name))

    def _deed(self, by: str, what: str, subject: str, detail: str) -> Deed:
        return Deed(at_s=self._clock.wall_s(), who=by, what=what, subject=subject, detail=detail)


def csrf_of(session: str) -> str:
    """What a browser must send beside its cookie: nobody can compute it without the session."""
    return hash_of(f"csrf {session}")[:32]


def _checked_role(role: str) -> Role:
    for known in ROLES:
        if role == known:
            return known
    raise InputError(f"there is no role {role!r}", hint=suggestion(role, list(ROLES)))


def _unknown(name: str) -> InputError:
    return InputError(f"there is no user {name[:80]!r}", hint="add one: edgewright user add")
