"""Routes about people: what somebody is let into, and who is let into a project."""

from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.params import FromPath, JSONBody

from edgewright.errors import TrustError
from edgewright.fleet.people import Membership, User, UserToken
from edgewright.fleet.people_api.access import SOMEBODY, TheOffice, token_of
from edgewright.fleet.token_scopes import granted

_USER = {"permission": "user"}

_Asked = Request[User, Any, Any]


class RoleOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As what somebody is let into a project."""

    role: str


class TokenWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how long a program's token is good, and for which permissions only."""

    lifetime_s: float = 30 * 86_400.0
    scopes: tuple[str, ...] = ()


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """Who it was about, and how many tokens ended."""

    user: str
    tokens: int = 0


@get("/projects", opt={"permission": SOMEBODY}, sync_to_thread=True)
def projects(office: TheOffice, request: Request[Any, Any, Any]) -> tuple[Membership, ...]:
    """The projects that this token or session opens, and the role in each."""
    return office.users.projects_of(token_of(request))


@get("/members", opt=_USER, sync_to_thread=True)
def members(office: TheOffice) -> tuple[User, ...]:
    """Who is let into the project, by name."""
    return office.users.list()


@post("/members/{name:str}", opt=_USER, sync_to_thread=True, status_code=200)
def add_member(
    office: TheOffice, request: _Asked, name: FromPath[str], data: JSONBody[RoleOrder]
) -> User:
    """Let somebody into the project. An account is made if there is none of that name; a password
    is set on the fleet's own machine only.
    """
    return office.users.add(name, data.role, by=request.user.name)


@post("/members/{name:str}/role", opt=_USER, sync_to_thread=True, status_code=200)
def set_role(
    office: TheOffice, request: _Asked, name: FromPath[str], data: JSONBody[RoleOrder]
) -> User:
    """Give a member another role, at once for the member's sessions and tokens; nobody does so for
    oneself.
    """
    if name == request.user.name:
        raise TrustError(
            f"{name} cannot give {name} another role", hint="ask another security admin"
        )
    return office.users.set_role(name, data.role, by=request.user.name)


@post("/members/{name:str}/remove", opt=_USER, sync_to_thread=True, status_code=200)
def remove_member(office: TheOffice, request: _Asked, name: FromPath[str]) -> Gone:
    """Let a member in no more; the account stays, because other projects may have it too."""
    office.users.remove(name, by=request.user.name)
    return Gone(user=name)


@post("/members/{name:str}/tokens", opt=_USER, sync_to_thread=True)
def create_user_token(
    office: TheOffice, request: _Asked, name: FromPath[str], data: JSONBody[TokenWish]
) -> UserToken:
    """Make a token for a member's programs, for this project only; it is shown once. It opens no
    more than the token that asks for it, and for another person neither `approve` nor `user`.
    """
    asker = request.user.name
    held = office.users.scopes_of(token_of(request))
    scopes = granted(data.scopes, held=held, is_own=name == asker)
    return office.users.create_token(name, lifetime_s=data.lifetime_s, by=asker, scopes=scopes)


@post("/members/{name:str}/revoke-tokens", opt=_USER, sync_to_thread=True, status_code=200)
def revoke_user_tokens(office: TheOffice, request: _Asked, name: FromPath[str]) -> Gone:
    """End a member's sessions, and the tokens for this project."""
    return Gone(user=name, tokens=office.users.revoke_tokens(name, by=request.user.name))


MEMBERS = (
    members,
    add_member,
    set_role,
    remove_member,
    create_user_token,
    revoke_user_tokens,
)
