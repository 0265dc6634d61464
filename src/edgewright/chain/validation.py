"""A verdict on whatever a person names: a URL is used as it is, a bundle gets a server process of
its own first.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import uvloop

from edgewright._fs import read_limited
from edgewright._npz import decode_npz
from edgewright.bundle import Bundle, open_bundle
from edgewright.bundle.golden import Golden, decode_golden
from edgewright.chain.engines import FORMAT_BY_SUFFIX
from edgewright.chain.processes import Child, free_port, running
from edgewright.clock import SystemClock
from edgewright.contract import Budgets
from edgewright.errors import InputError, TransportError
from edgewright.measure import listening_pid, listening_pid_of_socket
from edgewright.measure.load import LoadTarget
from edgewright.transports.http1 import Client
from edgewright.validate import (
    DEFAULT_SECONDS,
    Given,
    Labelled,
    Order,
    Reference,
    Report,
    ScenarioName,
    Served,
    labelled_of_arrays,
    validate,
)
from edgewright.validate.given import Engine
from edgewright.validate.order import SOAK_SECONDS
from edgewright.validate.questions import golden_of_arrays
from edgewright.validate.recording import read_recording
from edgewright.validate.soundness import SoundnessLimits
from edgewright.validate.ways import BinaryWay, JsonWay, Way, only_model

GOLDEN_LIMIT_BYTES = 256 << 20
LABELLED_LIMIT_BYTES = 2 << 30

_READY_TIMEOUT_S = 60.0
_REPLAY_SECONDS = 86_400.0
_READY = 200


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """A labelled set, the limits that it is held to, and the model that it is compared with."""

    labelled: Path | None = None
    reference: str | None = None
    min_percent: float | None = None
    max_drop: float | None = None
    output: str = ""


class ValidationOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What `edgewright validate` was asked for; None means "as the contract says".

    `bundle` is what a server that is named by its URL should serve: its contract and golden vectors
    are what the answers are held to. `way` is how the server is spoken to; the command line hands
    in gRPC's, which needs an extra.
    """

    target: str
    scenario: ScenarioName
    model: str | None = None
    rate_rps: float | None = None
    p95_ms: float | None = None
    memory_mb: float | None = None
    seconds: float | None = None
    connections: int | None = None
    golden: Path | None = None
    bundle: Path | None = None
    accuracy: Accuracy = Accuracy()
    recording: Path | None = None
    speed: float = 1.0
    admin: Path | None = None
    swap_to: Path | None = None
    way: Way = JsonWay()
    engine: Engine | None = None
    attempts: int = 3
    stops_early: bool = False
    limits: SoundnessLimits = SoundnessLimits()
    seed: int = 0

    @property
    def standard_seconds(self) -> float:
        """How long load is put on: as asked, else what suits the scenario."""
        if self.seconds is not None:
            return self.seconds
        return {"soak": SOAK_SECONDS, "replay": _REPLAY_SECONDS}.get(self.scenario, DEFAULT_SECONDS)


def run_validation(asked: ValidationOrder) -> Report:
    """One scenario against a URL, a bundle or a bare model file.

    Ctrl-C during the load gives a report that is marked as partial; before it, KeyboardInterrupt.

    Raises:
        InputError: no such bundle, model, or golden vectors; a scenario lacks its rate or limit.
        TransportError: nobody answers at the URL.
        UnavailableError: cold-start or swap of a URL.
        DeviceError: the bundle's server ended instead of getting ready.
    """
    with subject_of(asked) as subject:
        return validate_subject(asked, subject)


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What is validated: a server that answers, and what it was started from, if by us."""

    served: Served
    bundle: Bundle | None = None
    launch: "Launch | None" = None
    reference: Reference | None = None


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """How a server is started: the file, a folder for logs and sockets, and whether with gRPC."""

    path: Path
    folder: Path
    has_grpc: bool = False


@contextlib.contextmanager
def subject_of(asked: ValidationOrder) -> Iterator[Subject]:
    """What the target names, and the reference, both served while the block lasts."""
    with contextlib.ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="edgewright-validate-"))
        )
        subject = stack.enter_context(_subject(asked, folder))
        reference = asked.accuracy.reference
        if reference is not None:
            found = stack.enter_context(_reference(reference, folder / "reference"))
            subject = msgspec.structs.replace(subject, reference=found)
        yield subject


@contextlib.contextmanager
def _subject(asked: ValidationOrder, folder: Path) -> Iterator[Subject]:
    if is_url(asked.target):
        served = msgspec.structs.replace(served_at(asked.target), admin=asked.admin)
        known = None if asked.bundle is None else open_bundle(asked.bundle)
        yield Subject(served=served, bundle=known)
        return
    path = Path(asked.target)
    bundle = _bundle_at(path)
    launch = Launch(path=path, folder=folder, has_grpc=asked.way.connect is not None)
    with _ready_server(launch) as served:
        yield Subject(served=served, bundle=bundle, launch=launch)


@contextlib.contextmanager
def _reference(text: str, folder: Path) -> Iterator[Reference]:
    """The model that answers are compared with, from a URL, a bundle or a model file."""
    folder.mkdir()
    if is_url(text):
        target = served_at(text).target
        model = asyncio.run(only_model(JsonWay(), target))
        yield Reference(target=target, model=model, text=text)
        return
    path = Path(text)
    bundle = _bundle_at(path)
    with _ready_server(Launch(path=path, folder=folder)) as served:
        model = bundle.manifest.name if bundle else path.stem
        yield Reference(target=served.target, model=model, text=text)


def is_url(target: str) -> bool:
    """Whether a server is named, not a file."""
    return "://" in target or target.startswith("unix:")


def _bundle_at(path: Path) -> Bundle | None:
    """The bundle, verified; None for a bare model file, which has no contract of its own."""
    if path.suffix == ".ewb" or path.is_dir():
        return open_bundle(path)
    if path.suffix not in FORMAT_BY_SUFFIX or not path.is_file():
        raise InputError(
            f"{path} is no bundle and no model file",
            hint=f"give an http:// URL, an .ewb, or one of {', '.join(sorted(FORMAT_BY_SUFFIX))}",
        )
    return None


def validate_subject(asked: ValidationOrder, subject: Subject) -> Report:
    """One scenario against a subject that is served."""
    launch, bundle, served = subject.launch, subject.bundle, subject.served

    def spawn() -> contextlib.AbstractContextManager[Served]:
        assert launch is not None  # noqa: S101 - passed on below only when there is one
        return _spawned(launch)

    async def work() -> Report:
        model = asked.model or (
            bundle.manifest.name if bundle else await only_model(asked.way, served.target)
        )
        return await validate(
            _order(asked, model, bundle),
            served,
            Given(
                way=asked.way,
                golden=await _golden(asked, bundle, served.target, model),
                labelled=_labelled(asked),
                reference=subject.reference,
                recording=read_recording(asked.recording) if asked.recording else (),
                engine=asked.engine,
            ),
            spawn=None if launch is None else spawn,
            clock=SystemClock(),
        )

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work())


def _order(asked: ValidationOrder, model: str, bundle: Bundle | None) -> Order:
    contract = bundle.manifest.contract if bundle else None
    declared = contract.budgets if contract else Budgets()
    budgets = msgspec.structs.replace(
        declared,
        latency_p95_ms=asked.p95_ms or declared.latency_p95_ms,
        memory_mb=asked.memory_mb or declared.memory_mb,
        throughput_rps=asked.rate_rps or declared.throughput_rps,
    )
    subject = asked.target
    if bundle:
        manifest = bundle.manifest
        subject = f"bundle {bundle.id[:12]} ({manifest.name} {manifest.version})"
        subject += f" at {asked.target}" if is_url(asked.target) else ""
    order = Order(
        model=model,
        scenario=asked.scenario,
        subject=subject,
        bundle_id="" if bundle is None else bundle.id,
        seconds=asked.standard_seconds,
        rate_rps=asked.rate_rps,
        connections=asked.connections,
        budgets=budgets,
        contract=contract,
        swap_to=asked.swap_to,
        speed=asked.speed,
        min_accuracy=asked.accuracy.min_percent,
        max_drop=asked.accuracy.max_drop,
        label_output=asked.accuracy.output,
        attempts=asked.attempts,
        stops_early=asked.stops_early,
        limits=asked.limits,
        seed=asked.seed,
    )
    return (
        order
        if contract is None
        else msgspec.structs.replace(order, tolerances=contract.tolerances)
    )


async def _golden(
    asked: ValidationOrder, bundle: Bundle | None, target: LoadTarget, model: str
) -> Golden | None:
    """The file that was given, else the bundle's own vectors."""
    if asked.golden is not None:
        content = read_limited(asked.golden, limit_bytes=GOLDEN_LIMIT_BYTES)
        arrays = decode_npz(content, source=str(asked.golden))
        if any(name.startswith(("in:", "out:")) for name in arrays):
            return decode_golden(content)
        return golden_of_arrays(arrays, await asked.way.metadata(target, model))
    blobs = [blob for blob in bundle.manifest.blobs if blob.role == "golden"] if bundle else []
    return decode_golden(bundle.read(blobs[0])) if bundle and blobs else None


def _labelled(asked: ValidationOrder) -> Labelled | None:
    path = asked.accuracy.labelled
    if path is None:
        return None
    content = read_limited(path, limit_bytes=LABELLED_LIMIT_BYTES)
    return labelled_of_arrays(decode_npz(content, source=str(path)), source=path.name)


def served_at(url: str) -> Served:
    """The server at a URL, and its process when it is one of this machine's."""
    target = LoadTarget.from_url(url)
    if target.uds:
        return Served(target, listening_pid_of_socket(Path(target.uds)))
    return Served(target, listening_pid(target.port) if target.is_loopback else None)


@contextlib.contextmanager
def _ready_server(launch: Launch) -> Iterator[Served]:
    with _serving(launch, "server") as (served, child, http):
        child.wait_for(lambda: _is_ready(http), timeout_s=_READY_TIMEOUT_S)
        yield served


@contextlib.contextmanager
def _spawned(launch: Launch) -> Iterator[Served]:
    with _serving(launch, "cold-start") as (served, _, _):
        yield served


@contextlib.contextmanager
def _serving(launch: Launch, name: str) -> Iterator[tuple[Served, Child, LoadTarget]]:
    """A server process for a bundle or model file, on loopback and free ports."""
    http, admin = LoadTarget(port=free_port()), launch.folder / f"{name}.sock"
    arguments = ["serve", str(launch.path), "--http", http.authority, "--admin", str(admin)]
    target = http
    if launch.has_grpc:
        target = LoadTarget(port=free_port(), scheme="grpc")
        arguments += ["--grpc", target.authority]
    with running("the server", arguments, log=launch.folder / f"{name}.log") as child:
        served = Served(target, child.process.pid, admin=admin, source=launch.path)
        yield served, child, http


def _is_ready(target: LoadTarget) -> bool:
    async def ask() -> bool:
        async with Client(f"http://{target.authority}", timeout_s=5.0) as client:
            return (await client.request("GET", "/v2/health/ready")).status == _READY

    try:
        return asyncio.run(ask())
    except TransportError:
        return False


def way_named(name: str) -> Way:
    """HTTP's ways by name; gRPC's is in `validation_grpc`."""
    return BinaryWay() if name == "binary" else JsonWay()
