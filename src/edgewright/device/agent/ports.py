"""What the agent needs of others, handed in by `chain`: trust, a probe, a server, a fleet."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import msgspec

from edgewright.bundle import Bundle
from edgewright.device.agent.progress import Release
from edgewright.errors import InputError, TrustError
from edgewright.telemetry import ProbeReport, Record
from edgewright.wire.device_api import Desired, EnrollReply, EnrollRequest

T = TypeVar("T")

Repository = Literal["image", "director"]
"""Who says that a file exists, and who says that this device shall have it."""


class Offload(Protocol):
    """Where blocking work runs: in this thread, or in a worker so that the agent stays awake."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """Do the work; returns what it returns."""


class Fetcher(Protocol):
    """Brings files of a repository, by whatever way: a web server, a folder, one big file."""

    async def open(
        self, path: str, *, offset: int = 0, limit_bytes: int
    ) -> AsyncIterator[bytes] | None:
        """A file's bytes from `offset` on, as they arrive; None when there is no such file. More
        than `limit_bytes` of them will not be used.

        Raises:
            TransportError: no answer, or cut short.
        """


class OutOfStepError(InputError):
    """The fleet has records of this device that this outbox knows nothing of: it is a copy of
    another one, or an older state of it. What was sent up to `same` is there as it was sent.
    """

    def __init__(self, message: str, *, newest: int, same: int) -> None:
        super().__init__(message)
        self.newest = newest
        self.same = same


class MetadataError(TrustError):
    """What a repository says may not be believed now. It blames no release: the same one may be
    taken once the repository is right again.
    """


class Trust(Protocol):
    """Decides what may run here: the metadata of two repositories, or pinned keys."""

    async def approve(self, release: Release, source: "Source | None", *, wall_s: float) -> None:
        """Before anything is downloaded: look whether it is released and ordered. Without a source
        what is kept decides.

        Raises:
            MetadataError: it is not, or what says so may not be believed.
            TransportError: the source does not answer.
        """

    def check_file(self, bundle: Bundle, release: Release, *, wall_s: float) -> None:
        """A whole bundle file that was brought here is the approved one.

        Raises:
            TrustError: it is another one, or not signed as it must be.
        """

    def wrapped_key(self, release: Release, *, wall_s: float) -> str:
        """The content key of an encrypted release as it was given to this device, in hex; "" when
        it lies in the file.

        Raises:
            MetadataError: what says so may not be believed.
        """

    def check(self, bundle: Bundle) -> None:
        """A slot that was verified once may still be loaded. Expired metadata hinders no inference.

        Raises:
            TrustError: it is revoked, or not signed as it must be.
        """


class Source(Protocol):
    """Where metadata comes from: the fleet, or an air-gap file."""

    def repository(self, name: Repository) -> Fetcher:
        """The metadata files of one of the two repositories."""


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


class CandidateSample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the server says about a candidate beside a model: requests that it did not answer as it
    must (`failed`, the old model answered them) with the first reason, how often it agreed with the
    old model, its own time and the old model's on the same requests, and what the way to its
    process adds at the 95th percentile.
    """

    asked: int = 0
    failed: int = 0
    problem: str = ""
    compared: int = 0
    agreed: int = 0
    run_p50_ms: float = 0.0
    old_run_p50_ms: float = 0.0
    overhead_p95_ms: float = 0.0


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

    async def try_out(self, model: str, folder: Path, *, leads: bool) -> None:
        """Run the bundle of this folder in a child process beside the model that is served: its
        requests are mirrored, or, when it leads, it is asked first and the old model answers
        whatever it does not. `show` ends that, at once when it shows the old bundle.

        Raises:
            DeviceError: it cannot be run so; the old model answers alone.
        """

    async def candidate(self, model: str) -> CandidateSample | None:
        """What the candidate of a model did so far; None when there is none."""

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


class Fleet(Source, Protocol):
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

    async def patch(self, release: Release, base: str, part: Path) -> bool:
        """Complete `part`, which becomes a patch from the bundle `base`; False when the fleet has
        none and the whole file is the way.

        Raises:
            TransportError: cut off; `part` keeps what arrived.
        """

    async def send(self, records: tuple[Record, ...]) -> None:
        """Deliver telemetry; sending it again is harmless while nothing newer was sent.

        Raises:
            OutOfStepError: the fleet has records of this device under these numbers, or higher.
            TransportError: the fleet did not answer.
        """

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """One request beside updates and telemetry; the body of its answer.

        Raises:
            InputError: the fleet refused.
            TransportError: the fleet did not answer.
        """
