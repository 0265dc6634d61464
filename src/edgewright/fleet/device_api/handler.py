"""Requests of devices to answers."""

import asyncio
import logging
import re
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

import msgspec

from edgewright.clock import Clock
from edgewright.errors import (
    AbsentError,
    ConflictError,
    EdgewrightError,
    InputError,
    ResourceError,
    TrustError,
)
from edgewright.fleet.desired import Poll, look_up, look_up_certificate, may_fetch
from edgewright.fleet.desk_commands import DeskCommands
from edgewright.fleet.device_api.commands import CommandsApi, is_command
from edgewright.fleet.device_api.ddi import DdiApi, is_ddi
from edgewright.fleet.device_api.door import Credential, Door
from edgewright.fleet.device_api.intake import Intake
from edgewright.fleet.director import Director
from edgewright.fleet.enrolment import Enrolments, Wish
from edgewright.fleet.looking import looked
from edgewright.fleet.patches import Patches
from edgewright.fleet.presence import Presence
from edgewright.fleet.refusals import Refusal, Refusals
from edgewright.fleet.registry import Registry, Release
from edgewright.fleet.state import State
from edgewright.fleet.telemetry import Batch, OutdatedError
from edgewright.telemetry import decode_batch
from edgewright.transports.http1 import Request, Response, file_response
from edgewright.trust import TrustedKeys
from edgewright.wire import device_api as wire

T = TypeVar("T")

LIVE = "/livez"
"""Answered while the process works at all, whatever its database does."""
MAX_WAIT_S = 60.0
RETRY_AFTER_S = 5

_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()
_enrol_decoder = msgspec.json.Decoder(wire.EnrollRequest)
_chip_decoder = msgspec.json.Decoder(wire.Chip)
_ROUTES = {
    wire.AUTHORITY,
    wire.CERTIFICATE,
    wire.CHALLENGE,
    wire.ENROLL,
    wire.DESIRED,
    wire.TELEMETRY,
}
_JSON = {"content-type": "application/json"}
_ROOT = re.compile(r"(image|director)/[0-9]{1,9}\.root\.json")


class _Absent(Response, frozen=True, kw_only=True):
    """The 404 that healthy devices get at every poll: a known one asks whether there is a next
    root. No refusal, so it is not written down as one.
    """


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What the API works with. Writes run in `writer`, one thread, so that polls go on."""

    state: State
    registry: Registry
    enrolments: Enrolments
    presence: Presence
    clock: Clock
    trusted: Callable[[], TrustedKeys]
    writer: Executor
    refusals: Refusals
    commands: DeskCommands | None = None
    door: Door = Door()
    director: Director | None = None
    patches: Patches | None = None


class DeviceApi:
    """A handler for `transports.http1.start_server`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._commands = CommandsApi(desk.commands) if desk.commands else None
        self._intake = Intake(desk.state, desk.writer, desk.clock)
        self._ddi = DdiApi(desk.state, desk.registry, desk.presence, desk.clock, door=desk.door)

    async def __call__(self, request: Request) -> Response:
        """Answer one request; a refusal is a `Problem` with its status, and in the audit log."""
        device = ""
        try:
            response = await self._answer(request)
        except OutdatedError as error:
            device, response = error.device, _outdated(error)
        if 400 <= response.status < 500 and not isinstance(response, _Absent):
            await self._audit(request, response.status, device)
        return response

    async def _audit(self, request: Request, status: int, device: str) -> None:
        """`device` is whose name the request rightly bore, where that is worth telling."""
        host = request.peer.rpartition(":")[0]
        refusal = Refusal(
            door="devices",
            who=f"{host} as {device}" if device else host,
            request=f"{request.method} {request.path}",
            status=status,
        )
        refusals = self._desk.refusals
        if not refusals.counts_only(refusal):
            await self._written(lambda: refusals.note(refusal))

    async def _answer(self, request: Request) -> Response:
        if request.path == LIVE:
            return Response(status=200, headers={"cache-control": "no-store"}, body=b"live")
        try:
            if is_ddi(request.path):
                return await self._written(lambda: self._ddi.answer(request))
            if self._commands is not None and is_command(request.path):
                return await self._command(request, self._commands)
            return await self._route(request)
        except (msgspec.DecodeError, RecursionError) as error:
            return _problem(400, f"not the expected JSON: {error}")
        except OutdatedError:
            raise
        except EdgewrightError as error:
            return _refused(request, error)

    async def _route(self, request: Request) -> Response:
        match request.method, request.path:
            case "POST", wire.ENROLL:
                return await self._enroll(request)
            case "POST", wire.CERTIFICATE:
                return await self._certificate(request)
            case "GET", wire.DESIRED:
                return await self._desired(request)
            case "POST", wire.TELEMETRY:
                return await self._telemetry(request)
            case "GET", path if path.startswith(f"{wire.BUNDLES}/") and "base" in request.query:
                return await self._patch(request, path.removeprefix(f"{wire.BUNDLES}/"))
            case _:
                return await self._look(request)

    async def _look(self, request: Request) -> Response:
        match request.method, request.path:
            case "GET", wire.AUTHORITY:
                return self._authority()
            case "GET", wire.CHALLENGE:
                return self._challenge()
            case "POST", wire.CHALLENGE:
                return self._credential(request)
            case "GET" | "HEAD", path if path.startswith((wire.BUNDLES, wire.REPOSITORIES)):
                return await self._served(request, path)
            case _, path if path in _ROUTES:
                return _problem(405, f"{request.method} is not for {request.path}")
            case _:
                return _problem(404, f"there is no {request.path[:80]}")

    async def _enroll(self, request: Request) -> Response:
        asked = _enrol_decoder.decode(request.body)
        anchor = self._anchor()
        wish = Wish(
            device=asked.device,
            token=asked.token,
            labels=asked.labels,
            timezone=asked.timezone,
            csr=asked.csr,
            factory_name="" if asked.token else self._desk.door.factory_name(request),
            recipient=asked.recipient,
            evidence=asked.evidence,
        )
        granted = await self._written(lambda: self._desk.enrolments.enrol(wish))
        if granted is None:
            text = f"device {asked.device} waits for approval"
            return _problem(202, text, "the device admin runs: edgewright device pending")
        reply = wire.EnrollReply(
            device=asked.device,
            secret=granted.secret,
            certificate=granted.certificate.pem if granted.certificate else "",
            authority=self._desk.door.authority_pem if granted.certificate else "",
            **anchor,
        )
        return Response(status=201, body=_encoder.encode(reply), headers=_JSON)

    def _challenge(self) -> Response:
        challenge = self._desk.enrolments.challenge()
        if challenge is None:
            return _problem(404, "this fleet asks for no TPM's quote", "enrol without --tpm")
        headers = {"cache-control": "no-store"} | _JSON
        return Response(status=200, body=_encoder.encode(challenge), headers=headers)

    def _credential(self, request: Request) -> Response:
        credential = self._desk.enrolments.credential(_chip_decoder.decode(request.body))
        if credential is None:
            return _problem(404, "this fleet asks for no TPM's quote", "enrol without --tpm")
        headers = {"cache-control": "no-store"} | _JSON
        return Response(status=200, body=_encoder.encode(credential), headers=headers)

    def _authority(self) -> Response:
        """Public, and worth nothing by itself: a device compares it with what its token says."""
        if not self._desk.door.authority_pem:
            return _problem(404, "no authority of this fleet is behind its name")
        body = self._desk.door.authority_pem.encode()
        return Response(status=200, body=body, headers={"content-type": "application/x-pem-file"})

    async def _certificate(self, request: Request) -> Response:
        asked = msgspec.json.decode(request.body, type=wire.CertificateRequest)
        poll = await self._poll(request)
        device, enrolment = (poll.device, poll.enrolment) if poll else ("", 0)
        renew = self._desk.enrolments.renew
        issued = await self._written(lambda: renew(asked.csr, device=device, enrolment=enrolment))
        reply = wire.CertificateReply(
            certificate=issued.pem, authority=self._desk.door.authority_pem
        )
        return Response(status=200, body=_encoder.encode(reply), headers=_JSON)

    def _anchor(self) -> dict[str, Any]:
        """Whose word about bundles a device is to trust: the repositories', or pinned keys."""
        director = self._desk.director
        if director is not None and director.is_on:
            image, own = director.roots()
            return {"image_root": image.decode(), "director_root": own.decode()}
        trusted = self._desk.trusted()
        keys = tuple(
            wire.Key(key_id=key.key_id, scheme=key.scheme, public_hex=key.public_hex)
            for key in trusted.keys
        )
        return {"keys": keys, "threshold": trusted.threshold}

    async def _desired(self, request: Request) -> Response:
        known = request.headers.get("if-none-match", "")
        wait_s = _wait_s(request.query.get("wait", "0"))
        turn = self._desk.presence.turn
        poll = await self._poll(request)
        if poll is None:
            return _unauthorised()
        if poll.is_ordered and poll.etag == known:
            self._desk.presence.acknowledged(poll.device)
        clock = self._desk.clock
        until_s = clock.monotonic_s() + wait_s
        while poll.etag == known and (left_s := until_s - clock.monotonic_s()) > 0:
            await self._desk.presence.wait(poll.device, since=turn, timeout_s=left_s)
            turn = self._desk.presence.turn
            poll = await self._poll(request)
            if poll is None:
                return _unauthorised()
        headers = {"etag": poll.etag, "cache-control": "no-store"}
        if poll.etag == known:
            return Response(status=304, headers=headers)
        return Response(status=200, body=poll.body, headers=headers | _JSON)

    async def _telemetry(self, request: Request) -> Response:
        poll = await self._poll(request)
        if poll is None:
            return _unauthorised()
        batch = decode_batch(request.body)
        kept = await self._intake.keep(
            Batch(device=poll.device, enrolment=poll.enrolment, records=batch.records)
        )
        reply = wire.Accepted(stored=kept.stored, known=kept.known, unknown_kind=batch.unknown)
        return Response(status=200, body=_encoder.encode(reply), headers=_JSON)

    async def _command(self, request: Request, commands: CommandsApi) -> Response:
        poll = await self._poll(request)
        if poll is None:
            return _unauthorised()
        answer = await self._written(lambda: commands.answer(request, poll))
        return answer or _problem(404, f"there is no {request.method} {request.path[:80]}")

    async def _bundle(self, request: Request, bundle_id: str) -> Response:
        poll = await self._poll(request)
        if poll is None:
            return _unauthorised()
        release = await self._looked(lambda: self._release_for(poll, bundle_id))
        if release is None:
            return _problem(404, f"bundle {bundle_id[:80]} is not for {poll.device}")
        if poll.is_ordered:
            self._desk.presence.acknowledged(poll.device)
        path = await asyncio.to_thread(self._desk.registry.place, release)
        return file_response(path, request, etag=release.file_sha256)

    def _release_for(self, poll: Poll, bundle_id: str) -> Release | None:
        with self._desk.state.read() as connection:
            if not may_fetch(connection, poll.device, bundle_id):
                return None
        return self._desk.registry.within(poll.project).of_bundle(bundle_id)

    async def _patch(self, request: Request, bundle_id: str) -> Response:
        """A patch from the bundle that the device has; 404 when the file itself is the way."""
        whole = await self._bundle(request, bundle_id)
        patches = self._desk.patches
        if whole.status not in (200, 206) or patches is None:
            return whole if whole.status == 401 else _problem(404, "there is no patch")
        base, poll = request.query["base"], await self._poll(request)
        if poll is None:
            return _unauthorised()
        path = await asyncio.to_thread(patches.find, base, bundle_id, project=poll.project)
        if path is None:
            return _problem(404, f"there is no patch from {base[:80]}", "fetch the whole bundle")
        return file_response(path, request, etag=path.stem)

    async def _served(self, request: Request, path: str) -> Response:
        """A file: a bundle, or metadata that vouches for bundles."""
        if path.startswith(f"{wire.BUNDLES}/"):
            return await self._bundle(request, path.removeprefix(f"{wire.BUNDLES}/"))
        return await self._metadata(request, path.removeprefix(f"{wire.REPOSITORIES}/"))

    async def _metadata(self, request: Request, path: str) -> Response:
        poll = await self._poll(request)
        if poll is None:
            return _unauthorised()
        content = await self._looked(lambda: self._vouching_file(poll, path))
        if content is None:
            absent = _problem(404, f"there is no metadata {path[:80]}")
            return _Absent(**msgspec.structs.asdict(absent)) if _ROOT.fullmatch(path) else absent
        return Response(status=200, body=content, headers=_JSON | {"cache-control": "no-store"})

    def _vouching_file(self, poll: Poll, path: str) -> bytes | None:
        repository, _, name = path.partition("/")
        director = self._desk.director
        if director is None or not director.is_on:
            return None
        if repository == "image":
            return director.image_file(name)
        return director.director_file(poll.device, name) if repository == "director" else None

    async def _poll(self, request: Request) -> Poll | None:
        known_by = self._desk.door.credential(request)
        if not known_by.fingerprint and not known_by.secret:
            return None
        poll = await self._looked(lambda: self._known(known_by))
        if poll is not None:
            self._desk.presence.saw(poll.device, at_s=self._desk.clock.wall_s())
            if poll.is_pending:
                self._desk.presence.pends(poll.device)
        return poll

    def _known(self, known_by: Credential) -> Poll | None:
        state = self._desk.state
        if known_by.secret:
            return look_up(state, known_by.secret)
        now_s = self._desk.clock.wall_s()
        return look_up_certificate(state, known_by.fingerprint, now_s=now_s)

    async def _looked(self, work: Callable[[], T]) -> T:
        return await looked(self._desk.state, work)

    async def _written(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._desk.writer, work)


def _wait_s(text: str) -> float:
    try:
        wait_s = float(text)
    except ValueError:
        wait_s = -1.0
    if not wait_s >= 0:
        raise InputError(f"wait is {text[:40]!r}, expected seconds", hint="like ?wait=30")
    return min(wait_s, MAX_WAIT_S)


def _refused(request: Request, error: EdgewrightError) -> Response:
    if isinstance(error, ResourceError):
        _log.error("%s %s: %s", request.method, request.path, error)
        return _problem(503, "the fleet cannot write now", "try again later")
    status = 400
    if isinstance(error, TrustError):
        status = 403
    elif isinstance(error, ConflictError):
        status = 409
    elif isinstance(error, AbsentError):
        status = 404
    return _problem(status, error.message, error.hint)


def _outdated(error: OutdatedError) -> Response:
    problem = wire.OutdatedProblem(
        error=error.message, hint=error.hint, newest=error.newest, same=error.same
    )
    return Response(status=409, body=_encoder.encode(problem), headers=dict(_JSON))


def _problem(status: int, error: str, hint: str = "") -> Response:
    headers = dict(_JSON)
    if status == 503:
        headers["retry-after"] = str(RETRY_AFTER_S)
    return Response(
        status=status, body=_encoder.encode(wire.Problem(error=error, hint=hint)), headers=headers
    )


def _unauthorised() -> Response:
    refusal = _problem(401, "unknown or revoked device", "enrol with a fresh token")
    return msgspec.structs.replace(
        refusal, headers=refusal.headers | {"www-authenticate": "Bearer"}
    )
