"""What the agent needs of others, handed in by `chain`: trust, a probe, a server, a fleet."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from edgewright.bundle import Bundle
from edgewright.device.agent.progress import Release
from edgewright.telemetry import Record
from edgewright.wire.device_api import Desired, EnrollReply, EnrollRequest

T = TypeVar("T")


class Offload(Protocol):
    """Where blocking work runs: in this thread, or in a worker so that the agent stays awake."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """Do the work; returns what it returns."""


class Trust(Protocol):
    """Decides whether a whole bundle may run here. Today pinned keys, later TUF metadata."""

    def check(self, bundle: Bundle) -> None:
        """Pass, or say why not.

        Raises:
            TrustError: too few trusted keys signed it, or a signature is wrong.
        """


class ProbeReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the self-test of a bundle measured, and why it failed if it did. `was_killed` says that
    a signal from outside ended it, so that nothing was learnt.
    """

    passed: bool
    reason: str = ""
    cases: int = 0
    max_abs_error: float | None = None
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    memory_mb: float | None = None
    was_killed: bool = False
    schema_version: int = 1


class Probe(Protocol):
    """Runs an unpacked bundle against its own golden vectors and budgets, outside this process."""

    async def run(self, folder: Path) -> ProbeReport:
        """The verdict; a crash, hang or leak of the model is a verdict too.

        Raises:
            ResourceError: the probe itself could not be started.
        """


class ServingSample(msgspec.Struct, frozen=True, kw_only=True):
    """What the server says about one model at one moment; counters since it was loaded."""

    is_ready: bool
    requests: int = 0
    errors: int = 0
    latency_p50_ms: float = 0.0
    latency_p95_ms: float = 0.0
    reason: str = ""


class Server(Protocol):
    """The serving process of this device."""

    @property
    def is_on(self) -> bool:
        """Whether this agent looks after a server at all (`agent apply` alone does not)."""

    async def show(self, model: str, folder: Path) -> None:
        """Serve the bundle of this folder under the model's name; back when it is ready.

        Raises:
            DeviceError: the server cannot run it, and goes on with what it had.
        """

    async def withdraw(self, model: str) -> None:
        """Serve nothing under this name."""

    async def sample(self, model: str) -> ServingSample:
        """How the model does."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of one golden request through the server: right if there is no problem. `is_wrong`
    tells an answer that contradicts the golden vectors from one that did not come.
    """

    latency_ms: float = 0.0
    problem: str = ""
    is_wrong: bool = False


class Replay(Protocol):
    """Sends a bundle's golden requests through the server, from a process of its own."""

    def answers(self, model: str, folder: Path, *, pace_s: float) -> AsyncGenerator[Answer, None]:
        """The answers as they come, one request every `pace_s`, without end.

        Raises:
            ResourceError: the requests cannot be sent; that says nothing of the model.
        """


class Fleet(Protocol):
    """The server that this device is enrolled with."""

    async def enroll(self, request: EnrollRequest) -> EnrollReply:
        """Swap a one-time token for this device's own secret."""

    async def desired(self, *, etag: str, wait_s: float) -> tuple[str, Desired] | None:
        """What to run and its ETag; None when it is still what that ETag stood for."""

    async def download(self, release: Release, part: Path) -> None:
        """Complete `part`, which may hold the file's beginning already.

        Raises:
            TransportError: cut off; `part` keeps what arrived.
            TrustError: what arrived is not the promised file; `part` is gone.
        """

    async def send(self, records: tuple[Record, ...]) -> None:
        """Deliver telemetry; sending a record twice is harmless."""
