"""Devices without hardware: they speak the real device API and do what a script says.

`release_file` makes small signed bundles for them to be given; nobody loads the model inside.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from edgewright.bundle import Draft, build_bundle
from edgewright.clock import Clock
from edgewright.contract import Contract, Provenance, Tensor
from edgewright.errors import TransportError, TrustError
from edgewright.fleet.alerts import AlertLimits
from edgewright.fleet.aliases import Aliases
from edgewright.fleet.certificates import Authorities
from edgewright.fleet.desk_commands import DeskCommands
from edgewright.fleet.devices import Devices
from edgewright.fleet.enrolment import Enrolments
from edgewright.fleet.kits import Kits
from edgewright.fleet.lineage import Lineages
from edgewright.fleet.notify import Notifiers
from edgewright.fleet.notify.guard import Resolve, system_resolve
from edgewright.fleet.notify.signing import SECRET_BYTES, new_secret
from edgewright.fleet.office import Office
from edgewright.fleet.projects import Projects
from edgewright.fleet.publishing import Publishing
from edgewright.fleet.recipients import Recipients
from edgewright.fleet.refusals import Refusals
from edgewright.fleet.registry import Registry
from edgewright.fleet.remote_commands import Commands
from edgewright.fleet.retention import Retention
from edgewright.fleet.rollouts import Rollouts
from edgewright.fleet.state import SqliteState
from edgewright.fleet.users import Users
from edgewright.fleet.watch import Watch
from edgewright.keys import FileOpener
from edgewright.stores import FolderBlobs
from edgewright.telemetry import Record, UpdateRecord, encode_batch
from edgewright.testing.keys import MemorySigner
from edgewright.transports.http1 import Client
from edgewright.trust import Signer, TrustedKeys
from edgewright.wire import device_api as wire

SIGNER = MemorySigner.from_seed(1)
GOOD = (
    "check",
    "download",
    "verify",
    "stage",
    "probe",
    "shadow",
    "activate",
    "probation",
    "commit",
)


def release_file(
    path: Path, *, version: str, model: str = "tiny", signers: Sequence[Signer] = (SIGNER,)
) -> str:
    """Write a small signed bundle; returns its id."""
    contract = Contract(
        inputs=(Tensor(name="x", dtype="float32", shape=("batch", 2)),),
        outputs=(Tensor(name="y", dtype="float32", shape=("batch", 1)),),
        provenance=Provenance(recipe="none", dataset="d" * 64, run="r" * 64, variant="v" * 64),
    )
    draft = Draft(
        name=model, version=version, format="reference", precision="fp32", contract=contract
    )
    return build_bundle(path, draft, [("model", "m.npz", version.encode())], signers=signers)


@contextmanager
def fleet_office(
    home: Path,
    clock: Clock,
    *,
    authorities: Callable[[], Authorities | None] | None = None,
    resolve: Resolve = system_resolve,
) -> Iterator[Office]:
    """A fleet in a folder that trusts `SIGNER`; its secrets are numbered instead of drawn."""
    state = SqliteState(home / "fleet.db")
    numbers = itertools.count(1)
    trusted = TrustedKeys(threshold=1, keys=(SIGNER.public,))

    def draw(prefix: str) -> str:
        return f"{prefix}{next(numbers)}"

    blobs = FolderBlobs(home / "releases")
    recipients = Recipients(
        state,
        clock=clock,
        file_of=blobs.path,
        opener=lambda: FileOpener.load_or_create(home / "sealing.key"),
    )
    registry = Registry(
        state,
        blobs=blobs,
        clock=clock,
        trusted=lambda: trusted,
        swu=home / "swu",
        content_key=recipients.content_key,
    )
    try:
        yield Office(
            state=state,
            projects=Projects(state, clock=clock),
            registry=registry,
            publishing=Publishing(
                registry, recipients, state=state, clock=clock, arrivals=home / "arrivals"
            ),
            devices=Devices(state, clock=clock, draw=draw),
            enrolments=Enrolments(
                state, clock=clock, draw=draw, authorities=authorities or (lambda: None)
            ),
            rollouts=Rollouts(state, clock=clock),
            aliases=Aliases(state, clock=clock),
            users=Users(state, clock=clock, draw=draw),
            watch=Watch(state, clock=clock, limits=AlertLimits()),
            retention=Retention(state, clock=clock),
            lineages=Lineages(state, clock=clock),
            commands=Commands(
                state, clock=clock, uploads=home / "uploads", kits=Kits(home / "kits")
            ),
            desk_commands=DeskCommands(
                state, clock=clock, uploads=home / "uploads", kits=Kits(home / "kits")
            ),
            refusals=Refusals(state, clock=clock),
            notifiers=Notifiers(
                state,
                clock=clock,
                new_secret=lambda: new_secret(b"k" * SECRET_BYTES),
                resolve=resolve,
            ),
            recipients=recipients,
            clock=clock,
            trusted=lambda: trusted,
        )
    finally:
        state.close()


class ScriptedDevice:
    """One device on the real device API. `bad` are versions whose probe fails here; `silent` ones
    are acknowledged and never heard of again.
    """

    def __init__(self, name: str, *, bad: Sequence[str] = (), silent: Sequence[str] = ()) -> None:
        self.name = name
        self.running = ""
        self.installed: list[str] = []
        self.desired: tuple[wire.DesiredModel, ...] = ()
        self._bad = frozenset(bad)
        self._silent = frozenset(silent)
        self._refused: set[str] = set()
        self._secret = ""
        self._etag = ""
        self._sequence = 0
        self._unsent: list[Record] = []

    async def enrol(self, client: Client, token: str, **labels: str) -> wire.EnrollReply:
        """Swap a token for a secret."""
        request = wire.EnrollRequest(token=token, device=self.name, labels=labels)
        answer = await client.request("POST", wire.ENROLL, body=msgspec.json.encode(request))
        if answer.status != 201:
            raise TrustError(answer.body.decode())
        reply = msgspec.json.decode(answer.body, type=wire.EnrollReply)
        self._secret = reply.secret
        return reply

    async def live(self, client: Client, *, wait_s: float = 20.0) -> None:
        """Follow the fleet until cancelled, through cuts of the connection."""
        while True:
            try:
                await self.flush(client)
                await self.poll(client, wait_s=wait_s)
                await self.obey(client)
            except TransportError:
                self._etag = ""

    async def poll(self, client: Client, *, wait_s: float = 0.0) -> int:
        """Ask what to run; returns the answer's status."""
        answer = await client.request(
            "GET",
            f"{wire.DESIRED}?wait={wait_s:g}",
            headers=self._headers | ({"if-none-match": self._etag} if self._etag else {}),
        )
        if answer.status == 200:
            self._etag = answer.headers["etag"]
            self.desired = msgspec.json.decode(answer.body, type=wire.Desired).models
        return answer.status

    async def obey(self, client: Client) -> None:
        """Bring every model to what is desired, or fail at it as the script says."""
        for order in self.desired:
            if order.version in (self.running, *self._refused):
                continue
            if order.version in self._silent:
                self._refused.add(order.version)
                await self.report(client, order, "download")
                continue
            await self.report(client, order, "check", "download")
            await self._download(client, order)
            if order.version in self._bad:
                self._refused.add(order.version)
                await self.report(client, order, "verify", "stage", "probe")
                await self.report(client, order, "idle", reason="refused: probe: wrong output")
                continue
            await self.report(client, order, *GOOD[2:])
            self.running = order.version
            self.installed.append(order.version)

    async def report(
        self, client: Client, order: wire.DesiredModel, *states: str, reason: str = "done"
    ) -> None:
        """Tell of steps; what cannot be sent is kept for later."""
        for state in states:
            self._sequence += 1
            record = UpdateRecord(
                device=self.name,
                sequence=self._sequence,
                at_s=float(self._sequence),
                bundle=order.bundle_id,
                model=order.model,
                version=order.version,
                state=state,
                reason=reason,
            )
            self._unsent.append(record)
        await self.flush(client)

    async def flush(self, client: Client) -> None:
        """Send what is unsent."""
        if self._unsent:
            body = encode_batch(self._unsent)
            answer = await client.request("POST", wire.TELEMETRY, headers=self._headers, body=body)
            if answer.status != 200:
                raise TransportError(f"telemetry: {answer.status}")
            self._unsent.clear()

    async def _download(self, client: Client, order: wire.DesiredModel) -> None:
        digest = hashlib.sha256()
        async for chunk in client.download(
            f"{wire.BUNDLES}/{order.bundle_id}",
            headers=self._headers,
            limit_bytes=order.file_size_bytes,
        ):
            digest.update(chunk)
        if digest.hexdigest() != order.file_sha256:
            raise TrustError(f"device {self.name}: the bundle is not the promised one")

    @property
    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._secret}"}
