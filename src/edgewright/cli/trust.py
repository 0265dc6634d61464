"""`edgewright trust`: keep an image repository with offline keys, or follow one."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._output import json_option, print_json, print_table, say
from edgewright.cli._trust_client import client

if TYPE_CHECKING:
    from edgewright.chain.trust_repository import RepositoryStatus

_PATH = click.Path(path_type=Path)
_REPO = click.argument("repo", type=_PATH)
_PASSWORD_FILE = click.option(
    "--password-file",
    type=_PATH,
    help="The key's password, in a file's first line; else asked for.",
)


@click.group()
def trust() -> None:
    """Keep an image repository with offline keys, or follow one.

    A change (add, rotate, revoke, renew) is staged first. Keepers sign what is staged, each with
    their own key; with the last signature that was missing it is published.
    """


trust.add_command(client)


@trust.command()
@click.argument("path", type=_PATH)
@_PASSWORD_FILE
@click.option("--no-password", is_flag=True, help="Leave the key unprotected, for tests.")
def keygen(path: Path, *, password_file: Path | None, no_password: bool) -> None:
    """Make a key pair: PATH, which never leaves its keeper, and its public half beside it."""
    from edgewright.chain import trust_repository as chain

    password = chain.read_password(password_file)
    if password is None and not no_password:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    click.echo(chain.make_key(path, password=password))


@trust.command()
@_REPO
@click.option("--root", type=_PATH, multiple=True, required=True, help="Public key file of root.")
@click.option("--root-threshold", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--targets", type=_PATH, multiple=True, required=True, help="... of targets.")
@click.option("--targets-threshold", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--snapshot", type=_PATH, multiple=True, help="... of snapshot.")
@click.option("--timestamp", type=_PATH, multiple=True, help="... of timestamp.")
@click.option("--fleet", type=_PATH, help="A fleet's home: its online key keeps those two fresh.")
@json_option
def init(
    *,
    repo: Path,
    root: tuple[Path, ...],
    root_threshold: int,
    targets: tuple[Path, ...],
    targets_threshold: int,
    snapshot: tuple[Path, ...],
    timestamp: tuple[Path, ...],
    fleet: Path | None,
    as_json: bool,
) -> None:
    """Begin an image repository in the folder REPO with these public keys.

    A fleet serves the one in FLEET_HOME/image: trust init FLEET_HOME/image --fleet FLEET_HOME ...
    """
    from edgewright.chain import trust_repository as chain

    if fleet is not None:
        from edgewright.chain.fleet import found_online_key

        online = (found_online_key(fleet),)
        snapshot, timestamp = snapshot or online, timestamp or online
    if not snapshot or not timestamp:
        raise click.UsageError("give --snapshot and --timestamp, or --fleet")

    keys = {
        "root": chain.KeyFiles(paths=root, threshold=root_threshold),
        "targets": chain.KeyFiles(paths=targets, threshold=targets_threshold),
        "snapshot": chain.KeyFiles(paths=snapshot),
        "timestamp": chain.KeyFiles(paths=timestamp),
    }
    _show(chain.found(repo, keys, wall_s=time.time()), as_json=as_json)


@trust.command()
@_REPO
@json_option
def status(*, repo: Path, as_json: bool) -> None:
    """Show versions, expiry, keys, and whose signatures are missing."""
    from edgewright.chain import trust_repository as chain

    _show(chain.status(repo, wall_s=time.time()), as_json=as_json)


@trust.command()
@_REPO
@click.argument("file", type=_PATH)
@click.option("--name", help="The target's name, such as har/1.2.ewb; else the file's own.")
@json_option
def add(*, repo: Path, file: Path, name: str | None, as_json: bool) -> None:
    """Stage the promise of a file."""
    from edgewright.chain import trust_repository as chain

    result = chain.add_target(repo, file, name=name or file.name, wall_s=time.time())
    _show(result, as_json=as_json)


@trust.command()
@_REPO
@click.option("--key", type=_PATH, required=True, help="Your private key file.")
@_PASSWORD_FILE
@json_option
def sign(*, repo: Path, key: Path, password_file: Path | None, as_json: bool) -> None:
    """Sign what is staged; the last missing signature publishes it."""
    from edgewright.chain import trust_repository as chain

    password = chain.read_password(password_file)
    if password is None and chain.is_encrypted(key):
        password = click.prompt(f"Password of {key.name}", hide_input=True, err=True)
    _show(chain.sign(repo, key, password=password, wall_s=time.time()), as_json=as_json)


@trust.command()
@_REPO
@click.argument("role")
@click.option("--add", type=_PATH, multiple=True, help="Public key file to take in.")
@click.option("--remove", multiple=True, help="Id of a key to take away, or how it begins.")
@click.option("--threshold", type=click.IntRange(min=1), help="How many keys must sign.")
@json_option
def rotate(
    *,
    repo: Path,
    role: str,
    add: tuple[Path, ...],
    remove: tuple[str, ...],
    threshold: int | None,
    as_json: bool,
) -> None:
    """Stage other keys for ROLE."""
    from edgewright.chain import trust_repository as chain

    change = chain.KeyChange(role=role, add=add, remove=remove, threshold=threshold)
    _show(chain.rotate(repo, change, wall_s=time.time()), as_json=as_json)


@trust.command()
@_REPO
@click.argument("key_id")
@json_option
def revoke(*, repo: Path, key_id: str, as_json: bool) -> None:
    """Stage that the key KEY_ID counts for nothing any more, in no role.

    A target's name (har/1.2.ewb) revokes that release: devices return to it no more.
    """
    from edgewright.chain import trust_repository as chain

    if key_id.endswith(".ewb"):
        _show(chain.withdraw(repo, key_id, wall_s=time.time()), as_json=as_json)
        return
    _show(chain.revoke(repo, key_id, wall_s=time.time()), as_json=as_json)


@trust.command()
@_REPO
@click.argument("roles", nargs=-1, required=True)
@json_option
def renew(*, repo: Path, roles: tuple[str, ...], as_json: bool) -> None:
    """Stage another lifetime for ROLES, and for those that name them."""
    from edgewright.chain import trust_repository as chain

    _show(chain.renew(repo, roles, wall_s=time.time()), as_json=as_json)


@trust.command()
@_REPO
@click.option("--out", type=_PATH, required=True, help="A new folder, for a web server or a stick.")
@json_option
def export(*, repo: Path, out: Path, as_json: bool) -> None:
    """Copy what devices may see, after reading it as a device would."""
    from edgewright.chain import trust_repository as chain

    _show(chain.export(repo, out, wall_s=time.time()), as_json=as_json)


def _show(result: "RepositoryStatus", *, as_json: bool) -> None:
    if as_json:
        print_json("trust-repository", result)
    else:
        columns = ("role", "version", "staged", "expires", "keys", "threshold")
        rows = [
            (
                state.role,
                state.version,
                state.staged_version,
                datetime.fromtimestamp(state.expires_s, UTC).strftime("%Y-%m-%d"),
                " ".join(key_id[:12] for key_id in state.key_ids),
                state.threshold,
            )
            for state in result.roles
        ]
        print_table("", columns, rows)
    for lack in result.lacks:
        keys = " ".join(key_id[:12] for key_id in lack.key_ids)
        say(f"missing: {lack.count} signature(s) for {lack.role}, of {keys}")
    for state in result.roles:
        if state.is_expiring:
            say(
                f"warning: {state.role} expires soon; run: edgewright trust renew REPO {state.role}"
            )
