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
from edgewright.measure import listening_pid
from edgewright.measure.load import LoadTarget
from edgewright.transports.http1 import Client
from edgewright.validate import DEFAULT_SECONDS, Order, Report, ScenarioName, Served, validate
from edgewright.validate.order import SOAK_SECONDS
from edgewright.validate.questions import golden_of_arrays
from edgewright.validate.served_model import ask_metadata, find_model
from edgewright.validate.soundness import SoundnessLimits

GOLDEN_LIMIT_BYTES = 256 << 20

_READY_TIMEOUT_S = 60.0
_READY = 200
_ELSEWHERE = ("ssh://", "device:")


class ValidationOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What `edgewright validate` was asked for; None means "as the contract says"."""

    target: str
    scenario: ScenarioName
    model: str | None = None
    rate_rps: float | None = None
    p95_ms: float | None = None
    memory_mb: float | None = None
    seconds: float | None = None
    connections: int | None = None
    golden: Path | None = None
    attempts: int = 3
    limits: SoundnessLimits = SoundnessLimits()
    seed: int = 0

    @property
    def standard_seconds(self) -> float:
        """How long load is put on: as asked, else what suits the scenario."""
        return self.seconds or (SOAK_SECONDS if self.scenario == "soak" else DEFAULT_SECONDS)


def run_validation(asked: ValidationOrder) -> Report:
    """One scenario against a URL, a bundle or a bare model file.

    Ctrl-C during the load gives a report that is marked as partial; before it, KeyboardInterrupt.

    Raises:
        InputError: no such bundle, model, or golden vectors; a scenario lacks its rate or limit.
        TransportError: nobody answers at the URL.
        UnavailableError: cold-start of a URL.
        DeviceError: the bundle's server ended instead of getting ready.
    """
    if asked.target.startswith(_ELSEWHERE):
        raise InputError(
            f"{asked.target} cannot be reached by validate",
            hint="run edgewright validate on that machine, or give its server's URL",
        )
    if "://" in asked.target or asked.target.startswith("unix:"):
        return _validated(asked, _served_at(asked.target), bundle=None)
    path = Path(asked.target)
    bundle = _bundle_at(path)
    with tempfile.TemporaryDirectory(prefix="edgewright-validate-") as folder:
        logs = Path(folder)
        with _serving(path, logs / "server.log") as (served, child):
            child.wait_for(lambda: _is_ready(served.target), timeout_s=_READY_TIMEOUT_S)
            return _validated(asked, served, bundle=bundle, launch=(path, logs))


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


def _validated(
    asked: ValidationOrder,
    served: Served,
    *,
    bundle: Bundle | None,
    launch: tuple[Path, Path] | None = None,
) -> Report:
    def spawn() -> contextlib.AbstractContextManager[Served]:
        assert launch is not None  # noqa: S101 - passed on below only when there is one
        return _spawned(*launch)

    async def work() -> Report:
        target = served.target
        model = asked.model or (bundle.manifest.name if bundle else await find_model(target))
        return await validate(
            _order(asked, model, bundle),
            served,
            golden=await _golden(asked, bundle, target, model),
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
    order = Order(
        model=model,
        scenario=asked.scenario,
        subject=subject,
        seconds=asked.standard_seconds,
        rate_rps=asked.rate_rps,
        connections=asked.connections,
        budgets=budgets,
        contract=contract,
        attempts=asked.attempts,
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
        return golden_of_arrays(arrays, await ask_metadata(target, model))
    blobs = [blob for blob in bundle.manifest.blobs if blob.role == "golden"] if bundle else []
    return decode_golden(bundle.read(blobs[0])) if bundle and blobs else None


def _served_at(url: str) -> Served:
    target = LoadTarget.from_url(url)
    pid = listening_pid(target.port) if target.is_loopback and not target.uds else None
    return Served(target, pid)


@contextlib.contextmanager
def _serving(path: Path, log: Path) -> Iterator[tuple[Served, Child]]:
    """A server process for a bundle or model file, on loopback and a free port."""
    port = free_port()
    arguments = ["serve", str(path), "--http", f"127.0.0.1:{port}"]
    with running("the server", arguments, log=log) as child:
        yield Served(LoadTarget(port=port), child.process.pid), child


@contextlib.contextmanager
def _spawned(path: Path, logs: Path) -> Iterator[Served]:
    with _serving(path, logs / "cold-start.log") as (served, _):
        yield served


def _is_ready(target: LoadTarget) -> bool:
    async def ask() -> bool:
        async with Client(f"http://{target.authority}", timeout_s=5.0) as client:
            return (await client.request("GET", "/v2/health/ready")).status == _READY

    try:
        return asyncio.run(ask())
    except TransportError:
        return False
