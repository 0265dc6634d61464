"""`edgewright user`: who may command the fleet through the people's API."""

from pathlib import Path

import click

from edgewright.cli._fleet import home_option, opened, operator, seconds, when
from edgewright.cli._output import json_option, print_json, print_table, say


@click.group()
def user() -> None:
    """Add people, give them roles, make tokens for their programs.

    Roles: viewer, data-scientist, releaser, device-admin, security-admin, qa.
    """


@user.command()
@click.argument("name")
@click.option("--role", default="viewer", show_default=True)
@home_option
@json_option
def add(name: str, *, role: str, home: Path, as_json: bool) -> None:
    """Add a user."""
    with opened(home) as office:
        made = office.users.add(name, role, by=operator())
    if as_json:
        print_json("user", made)
    else:
        click.echo(f"{made.name} is {made.role}")


@user.command()
@click.argument("name")
@click.argument("new_role", metavar="ROLE")
@home_option
@json_option
def role(name: str, new_role: str, *, home: Path, as_json: bool) -> None:
    """Give a user another role; it holds at once for the user's tokens."""
    with opened(home) as office:
        changed = office.users.set_role(name, new_role, by=operator())
    if as_json:
        print_json("user", changed)
    else:
        click.echo(f"{changed.name} is {changed.role}")


@user.command()
@click.argument("name")
@click.option(
    "--expires", callback=seconds, default="30d", show_default=True, help="Span, like 12h."
)
@click.option("--scope", "scopes", multiple=True, help="Only this permission; may be repeated.")
@home_option
@json_option
def token(name: str, *, expires: float, scopes: tuple[str, ...], home: Path, as_json: bool) -> None:
    """Make a token for a user's programs. It is printed once and kept as a hash only.

    Scopes: read, publish, approve, rollout, device, user, audit.
    """
    with opened(home) as office:
        made = office.users.create_token(name, lifetime_s=expires, by=operator(), scopes=scopes)
    if as_json:
        print_json("user-token", made)
        return
    say(f"for {made.user} until {when(made.expires_at_s)}:")
    click.echo(made.token)


@user.command(name="list")
@home_option
@json_option
def list_users(*, home: Path, as_json: bool) -> None:
    """List users."""
    with opened(home) as office:
        users = office.users.list()
    if as_json:
        print_json("users", {"users": users})
    else:
        print_table(
            "", ("user", "role", "since"), [(u.name, u.role, when(u.created_at_s)) for u in users]
        )


@user.command()
@click.argument("name")
@home_option
def password(name: str, *, home: Path) -> None:
    """Set a user's password, asked for here or read from a pipe. The user's sessions end."""
    import sys

    if sys.stdin.isatty():
        text = click.prompt("password", hide_input=True, confirmation_prompt=True)
    else:
        text = sys.stdin.readline().rstrip("\n")
    with opened(home) as office:
        office.users.set_password(name, text, by=operator())
    click.echo(f"{name} has a new password")


@user.command()
@click.argument("name")
@home_option
def disable(name: str, *, home: Path) -> None:
    """Shut a user out; sessions end and tokens open nothing."""
    with opened(home) as office:
        office.users.set_disabled(name, is_disabled=True, by=operator())
    click.echo(f"{name} is shut out")


@user.command()
@click.argument("name")
@home_option
def enable(name: str, *, home: Path) -> None:
    """Let a user in again."""
    with opened(home) as office:
        office.users.set_disabled(name, is_disabled=False, by=operator())
    click.echo(f"{name} is let in")


@user.command(name="revoke-tokens")
@click.argument("name")
@home_option
def revoke_tokens(name: str, *, home: Path) -> None:
    """End all tokens and sessions of a user."""
    with opened(home) as office:
        count = office.users.revoke_tokens(name, by=operator())
    click.echo(f"{count} token(s) of {name} have ended")
