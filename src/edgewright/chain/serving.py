"""Wires the inference server: engines to open models with, an event loop, signals."""

import asyncio
import contextlib
import gc
import hashlib
import logging
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec
import uvloop

from edgewright._fs import file_errors
from edgewright.bundle import Bundle, open_bundle, unpack
from edgewright.bundle.golden import decode_golden
from edgewright.bundle.hooks import hook_blobs, require_hooks_allowed
from edgewright.chain import ensembles
from edgewright.chain.child import ALLOW_HOOKS
from edgewright.chain.drift_reference import watched_by_bundle, watched_by_file
from edgewright.chain.engines import FORMAT_BY_SUFFIX, open_engine_file, open_model_of
from edgewright.chain.open_files import allow_all_open_files, peers_within
from edgewright.chain.serving_tls import TlsFiles
from edgewright.clock import SystemClock
from edgewright.contract import Contract
from edgewright.device.serve import InferenceServer, Model, Servable, ServeOptions
from edgewright.device.serve.access import Access
from edgewright.device.serve.access_log import AccessLog
from edgewright.device.serve.child_model import ChildModel, ChildOrder
from edgewright.device.serve.isolated import Isolated
from edgewright.device.serve.motifs import Motifs
from edgewright.device.serve.observing import Seen
from edgewright.device.serve.pictures import DecodeImage
from edgewright.device.serve.server import ListenAlso
from edgewright.device.serve.turns import ask_for_short_turns
from edgewright.errors import InputError, TrustError
from edgewright.transports.http1 import MakeHttp2

logger = logging.getLogger(__name__)

CANDIDATE_COMMAND = (sys.executable, "-m", "edgewright.chain.candidate_child")
_HASH_CHUNK_BYTES = 1 << 20
_SWITCH_INTERVAL_S = 100e-6
_BARE_VERSION = "1"
_PLATFORM_BY_FORMAT = {"onnx": "onnxruntime_onnx"}

OnReady = Callable[[InferenceServer], None]


class ClosableObserver(Protocol):
    """An observer that has something to finish."""

    def __call__(self, seen: Seen) -> None: ...

    def close(self) -> None:
        """Write or send what is left."""


OpenObserver = Callable[[], ClosableObserver]


class Doors(msgspec.Struct, frozen=True, kw_only=True):
    """What a server may have beside its plain HTTP side."""

    listen_also: ListenAlso | None = None
    decode_image: DecodeImage | None = None
    access: Access | None = None
    motifs: Motifs | None = None
    tls_files: TlsFiles | None = None
    """Whom it shows itself as; looked at now and then, and shown anew when they change."""
    http2: MakeHttp2 | None = None
    drift: Mapping[str, Path] = {}
    """Drift references by the name that a model is served by, before what a bundle brings."""
    observers: Sequence[OpenObserver] = ()
    """Who sees every request: opened with the event loop at hand, closed after the server."""
    memory_mb: Mapping[str, float] = {}
    """By a model's own name, what the process may use that it then runs in."""
    allow_hooks: bool = False


def open_servable(
    path: Path, memory_mb: Mapping[str, float] | None = None, *, allow_hooks: bool = False
) -> Servable:
    """A model to serve: from an `.ewb`, an unpacked bundle, a bare engine file, or the `.toml` of
    an ensemble. One with a limit of memory runs in a process of its own.

    Raises:
        InputError: no such file, or not a model.
        TrustError: a bundle whose bytes are not what its manifest says, or whose hooks may not run.
        UnavailableError: no engine for it is installed here.
    """
    limits = memory_mb or {}
    if path.is_dir():
        return _from_bundle(open_bundle(path), path, limits, allow_hooks=allow_hooks)
    if path.suffix == ".ewb":
        with tempfile.TemporaryDirectory(prefix="edgewright-serve-") as folder:
            bundle = unpack(path, Path(folder) / "bundle")
            return _from_bundle(bundle, path, limits, allow_hooks=allow_hooks)
    if path.suffix == ensembles.SUFFIX:
        open_part = partial(open_servable, allow_hooks=allow_hooks)
        ensemble = ensembles.open_ensemble(path, open_part)
        if ensemble.name in limits:
            ensemble.model.close()
            raise InputError(
                f"{path}: an ensemble cannot have a limit of memory",
                hint="limit models that are served by themselves",
            )
        return ensemble
    named = path.stem in limits and path.suffix in FORMAT_BY_SUFFIX
    identity = _identity(path)
    isolated = _isolated(path, identity, limits[path.stem], CANDIDATE_COMMAND) if named else None
    model = isolated or open_engine_file(path, None)
    return Servable(
        name=path.stem,
        version=_BARE_VERSION,
        platform=_platform(FORMAT_BY_SUFFIX[path.suffix]),
        identity=identity,
        model=model,
        isolation=isolated,
    )


def open_candidate(folder: Path, memory_mb: float, *, allow_hooks: bool = False) -> Servable:
    """An unpacked bundle as a model in a child process.

    Raises:
        TrustError: the folder is not what its manifest says, or its hooks may not run.
        DeviceError: the child cannot load it.
    """
    bundle = open_bundle(folder)
    require_hooks_allowed(bundle.manifest, allowed=allow_hooks)
    order = ChildOrder(command=_child_command(allow_hooks=allow_hooks), memory_mb=memory_mb)
    child = _started(order, folder, bundle.manifest.contract)
    try:
        return _servable(bundle, child)
    except BaseException:
        child.close()
        raise


def serve_until_stopped(
    paths: Sequence[Path],
    options: ServeOptions,
    *,
    on_ready: OnReady,
    doors: Doors | None = None,
    drain_s: float = 10.0,
) -> None:
    """Serve until SIGTERM or SIGINT, then answer what was asked and return.

    Raises:
        EdgewrightError: an address cannot be taken, or a model cannot be served.
        KeyboardInterrupt: SIGINT ended it.
    """
    chosen = doors or Doors()
    options = _with_files_for_all(options, has_tls=chosen.tls_files is not None)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        ended_by = runner.run(_serve(paths, options, on_ready, chosen, drain_s))
    if ended_by == signal.SIGINT:
        raise KeyboardInterrupt


def _with_files_for_all(options: ServeOptions, *, has_tls: bool) -> ServeOptions:
    """Fewer peers where the system has no files for as many. Handshakes count as a way in: there
    may be as many of them as of peers.
    """
    wanted = options.limits.connections
    ways = 1 + has_tls + (options.uds is not None and options.port is not None)
    room = peers_within(allow_all_open_files(), wanted, ways=ways)
    if room == wanted:
        return options
    logger.warning(
        "fewer peers than asked for: connections=%d asked=%d; raise the limit of open files "
        "(ulimit -Hn, LimitNOFILE=) for more",
        *(room, wanted),
    )
    limits = msgspec.structs.replace(options.limits, connections=room)
    return msgspec.structs.replace(options, limits=limits)


def open_access_log(path: Path | None) -> AccessLog:
    """A log of requests, for `Doors.observers`; on standard output without a path.

    Raises:
        ResourceError: the file cannot be opened.
    """
    return AccessLog(path, call_later=asyncio.get_running_loop().call_later)


def default_threads() -> int:
    """As many workers as this process may use cores."""
    return len(os.sched_getaffinity(0))


async def _serve(
    paths: Sequence[Path],
    options: ServeOptions,
    on_ready: OnReady,
    doors: Doors,
    drain_s: float,
) -> int:
    stopped: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _stop, stopped, number)
    # A thread that loads a model must give way to the one that answers within a fraction of a
    # millisecond; what is loaded now lives as long as the process.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    tls = doors.tls_files
    with contextlib.ExitStack() as closing:
        observers = [open_observer() for open_observer in doors.observers]
        for observer in observers:
            closing.callback(observer.close)
        server = InferenceServer(
            partial(_open_served, doors),
            options,
            clock=SystemClock(),
            timer=time.perf_counter,
            open_candidate=partial(open_candidate, allow_hooks=doors.allow_hooks),
            listen_also=doors.listen_also,
            decode_image=doors.decode_image,
            access=doors.access,
            motifs=doors.motifs,
            tls=None if tls is None else tls.context,
            http2=doors.http2,
            observers=observers,
            memory_limited=doors.memory_mb,
            equip=partial(_watched, doors),
            equipped=doors.drift,
        )
        ask_for_short_turns()  # its workers are there already, and keep theirs
        if tls is None:
            return await _run(server, paths, stopped, on_ready, drain_s)
        following = asyncio.create_task(tls.follow(server.renew_tls), name="tls files")
        try:
            return await _run(server, paths, stopped, on_ready, drain_s)
        finally:
            following.cancel()


async def _run(
    server: InferenceServer,
    paths: Sequence[Path],
    stopped: "asyncio.Future[Any]",
    on_ready: OnReady,
    drain_s: float,
) -> int:
    """Start, then serve until the signal; returns its number."""
    starting: asyncio.Future[Any] = asyncio.ensure_future(server.start(paths))
    await asyncio.wait([starting, stopped], return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait([starting])
        return int(stopped.result())
    starting.result()
    gc.freeze()
    on_ready(server)
    try:
        return int(await stopped)
    finally:
        await server.close(drain_s)


def _stop(stopped: "asyncio.Future[int]", number: int) -> None:
    if not stopped.done():
        stopped.set_result(number)


def _open_served(doors: Doors, path: Path) -> Servable:
    return open_servable(path, doors.memory_mb, allow_hooks=doors.allow_hooks)


def _watched(doors: Doors, servable: Servable) -> Servable:
    """A model under the name that it is served by, with the judge of its drift where there is a
    reference for that name.
    """
    path = doors.drift.get(servable.name)
    return servable if path is None else watched_by_file(servable, path)


def _from_bundle(
    bundle: Bundle, source: Path, limits: Mapping[str, float], *, allow_hooks: bool
) -> Servable:
    manifest = bundle.manifest
    if manifest.name not in limits:
        return _servable(bundle, open_model_of(bundle, allow_hooks=allow_hooks))
    require_hooks_allowed(manifest, allowed=allow_hooks)
    command = _child_command(allow_hooks=allow_hooks)
    limit_mb = limits[manifest.name]
    isolated = _isolated(source, bundle.id, limit_mb, command, contract=manifest.contract)
    try:
        return msgspec.structs.replace(_servable(bundle, isolated), isolation=isolated)
    except BaseException:
        isolated.close()
        raise


def _child_command(*, allow_hooks: bool) -> tuple[str, ...]:
    return (*CANDIDATE_COMMAND, ALLOW_HOOKS) if allow_hooks else CANDIDATE_COMMAND


def _isolated(
    source: Path,
    identity: str,
    limit_mb: float,
    command: Sequence[str],
    *,
    contract: Contract | None = None,
) -> Isolated:
    """After a crash the same model or none: its file may have become another release meanwhile."""
    order = ChildOrder(command=command, growth_mb=math.inf)

    def start() -> ChildModel:
        if source.suffix == ".ewb":
            with tempfile.TemporaryDirectory(prefix="edgewright-serve-") as folder:
                bundle = unpack(source, Path(folder) / "bundle")
                _require_same(source, bundle.id, identity)
                return _started(order, Path(folder) / "bundle", contract)
        child = _started(order, source, contract)
        try:
            # Afterwards: what was there when the child read it is still there, or it is not taken.
            _require_same(source, _identity(source), identity)
        except BaseException:
            child.close()
            raise
        return child

    return Isolated(start, limit_mb=limit_mb, timer=time.perf_counter)


def _require_same(source: Path, found: str, expected: str) -> None:
    if found != expected:
        raise TrustError(
            f"{source} is {found[:12]} now, served was {expected[:12]}",
            hint="load it again to serve what is there now, or put the old file back",
        )


def _started(order: ChildOrder, path: Path, contract: Contract | None) -> ChildModel:
    child = ChildModel(order, contract, path, time.perf_counter)
    try:
        child.greet()
    except BaseException:
        child.close()
        raise
    return child


def _servable(bundle: Bundle, model: Model) -> Servable:
    manifest = bundle.manifest
    golden = decode_golden(bundle.read(bundle.blob("golden"))) if bundle.has("golden") else None
    plain = Servable(
        name=manifest.name,
        version=manifest.version,
        platform=_platform(manifest.format),
        identity=bundle.id,
        model=model,
        golden=golden,
        evidence=manifest.evidence,
        is_signed=bool(bundle.signatures),
        is_apart=bool(hook_blobs(manifest)),
    )
    return watched_by_bundle(plain, bundle)


def _platform(format_word: str) -> str:
    return _PLATFORM_BY_FORMAT.get(format_word, format_word)


def _identity(path: Path) -> str:
    """A bundle's id in its folder, or the hash of an engine file."""
    if path.is_dir():
        return open_bundle(path).id
    digest = hashlib.sha256()
    with file_errors(path, doing="reading"), path.open("rb") as file:
        while chunk := file.read(_HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
