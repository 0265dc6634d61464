"""`edgewright release mlflow-export` and `mlflow-import`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgewright.cli._fleet import Place, opened, place_options
from edgewright.cli._output import json_option, print_json, say

if TYPE_CHECKING:
    from edgewright.chain import mlflow

_TOKEN_VARIABLE = "MLFLOW_TRACKING_TOKEN"  # noqa: S105 - where it is, not what it is
_FILE = click.Path(path_type=Path, dir_okay=False)


def _server_options(function: Any) -> Any:
    address = click.option(
        "--mlflow",
        "url",
        required=True,
        envvar="MLFLOW_TRACKING_URI",
        help="Address of the server.",
    )
    token = click.option(
        "--mlflow-token-file",
        "token_file",
        type=_FILE,
        help=f"Bearer token for it; or the variable {_TOKEN_VARIABLE}.",
    )
    ca = click.option("--mlflow-ca", "ca", type=_FILE, help="Whose certificates to believe (PEM).")
    return address(token(ca(function)))


@click.command(name="mlflow-export")
@click.argument("reference")
@click.option("--name", default="", help="The registered model; the release's model unless given.")
@_server_options
@place_options
@json_option
def mlflow_export(
    reference: str,
    *,
    name: str,
    url: str,
    token_file: Path | None,
    ca: Path | None,
    place: Place,
    as_json: bool,
) -> None:
    """Register release REFERENCE in MLflow: its file, where it came from, its aliases.

    Doing so again adds no version, and lets aliases follow.
    """
    import asyncio

    from edgewright.chain import mlflow

    with opened(place) as office:
        where = _place(url, token_file, ca)
        made = asyncio.run(mlflow.export_release(office, reference, where, name=name))
    if as_json:
        print_json("mlflow-export", made)
        return
    known = "" if made.is_new else ", which was there"
    click.echo(f"{made.name}/{made.version}: bundle {made.bundle_id[:12]}{known}")
    for alias in made.aliases:
        say(f"{made.name}@{alias}")


@click.command(name="mlflow-import")
@click.argument("reference")
@click.option("--out", type=_FILE, required=True, help="The file to write.")
@_server_options
@json_option
def mlflow_import(
    reference: str,
    *,
    out: Path,
    url: str,
    token_file: Path | None,
    ca: Path | None,
    as_json: bool,
) -> None:
    """Fetch NAME@ALIAS or NAME/VERSION from MLflow: a bundle that was exported there, or the ONNX
    file of a model that was logged there.
    """
    import asyncio

    from edgewright.chain import mlflow

    made = asyncio.run(mlflow.import_version(_place(url, token_file, ca), reference, out))
    if as_json:
        print_json("mlflow-import", made)
        return
    click.echo(f"{out}: {made.kind} of {made.name}/{made.version}, {made.size_bytes} bytes")
    if made.kind == "bundle":
        say(f"offer it: edgewright release publish {out}")
    else:
        say(f"build a bundle of it: edgewright bundle build --model {out} --name ... --version ...")


def _place(url: str, token_file: Path | None, ca: Path | None) -> "mlflow.Place":
    import ssl

    from edgewright import _fs
    from edgewright.chain import mlflow

    token = os.environ.get(_TOKEN_VARIABLE, "")
    if token_file is not None:
        token = _fs.read_limited(token_file, limit_bytes=4096).decode().strip()
    context = ssl.create_default_context(cafile=str(ca)) if ca else None
    return mlflow.Place(url=url, token=token, tls=context)
