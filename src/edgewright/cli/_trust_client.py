"""`edgewright trust client`: the client of a TUF repository, by hand."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from edgewright.errors import EdgewrightError

T = TypeVar("T")

_PATH = click.Path(path_type=Path)


@dataclass(frozen=True)
class ClientOptions:
    """What stands before the client's command."""

    metadata_dir: Path | None
    metadata_url: str | None
    names: tuple[str, ...]
    target_dir: Path | None
    target_base_url: str | None


@click.group()
@click.option("--metadata-dir", type=_PATH, help="Where trusted metadata is kept.")
@click.option("--metadata-url", help="Where the repository serves its metadata.")
@click.option("--target-name", "names", multiple=True, help="A target to download; repeatable.")
@click.option("--target-dir", type=_PATH, help="Where downloaded targets go.")
@click.option("--target-base-url", help="Where the repository serves its targets.")
@click.pass_context
def client(
    context: click.Context,
    *,
    metadata_dir: Path | None,
    metadata_url: str | None,
    names: tuple[str, ...],
    target_dir: Path | None,
    target_base_url: str | None,
) -> None:
    """Be a TUF client, by hand.

    Speaks the client protocol of the public tuf-conformance suite, which knows two exit codes: 0,
    and 1 for whatever went wrong.
    """
    context.obj = ClientOptions(metadata_dir, metadata_url, names, target_dir, target_base_url)


@client.command()
@click.argument("root", type=_PATH)
@click.pass_obj
def init(options: ClientOptions, root: Path) -> None:
    """Begin to trust the repository whose root metadata is in the file ROOT."""
    from edgewright.chain.trust_client import plant_root

    folder = _given(options.metadata_dir, "--metadata-dir")
    with _one_for_failure():
        plant_root(folder, root)


@client.command()
@click.pass_obj
def refresh(options: ClientOptions) -> None:
    """Bring the kept metadata up to date."""
    from edgewright.chain import trust_client

    folder = _given(options.metadata_dir, "--metadata-dir")
    url = _given(options.metadata_url, "--metadata-url")
    with _one_for_failure():
        versions = trust_client.refresh(folder, url)
        click.echo(", ".join(f"{role} v{version}" for role, version in versions.items()))


@client.command()
@click.pass_obj
def download(options: ClientOptions) -> None:
    """Bring the kept metadata up to date, then download targets."""
    from edgewright.chain import trust_client

    folder = _given(options.metadata_dir, "--metadata-dir")
    url = _given(options.metadata_url, "--metadata-url")
    order = trust_client.DownloadOrder(
        names=_given(options.names or None, "--target-name"),
        base_url=_given(options.target_base_url, "--target-base-url"),
        folder=_given(options.target_dir, "--target-dir"),
    )
    with _one_for_failure():
        for path in trust_client.download(folder, url, order):
            click.echo(path)


def _given(value: T | None, option: str) -> T:
    if value is None:
        raise click.UsageError(f"{option} is needed, before the command")
    return value


@contextlib.contextmanager
def _one_for_failure() -> Iterator[None]:
    """The suite's exit code in place of the branch's own."""
    try:
        yield
    except EdgewrightError as error:
        click.echo(f"error: {error}", err=True)
        click.get_current_context().exit(1)
