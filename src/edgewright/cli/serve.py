"""`edgewright serve`: models over HTTP and Unix sockets."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from edgewright.cli._extras import absence_of
from edgewright.cli._numbers import NumberRange
from edgewright.cli._output import JSON_SCHEMA_VERSION, say
from edgewright.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgewright.chain.serving import OpenObserver
    from edgewright.chain.serving_tls import TlsFiles
    from edgewright.device.serve import InferenceServer, ServeOptions
    from edgewright.device.serve.access import Access
    from edgewright.device.serve.motifs import Motifs
    from edgewright.device.serve.server import ListenAlso
    from edgewright.transports.http1 import MakeHttp2

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
@click.option("--limit", metavar="MODEL=LIMIT:NUMBER,...", multiple=True,
              help="Limits of a model: concurrency, queue, timeout_ms, memory_mb.")  # fmt: skip
@click.option("--connections", type=click.IntRange(min=1), default=1024, show_default=True,
              help="Peers at once; beyond, one that is idle is let go.")  # fmt: skip
@click.option("--api-keys", type=_FILE, help="File of API keys, one a line; without one, 401.")
@click.option("--tls-cert", type=_FILE, help="PEM certificate chain: serve HTTPS.")
@click.option("--tls-key", type=_FILE, help="PEM key that belongs to --tls-cert.")
@click.option("--http2", is_flag=True, help="Offer HTTP/2 on the TLS port (extra http2).")
@click.option("--client-ca", type=_FILE, help="PEM CA whose client certificates are demanded.")
@click.option("--drift", metavar="MODEL=FILE", multiple=True,
              help="Reference (`monitor reference`) to judge a model's inputs by.")  # fmt: skip
@click.option("--allow-hooks", is_flag=True,
              help="Run Python hooks of bundles, confined; else they are refused.")  # fmt: skip
@click.option("--motifs", type=_FILE, help="Motifs (`edgewright motifs`) for EdgeInfer's sessions.")
@click.option("--split", metavar="MODEL=VERSION:WEIGHT,...", multiple=True,
              help="Let versions of a model share its requests by weight.")  # fmt: skip
@click.option("--shadow", metavar="MODEL=VERSION", multiple=True,
              help="Compare this version with those that answer.")  # fmt: skip
@click.option("--sticky-header", metavar="NAME",
              help="Header whose value keeps to one version.  [x-sticky-key]")  # fmt: skip
@click.option("--access-log", type=_FILE, help="Write a JSON line per request; - is stdout.")
@click.option("--otel", metavar="URL",
              help="Send spans to this OTLP/HTTP endpoint, for example "
                   "http://127.0.0.1:4318/v1/traces (extra otel).")  # fmt: skip
@click.option("--otel-share", type=NumberRange(0, 1), default=1.0, show_default=True,
              help="Share of the requests without a traceparent that become spans.")  # fmt: skip
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
    limit: tuple[str, ...],
    connections: int,
    api_keys: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    http2: bool,
    client_ca: Path | None,
    drift: tuple[str, ...],
    allow_hooks: bool,
    motifs: Path | None,
    split: tuple[str, ...],
    shadow: tuple[str, ...],
    sticky_header: str | None,
    access_log: Path | None,
    otel: str | None,
    otel_share: float,
    as_json: bool,
) -> None:
    """Serve models: bundles (.ewb or unpacked), bare engine files, and ensembles (.toml).

    Prints one line that begins with "ready" when every model has passed its trial. SIGTERM answers
    what was asked, then ends.
    """
    if not paths and admin is None:
        raise InputError("nothing to serve", hint="give a PATH, or --admin to load models later")
    from edgewright.chain.serving import Doors, default_threads, serve_until_stopped
    from edgewright.cli._per_model import by_model, limits, splits
    from edgewright.device.serve import Admission, ServeOptions
    from edgewright.transports.address import parse_address
    from edgewright.transports.http1 import Limits

    host, port = (None, None)
    if http is not None or uds is None:
        host, port = parse_address(http or _DEFAULT_ADDRESS, what="--http")
    found = limits(limit)
    options = ServeOptions(
        host=host,
        port=port,
        uds=uds,
        admin=admin,
        threads=threads or default_threads(),
        limits=Limits(connections=connections),
        admission=Admission(max_waiting=queue),
        model_limits={
            model: Admission(
                max_waiting=one.queue or queue,
                timeout_s=one.timeout_ms and one.timeout_ms / 1e3,
                concurrency=one.concurrency,
            )
            for model, one in found.items()
        },
        splits=splits(split, shadow, header=sticky_header),
    )
    access = _access(api_keys) if api_keys is not None else None
    tls = _tls(tls_cert, tls_key, client_ca)
    serve_until_stopped(
        paths,
        options,
        on_ready=lambda server: _announce(server, as_json=as_json),
        doors=Doors(
            listen_also=_grpc(grpc, options, access, tls) if grpc is not None else None,
            decode_image=_decode_image,
            access=access,
            http2=_http2(tls) if http2 else None,
            tls_files=tls,
            observers=_observers(access_log, otel, otel_share),
            memory_mb={m: one.memory_mb for m, one in found.items() if one.memory_mb},
            motifs=_motifs(motifs) if motifs is not None else None,
            allow_hooks=allow_hooks,
            drift=by_model("--drift", drift, Path, example="har=reference.npz"),
        ),
    )


def _http2(tls: "TlsFiles | None") -> "MakeHttp2":
    if tls is None:
        raise InputError(
            "HTTP/2 is spoken on the TLS port only", hint="give --tls-cert and --tls-key"
        )
    try:
        from edgewright.transports.http2 import Http2Connection
    except ModuleNotFoundError as error:
        raise absence_of(error) from error
    return Http2Connection


def _observers(
    access_log: Path | None, endpoint: str | None, share: float
) -> "Sequence[OpenObserver]":
    from functools import partial

    from edgewright.chain.serving import open_access_log

    found: list[OpenObserver] = []
    if access_log is not None:
        file = None if str(access_log) == "-" else access_log
        found.append(partial(open_access_log, file))
    if endpoint is not None:
        if not endpoint.startswith(("http://", "https://")):
            raise InputError(
                f"--otel {endpoint!r} is no http address",
                hint="for example http://127.0.0.1:4318/v1/traces",
            )
        try:
            from edgewright.chain.serving_traces import Tracing
        except ModuleNotFoundError as error:
            raise absence_of(error) from error
        found.append(partial(Tracing, endpoint, share=share))
    return found


def _motifs(path: Path) -> "Motifs":
    from edgewright._fs import read_limited
    from edgewright.device.serve.motifs import decode_motifs

    return decode_motifs(read_limited(path, limit_bytes=64 << 20), source=str(path))


def _access(path: Path) -> "Access":
    from edgewright._fs import read_limited
    from edgewright.device.serve.access import Access

    return Access.of_keys(
        read_limited(path, limit_bytes=1 << 20).decode(errors="replace").splitlines()
    )


def _tls(cert: Path | None, key: Path | None, client_ca: Path | None) -> "TlsFiles | None":
    from edgewright.chain.serving_tls import TlsFiles

    if cert is None and key is None and client_ca is None:
        return None
    if cert is None or key is None:
        raise InputError("TLS needs --tls-cert and --tls-key", hint="give both PEM files")
    return TlsFiles(cert, key, client_ca)


def _decode_image(content: bytes) -> "NDArray[Any]":
    """The decoder, imported when the first picture comes."""
    try:
        from edgewright.chain.images import decode_image
    except ModuleNotFoundError as error:
        raise absence_of(error) from error
    return decode_image(content)


def _grpc(
    where: str, options: "ServeOptions", access: "Access | None", tls: "TlsFiles | None"
) -> "ListenAlso":
    from edgewright.chain.serving_grpc import grpc_listener
    from edgewright.transports.address import parse_address

    address = parse_address(where, what="--grpc")
    return grpc_listener(address, options.limits, access=access, tls=tls)


def _announce(server: "InferenceServer", *, as_json: bool) -> None:
    from edgewright import _native

    names = [f"{model.name} {model.version}" for model in server.models]
    if as_json:
        document = {
            "schema_version": JSON_SCHEMA_VERSION,
            "kind": "serving",
            "address": server.addresses[0],
            "addresses": server.addresses,
            "models": names,
            "hot_path": _native.name(),
        }
        click.echo(msgspec.json.encode(document))
    what = ", ".join(names) or "no model yet"
    with contextlib.suppress(OSError):  # a full disk under its log must not keep it from serving
        how = "" if _native.part is None else ", hot path in C"
        say(f"ready: {what} on {' and '.join(server.addresses)}{how}")
