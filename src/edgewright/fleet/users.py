"""People: their role, and the tokens with which their programs speak to the people's API."""

from collections.abc import Callable

import msgspec
from sqlalchemy import insert, select, update

from edgewright.clock import Clock
from edgewright.contract.decoding import suggestion
from edgewright.errors import InputError, TrustError
from edgewright.fleet.audit import Deed, write_down
from edgewright.fleet.labels import check_name
from edgewright.fleet.roles import ROLES, Permission, Role, may
from edgewright.fleet.secret import USER_PREFIX, hash_of
from edgewright.fleet.state import State, schema

MAX_TOKEN_LIFETIME_S = 366 * 86_400.0


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

    def create_token(self, name: str, *, lifetime_s: float, by: str) -> UserToken:
        """A token for a user's programs; it is not kept and cannot be shown again."""
        if not 0 < lifetime_s <= MAX_TOKEN_LIFETIME_S:
            raise InputError(
                f"a lifetime of {lifetime_s:g} s: expected above 0 and at most a year",
                hint="like --expires 30d",
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
                )
            )
            write_down(connection, self._deed(by, "user token created", name, ""))
        return made

    def list(self) -> tuple[User, ...]:
        """Everybody, by name."""
        table = schema.users
        query = select(table.c.name, table.c.role, table.c.created_at_s).order_by(table.c.name)
        with self._state.read() as connection:
            return tuple(User(**row) for row in connection.execute(query).mappings())

    def allowed(self, token: str, permission: Permission) -> User:
        """Whoever has this token, if the role holds the permission.

        Raises:
            TrustError: the token is unknown or expired, or the role does not hold it.
        """
        tokens, users = schema.user_tokens, schema.users
        query = (
            select(users, tokens.c.expires_at_s)
            .join(tokens, tokens.c.user == users.c.name)
            .where(tokens.c.token_hash == hash_of(token))
        )
        with self._state.read() as connection:
            row = connection.execute(query).first()
        if row is None or row.expires_at_s <= self._clock.wall_s():
            raise TrustError(
                "the token is unknown or expired", hint="make one: edgewright user token NAME"
            )
        if not may(row.role, permission):
            raise TrustError(
                f"role {row.role} of {row.name} does not include {permission!r}",
                hint="ask a security admin for another role",
            )
        return User(name=row.name, role=row.role, created_at_s=row.created_at_s)

    def _deed(self, by: str, what: str, subject: str, detail: str) -> Deed:
        return Deed(at_s=self._clock.wall_s(), who=by, what=what, subject=subject, detail=detail)


def _checked_role(role: str) -> Role:
    for known in ROLES:
        if role == known:
            return known
    raise InputError(f"there is no role {role!r}", hint=suggestion(role, list(ROLES)))


def _unknown(name: str) -> InputError:
    return InputError(f"there is no user {name[:80]!r}", hint="add one: edgewright user add")
