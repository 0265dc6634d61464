"""`edgewright serve`: models over HTTP and Unix sockets."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from edgewright.cli._output import JSON_SCHEMA_VERSION, say
from edgewright.errors import InputError

if TYPE_CHECKING:
    from edgewright.chain.serving import ListenAlso
    from edgewright.device.serve import InferenceServer, ServeOptions

_FILE = click.Path(path_type=Path)
_DEFAULT_ADDRESS = "127.0.0.1:8080"


@click.command()
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=_FILE)
@click.option(
    "--http", metavar="HOST:PORT", help=f"Address; port 0 takes a free one.  [{_DEFAULT_ADDRESS}]"
)
@click.option("--uds", type=_FILE, help="Unix socket to serve on, beside or instead of --http.")
@click.option("--grpc", metavar="HOST:PORT", help="Address for gRPC as well (extra grpc).")
@click.option("--threads", type=click.IntRange(min=1), help="Worker threads.  [the cores it has]")
@click.option("--admin", type=_FILE, help="Unix socket for loading and unloading models.")
@click.option("--queue", type=click.IntRange(min=1), default=512, show_default=True,
              help="Requests that may wait for one model.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the address as a JSON line.")
def serve(
    *,
    paths: tuple[Path, ...],
    http: str | None,
    uds: Path | None,
    grpc: str | None,
    threads: int | None,
    admin: Path | None,
    queue: int,
    as_json: bool,
) -> None:
    """Serve models: bundles (.ewb or unpacked) and bare engine files.

    Prints one line that begins with "ready" when every model has passed its trial. SIGTERM answers
    what was asked, then ends.
    """
    if not paths and admin is None:
        raise InputError("nothing to serve", hint="give a PATH, or --admin to load models later")
    from edgewright.chain.serving import default_threads, serve_until_stopped
    from edgewright.device.serve import Admission, ServeOptions

    host, port = (None, None)
    if http is not None or uds is None:
        host, port = _address("--http", http or _DEFAULT_ADDRESS)
    options = ServeOptions(
        host=host,
        port=port,
        uds=uds,
        admin=admin,
        threads=threads or default_threads(),
        admission=Admission(max_waiting=queue),
    )
    serve_until_stopped(
        paths,
        options,
        on_ready=lambda server: _announce(server, as_json=as_json),
        listen_also=_grpc(_address("--grpc", grpc), options) if grpc is not None else None,
    )


def _grpc(address: tuple[str, int], options: "ServeOptions") -> "ListenAlso":
    from edgewright.chain.serving_grpc import grpc_listener

    return grpc_listener(address, options.limits)


def _announce(server: "InferenceServer", *, as_json: bool) -> None:
    names = [f"{model.name} {model.version}" for model in server.models]
    if as_json:
        document = {
            "schema_version": JSON_SCHEMA_VERSION,
            "kind": "serving",
            "address": server.addresses[0],
            "addresses": server.addresses,
            "models": names,
        }
        click.echo(msgspec.json.encode(document))
    what = ", ".join(names) or "no model yet"
    say(f"ready: {what} on {' and '.join(server.addresses)}")


def _address(option: str, text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InputError(f"{option} {text!r} is not HOST:PORT", hint="for example 127.0.0.1:8080")
    return host.strip("[]") or "127.0.0.1", int(port)
