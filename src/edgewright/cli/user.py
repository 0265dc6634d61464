"""`edgewright user`: who may command the fleet through the people's API."""

from typing import TYPE_CHECKING

import click

from edgewright.cli._fleet import (
    Place,
    Shown,
    fleet_command,
    listed,
    opened,
    operator,
    place_options,
    said,
    seconds,
    when,
)
from edgewright.cli._output import say

if TYPE_CHECKING:
    from edgewright.fleet.client import Fleet
    from edgewright.fleet.people import User


@click.group()
def user() -> None:
    """Add people, give them roles, make tokens for their programs.

    An account is the fleet's; its role is one for each project that it was added to. Roles: viewer,
    data-scientist, releaser, device-admin, security-admin, qa.
    """


@fleet_command(user)
@click.argument("name")
@click.option("--role", default="viewer", show_default=True)
def add(fleet: "Fleet", name: str, *, role: str) -> Shown:
    """Add a user to the project; the account is made unless it is there already."""
    return _shown(fleet.add_member(name, role))


@fleet_command(user)
@click.argument("name")
@click.argument("new_role", metavar="ROLE")
def role(fleet: "Fleet", name: str, new_role: str) -> Shown:
    """Give a user another role; it holds at once for the user's tokens."""
    return _shown(fleet.set_role(name, new_role))


@fleet_command(user)
@click.argument("name")
def remove(fleet: "Fleet", name: str) -> Shown:
    """Take a user out of the project; the account stays, for it may be in others."""
    fleet.remove_member(name)
    return said("user-removed", {"user": name}, f"{name} is let in no more")


@fleet_command(user)
@click.argument("name")
@click.option(
    "--expires", callback=seconds, default="30d", show_default=True, help="Span, like 12h."
)
@click.option("--scope", "scopes", multiple=True, help="Only this permission; may be repeated.")
def token(fleet: "Fleet", name: str, *, expires: float, scopes: tuple[str, ...]) -> Shown:
    """Make a token for a user's programs, for this project. It is printed once, a hash is kept.

    Scopes: read, publish, approve, rollout, device, user, audit, notify. Over HTTP a token opens no
    more than the one that asks for it, and for another user neither approve nor user.
    """
    made = fleet.create_user_token(name, lifetime_s=expires, scopes=scopes)

    def show() -> None:
        only = f", only {', '.join(made.scopes)}" if made.scopes else ""
        say(f"for {made.user} until {when(made.expires_at_s)}{only}:")
        click.echo(made.token)

    return Shown("user-token", made, show)


@fleet_command(user, name="list")
def list_users(fleet: "Fleet") -> Shown:
    """List the users of the project."""
    users = fleet.members()
    rows = [(u.name, u.role, when(u.created_at_s)) for u in users]
    return listed("users", {"users": users}, ("user", "role", "since"), rows)


@fleet_command(user, name="revoke-tokens")
@click.argument("name")
def revoke_tokens(fleet: "Fleet", name: str) -> Shown:
    """End a user's sessions, and the tokens for this project."""
    count = fleet.revoke_user_tokens(name)
    text = f"{count} token(s) of {name} have ended"
    return said("user-tokens-revoked", {"user": name, "tokens": count}, text)


@user.command()
@click.argument("name")
@place_options
def password(name: str, *, place: Place) -> None:
    """Set a user's password, asked for here or read from a pipe. The user's sessions end."""
    import sys

    if sys.stdin.isatty():
        text = click.prompt("password", hide_input=True, confirmation_prompt=True)
    else:
        text = sys.stdin.readline().rstrip("\n")
    with opened(place) as office:
        office.users.set_password(name, text, by=operator())
    click.echo(f"{name} has a new password")


@user.command()
@click.argument("name")
@place_options
def disable(name: str, *, place: Place) -> None:
    """Shut a user out of every project; sessions end and tokens open nothing."""
    with opened(place) as office:
        office.users.set_disabled(name, is_disabled=True, by=operator())
    click.echo(f"{name} is shut out")


@user.command()
@click.argument("name")
@place_options
def enable(name: str, *, place: Place) -> None:
    """Let a user in again."""
    with opened(place) as office:
        office.users.set_disabled(name, is_disabled=False, by=operator())
    click.echo(f"{name} is let in")


def _shown(user: "User") -> Shown:
    return said("user", user, f"{user.name} is {user.role} in {user.project}")
