"""The fleet over HTTP: the device API of `wire.device_api`, downloads that resume."""

import contextlib
import hashlib
import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar, cast

import msgspec

from edgewright import _fs
from edgewright.clock import Clock
from edgewright.device.agent.certificate import DeviceCertificate
from edgewright.device.agent.ports import Fetcher, OutOfStepError, Repository
from edgewright.device.agent.progress import Release
from edgewright.device.agent.throttle import Throttle
from edgewright.errors import EdgewrightError, InputError, TransportError, TrustError
from edgewright.telemetry import Record, encode_batch
from edgewright.transports.http1 import Client, Response
from edgewright.trust.quote import Credential
from edgewright.wire.device_api import (
    BUNDLES,
    CERTIFICATE,
    CHALLENGE,
    DESIRED,
    ENROLL,
    REPOSITORIES,
    TELEMETRY,
    CertificateReply,
    CertificateRequest,
    Challenge,
    Chip,
    Desired,
    EnrollReply,
    EnrollRequest,
    OutdatedProblem,
    Problem,
)

GRACE_S = 30.0
IDLE_S = 2.0
"""How long a connection beside the poll's is kept, so that a fleet holds one of each device."""
SYNC_BYTES = 4 << 20
CHUNK_BYTES = 1 << 20
SLACK_BYTES = 1 << 20
"""How far past a limit the transport reads on, so that who knows the limit names it."""

T = TypeVar("T")

_log = logging.getLogger(__name__)

_RETRY_STATUS = frozenset({408, 425, 429})


class FleetClient:
    """One device's way to its fleet; the secret goes into a header and nowhere else."""

    def __init__(
        self,
        url: str,
        *,
        secret: str,
        clock: Clock,
        limit_kbit_s: float | None = None,
        certificate: DeviceCertificate | None = None,
    ) -> None:
        self._url = url
        self._certificate = certificate
        self._headers = {"authorization": f"Bearer {secret}"} if secret else {}
        self._clock = clock
        self._throttle = Throttle(clock, limit_kbit_s)
        self._client = Client(url, timeout_s=GRACE_S, tls=self._tls(), idle_s=IDLE_S)

    async def close(self) -> None:
        """Let go of kept connections."""
        await self._client.close()

    async def enroll(self, request: EnrollRequest) -> EnrollReply:
        """Swap a token for this device's own secret, or a certificate when it sent a request.

        Raises:
            InputError: the token is unknown, used or expired.
            TransportError: the fleet did not answer, or a person there has yet to approve.
        """
        answer = await self._client.request("POST", ENROLL, body=msgspec.json.encode(request))
        if answer.status == 202:
            raise TransportError(
                f"device {request.device} waits for approval by the fleet's device admin",
                hint="run the same command again when it was given",
            )
        return _decoded(_accepted(answer, "enrolling"), EnrollReply, "enrolling")

    async def challenge(self) -> Challenge:
        """What this device's TPM is to answer before it enrols.

        Raises:
            InputError: the fleet asks for no quote.
            TransportError: the fleet did not answer.
        """
        answer = await self._client.request("GET", CHALLENGE)
        doing = "asking for a challenge"
        return _decoded(_accepted(answer, doing), Challenge, doing)

    async def credential(self, chip: Chip) -> Credential:
        """What only this device's TPM can open, where the challenge asks for a genuine one.

        Raises:
            InputError: the fleet does not know the maker of this TPM.
            TransportError: the fleet did not answer.
        """
        answer = await self._client.request("POST", CHALLENGE, body=msgspec.json.encode(chip))
        doing = "asking for a credential"
        return _decoded(_accepted(answer, doing), Credential, doing)

    async def renew(self, device: str) -> bool:
        """Ask for the next certificate when it is time; whether there is a new one.

        With a certificate that has ended the key that it was for proves who this is.

        Raises:
            InputError: the fleet does not know this device any more.
            TransportError: the fleet did not answer.
        """
        certificate, now_s = self._certificate, self._clock.wall_s()
        if certificate is None or not certificate.exists or not certificate.is_due(now_s):
            return False
        client, request = self._client, certificate.next_request
        if certificate.is_over(now_s):
            client = Client(self._url, timeout_s=GRACE_S, tls=certificate.context(shows=False))
            request = certificate.signing_request
        try:
            body = msgspec.json.encode(CertificateRequest(csr=request(device)))
            answer = await client.request("POST", CERTIFICATE, body=body)
        finally:
            if client is not self._client:
                await client.close()
        doing = "renewing the certificate"
        reply = _decoded(_accepted(answer, doing), CertificateReply, doing)
        if client is self._client:
            certificate.save_next(reply.certificate, reply.authority)
        else:
            certificate.save(reply.certificate, reply.authority)
        await self._reconnect()
        return True

    async def desired(self, *, etag: str, wait_s: float) -> tuple[str, Desired] | None:
        """What to run and its ETag; None when it is still what that ETag stood for."""
        headers = self._headers | ({"if-none-match": etag} if etag else {})
        answer = await self._client.request(
            "GET", f"{DESIRED}?wait={wait_s:g}", headers=headers, timeout_s=wait_s + GRACE_S
        )
        if answer.status == 304:
            return None
        desired = _decoded(_accepted(answer, "asking what to run"), Desired, "asking what to run")
        return answer.headers.get("etag", ""), desired

    async def download(self, release: Release, part: Path) -> None:
        """Complete `part`, which may hold the file's beginning already.

        Raises:
            TransportError: cut off; `part` keeps what arrived.
            TrustError: what arrived is not the promised file; `part` is gone.
        """
        _fs.make_dirs(part.parent)
        digest, have = _digest_of(part, limit_bytes=release.file_size_bytes)
        if have < release.file_size_bytes:
            await self._fetch(release, part, digest, have)
        if digest.hexdigest() != release.file_sha256:
            _fs.remove_tree(part)
            raise TrustError(
                f"the download of {release.model} {release.version} hashes to "
                f"{digest.hexdigest()[:12]}..., promised was {release.file_sha256[:12]}...",
                hint="the fleet or the way to it changed the file",
            )

    async def patch(self, release: Release, base: str, part: Path) -> bool:
        """Complete `part`, which becomes a patch from the bundle `base`; False when there is none.

        Raises:
            TransportError: cut off; `part` keeps what arrived.
        """
        _fs.make_dirs(part.parent)
        have = _size_of(part)
        path = f"{BUNDLES}/{release.bundle_id}?base={base}"
        try:
            await self._append_all(path, part, have, limit_bytes=release.file_size_bytes)
        except InputError as error:
            _log.info("bundle=%s no patch: %s", release.bundle_id[:12], error)
            _fs.remove_tree(part)
            return False
        return True

    def repository(self, name: Repository) -> Fetcher:
        """The metadata files of one of the fleet's two repositories."""
        return _Files(self._client, f"{REPOSITORIES}/{name}/", self._headers)

    async def send(self, records: tuple[Record, ...]) -> None:
        """See `Fleet`."""
        answer = await self._client.request(
            "POST", TELEMETRY, headers=self._headers, body=encode_batch(records)
        )
        if answer.status == 409:
            problem = _decoded(answer, OutdatedProblem, "sending telemetry")
            raise OutOfStepError(problem.error, newest=problem.newest, same=problem.same)
        _accepted(answer, "sending telemetry")

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """One request beside updates and telemetry; the body of its answer.

        Raises:
            InputError: the fleet refused.
            TransportError: the fleet did not answer.
        """
        answer = await self._client.request(method, path, headers=self._headers, body=body)
        return _accepted(answer, f"{method} {path}").body

    async def _fetch(
        self, release: Release, part: Path, digest: "hashlib._Hash", have: int
    ) -> None:
        """Append what is missing; it is synced every few megabytes, so that a cut costs no more."""
        path = f"{BUNDLES}/{release.bundle_id}"
        left = release.file_size_bytes - have
        total = await self._append_all(path, part, have, limit_bytes=left, see=digest.update)
        if total < left:
            raise TransportError(
                f"the download ended after {have + total} of {release.file_size_bytes} bytes"
            )

    async def _append_all(
        self,
        path: str,
        part: Path,
        have: int,
        *,
        limit_bytes: int,
        see: Callable[[bytes], object] = bytes,
    ) -> int:
        """Append what the fleet has from there on, even when it ends badly; how much that was."""
        answer = self._client.download(
            path, headers=self._headers, offset=have, limit_bytes=limit_bytes
        )
        chunks = cast("AsyncGenerator[bytes, None]", answer)  # it is one; the port says less
        total = 0
        pending: list[bytes] = []
        try:
            async with contextlib.aclosing(chunks):
                async for chunk in chunks:
                    see(chunk)
                    pending.append(chunk)
                    total += len(chunk)
                    if sum(map(len, pending)) >= SYNC_BYTES:
                        _append(part, pending)
                    await self._throttle.passed(len(chunk))
        finally:
            _append(part, pending)
        return total

    def _tls(self) -> ssl.SSLContext | None:
        is_tls = self._url.startswith("https:") and self._certificate is not None
        return self._certificate.context() if is_tls and self._certificate else None

    async def _reconnect(self) -> None:
        """Show the new certificate from now on; requests under way end with the old one."""
        old = self._client
        self._client = Client(self._url, timeout_s=GRACE_S, tls=self._tls(), idle_s=IDLE_S)
        await old.close()


class _Files:
    """Small files below one path of the fleet."""

    def __init__(self, client: Client, folder: str, headers: dict[str, str]) -> None:
        self._client = client
        self._folder = folder
        self._headers = headers

    async def open(
        self, path: str, *, offset: int = 0, limit_bytes: int
    ) -> AsyncIterator[bytes] | None:
        """See `Fetcher`."""
        chunks = self._client.download(
            f"{self._folder}{path}",
            headers=self._headers,
            offset=offset,
            limit_bytes=limit_bytes + SLACK_BYTES,
        )
        try:
            first = await anext(chunks, b"")
        except InputError:
            return None
        return _joined(first, chunks)


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


def _size_of(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _append(part: Path, pending: list[bytes]) -> None:
    if pending:
        with _fs.appended_file(part) as file:
            file.write(b"".join(pending))
        pending.clear()


def _digest_of(part: Path, *, limit_bytes: int) -> "tuple[hashlib._Hash, int]":
    """The hash so far of a part of a download; one that is too long starts anew."""
    digest = hashlib.sha256()
    if not part.exists():
        return digest, 0
    if part.stat().st_size > limit_bytes:
        _fs.remove_tree(part)
        return digest, 0
    size_bytes = 0
    with _fs.file_errors(part, doing="reading"), part.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size_bytes += len(chunk)
    return digest, size_bytes


def _accepted(answer: Response, doing: str) -> Response:
    """The answer, if it says yes."""
    if 200 <= answer.status < 300:
        return answer
    try:
        problem = msgspec.json.decode(answer.body, type=Problem)
    except msgspec.DecodeError:
        problem = Problem(error=f"status {answer.status}")
    error: type[EdgewrightError] = InputError
    if answer.status >= 500 or answer.status in _RETRY_STATUS:
        error = TransportError
    raise error(f"{doing}: the fleet says: {problem.error}", hint=problem.hint)


def _decoded(answer: Response, kind: type[T], doing: str) -> T:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.DecodeError as error:
        raise TransportError(
            f"{doing}: the fleet's answer is not understood: {error}",
            hint="check the fleet's address and version",
        ) from error
