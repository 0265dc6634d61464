"""`edgewright trust`: keep an image repository with offline keys, or follow one."""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._keys import access, named, names, password_option
from edgewright.cli._output import json_option, print_json, print_table, say
from edgewright.cli._trust_client import client

if TYPE_CHECKING:
    from edgewright.chain.trust_repository import RepositoryStatus
    from edgewright.trust.keys import Scheme

_PATH = click.Path(path_type=Path)
_REPO = click.argument("repo", type=_PATH)
_VERSION_MOST = 1_000_000_000
"""There must be room above it for ever."""


@click.group()
def trust() -> None:
    """Keep an image repository with offline keys, or follow one.

    A change (add, rotate, revoke, renew) is staged first. Keepers sign what is staged, each with
    their own key; with the last signature that was missing it is published.
    """


trust.add_command(client)


@trust.command()
@click.argument("key")
@password_option
@click.option("--no-password", is_flag=True, help="Leave the key file unprotected, for tests.")
@click.option("--out", type=_PATH, help="A new .pub file, for a key in a token or a TPM.")
@click.option(
    "--scheme",
    type=click.Choice(["ed25519", "ecdsa-sha2-nistp256"]),
    help="Of a token's key: ed25519 if absent; many tokens know P-256 alone.",
)
def keygen(
    key: str,
    *,
    password_file: Path | None,
    no_password: bool,
    out: Path | None,
    scheme: "Scheme | None",
) -> None:
    """Make a key pair: KEY, which never leaves its keeper, and its public half.

    KEY is a new file, and its public half lies beside it as .pub. Or it is a new key in a token,
    pkcs11:token=LABEL;object=NAME?module-path=LIBRARY, or in this machine's TPM, tpm2:FILE; then
    the public half goes to --out.
    """
    from edgewright.chain import signing_keys as chain

    if chain.is_kept_elsewhere(key):
        if out is None:
            raise click.UsageError("a key in a token or a TPM needs --out FILE.pub")
        made = chain.make_kept_key(named(key), access(password_file), scheme=scheme, public=out)
        click.echo(made)
        return
    if scheme is not None or out is not None:
        raise click.UsageError("--scheme and --out are for keys in tokens and TPMs")
    password = chain.read_password(password_file)
    if password is None and not no_password:
        try:
            password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        except click.Abort:
            if sys.stdin.isatty():
                raise
            raise click.UsageError(
                "nobody is there to ask for a password: give --password-file or --no-password"
            ) from None
    click.echo(chain.make_key(Path(key), password=password))


@trust.command()
@click.argument("key")
@click.option("--out", type=_PATH, required=True, help="A new .pub file.")
def public(key: str, *, out: Path) -> None:
    """Write the public half of KEY: pkcs11: URI, tpm2:FILE, or a PEM file. No PIN is needed."""
    from edgewright.chain import signing_keys as chain

    click.echo(chain.save_public_key(named(key), out))


@trust.command()
@_REPO
@click.option("--root", multiple=True, required=True, help="Public key of root: .pub, PEM or URI.")
@click.option("--root-threshold", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--targets", multiple=True, required=True, help="... of targets.")
@click.option("--targets-threshold", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--snapshot", multiple=True, help="... of snapshot.")
@click.option("--timestamp", multiple=True, help="... of timestamp.")
@click.option("--fleet", type=_PATH, help="A fleet's home: its online key keeps those two fresh.")
@json_option
def init(
    *,
    repo: Path,
    root: tuple[str, ...],
    root_threshold: int,
    targets: tuple[str, ...],
    targets_threshold: int,
    snapshot: tuple[str, ...],
    timestamp: tuple[str, ...],
    fleet: Path | None,
    as_json: bool,
) -> None:
    """Begin an image repository in the folder REPO with these public keys.

    A fleet serves the one in FLEET_HOME/image: trust init FLEET_HOME/image --fleet FLEET_HOME ...
    """
    from edgewright.chain import trust_repository as chain

    if fleet is not None:
        from edgewright.chain.fleet import found_online_key

        online = (str(found_online_key(fleet)),)
        snapshot, timestamp = snapshot or online, timestamp or online
    if not snapshot or not timestamp:
        raise click.UsageError("give --snapshot and --timestamp, or --fleet")

    keys = {
        "root": chain.KeyFiles(paths=names(root), threshold=root_threshold),
        "targets": chain.KeyFiles(paths=names(targets), threshold=targets_threshold),
        "snapshot": chain.KeyFiles(paths=names(snapshot)),
        "timestamp": chain.KeyFiles(paths=names(timestamp)),
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
@click.option("--key", required=True, help="Your private key: a file, a pkcs11: URI, or tpm2:FILE.")
@password_option
@json_option
def sign(*, repo: Path, key: str, password_file: Path | None, as_json: bool) -> None:
    """Sign what is staged; the last missing signature publishes it."""
    from edgewright.chain import trust_repository as chain
    from edgewright.chain.signing_keys import opened

    with opened(named(key), access(password_file)) as signer:
        result = chain.sign(repo, signer, wall_s=time.time())
    _show(result, as_json=as_json)


@trust.command()
@_REPO
@click.argument("project")
@click.option("--key", "keys", multiple=True, required=True, help="Public key: .pub, PEM or URI.")
@click.option("--threshold", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--path", "paths", multiple=True, help="Names like har/*; PROJECT/* if absent.")
@json_option
def delegate(
    *,
    repo: Path,
    project: str,
    keys: tuple[str, ...],
    threshold: int,
    paths: tuple[str, ...],
    as_json: bool,
) -> None:
    """Stage that PROJECT speaks for names of its own, with keys of its own.

    From then on the keepers of PROJECT alone sign its releases, and nothing outside its paths. What
    is released there already moves to it, so both sign once. A star stands for one part of a name.
    """
    from edgewright.chain import trust_repository as chain

    files = chain.KeyFiles(paths=names(keys), threshold=threshold)
    result = chain.delegate(repo, project, files, paths=paths, wall_s=time.time())
    _show(result, as_json=as_json)


@trust.command()
@_REPO
@click.argument("project")
@json_option
def undelegate(*, repo: Path, project: str, as_json: bool) -> None:
    """Stage that PROJECT speaks for nothing any more.

    What it had released stays released, by the keepers of targets, who sign that list now: look at
    it first, and revoke what they do not vouch for.
    """
    from edgewright.chain import trust_repository as chain

    _show(chain.undelegate(repo, project, wall_s=time.time()), as_json=as_json)


@trust.command()
@_REPO
@click.argument("role")
@click.option("--bins", type=click.IntRange(2, 256), default=16, show_default=True,
              help="A power of two.")  # fmt: skip
@json_option
def split(*, repo: Path, role: str, bins: int, as_json: bool) -> None:
    """Stage that the names of ROLE (targets, or a project) are spread over hashed bins.

    For a role that lists thousands of files: a device then reads one bin of it. The bins have the
    keys of the role.
    """
    from edgewright.chain import trust_repository as chain

    _show(chain.split(repo, role, bins=bins, wall_s=time.time()), as_json=as_json)


@trust.command()
@_REPO
@click.argument("role")
@click.option("--add", multiple=True, help="Public key to take in: .pub, PEM or URI.")
@click.option("--remove", multiple=True, help="Id of a key to take away, or how it begins.")
@click.option("--threshold", type=click.IntRange(min=1), help="How many keys must sign.")
@json_option
def rotate(
    *,
    repo: Path,
    role: str,
    add: tuple[str, ...],
    remove: tuple[str, ...],
    threshold: int | None,
    as_json: bool,
) -> None:
    """Stage other keys for ROLE: root, targets, snapshot, timestamp, or a project."""
    from edgewright.chain import trust_repository as chain

    change = chain.KeyChange(role=role, add=names(add), remove=remove, threshold=threshold)
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
@click.option(
    "--above",
    type=click.IntRange(0, _VERSION_MOST),
    default=0,
    help="The newest version that a device has seen, when REPO came from a backup.",
)
@json_option
def renew(*, repo: Path, roles: tuple[str, ...], above: int, as_json: bool) -> None:
    """Stage another lifetime for ROLES, and for those that name them.

    Devices refuse a repository whose versions fall. One that was restored from a backup is brought
    ahead of what they have seen with --above; a generous number does no harm.
    """
    from edgewright.chain import trust_repository as chain

    _show(chain.renew(repo, roles, wall_s=time.time(), above=above), as_json=as_json)


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
        columns = ("role", "version", "staged", "expires", "keys", "threshold", "for")
        rows = [
            (
                state.role,
                state.version,
                state.staged_version,
                datetime.fromtimestamp(state.expires_s, UTC).strftime("%Y-%m-%d"),
                " ".join(key_id[:12] for key_id in state.key_ids),
                state.threshold,
                " ".join(state.paths),
            )
            for state in result.roles
        ]
        print_table("", columns, rows)
    for lack in result.lacks:
        keys = " ".join(key_id[:12] for key_id in lack.key_ids)
        say(f"missing: {lack.count} signature(s) for {lack.role}, of {keys}")
    for warning in result.warnings:
        say(f"warning: {warning}")
