"""The port over HTTP: the people's API of a fleet that runs somewhere."""

import asyncio
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from edgewright._fs import file_errors
from edgewright.errors import (
    AbsentError,
    ConflictError,
    EdgewrightError,
    InputError,
    TransportError,
    TrustError,
)
from edgewright.fleet.aliases import Alias
from edgewright.fleet.audit import Entry
from edgewright.fleet.devices import Device, NewToken, TokenOrder
from edgewright.fleet.enrolment import Waiting
from edgewright.fleet.lineage import Lineage
from edgewright.fleet.people import Membership, User, UserToken
from edgewright.fleet.projects import DEFAULT_PROJECT
from edgewright.fleet.publishing import Publication
from edgewright.fleet.quality import Difference
from edgewright.fleet.registry import Release
from edgewright.fleet.remote_commands import CommandFacts, CommandOrder
from edgewright.fleet.rollout_facts import RolloutFacts
from edgewright.fleet.rollout_plan import RolloutOrder, RolloutPlan
from edgewright.fleet.swu import SwuOrder, SwuUpdate
from edgewright.transports.http1 import Client, Limits, Response

T = TypeVar("T")

TIMEOUT_S = 30.0
PAGE = 1000
ANSWER_LIMIT_BYTES = 256 << 20
PIECE_BYTES = 1 << 20
PUBLISHING_S = 600.0
"""How long a fleet may verify a bundle that it was sent."""

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class _Refusal(msgspec.Struct):
    """What an answer may say of a refusal, in the fleet's words or in those of its framework."""

    error: str = ""
    hint: str = ""
    detail: str = ""


class _Secret(msgspec.Struct):
    secret: str


class _Count(msgspec.Struct):
    tokens: int


class FleetClient:
    """One project of a fleet at `url`; close it, or use it in a `with` block.

    The token is sent to that address only: redirects are not followed, and beyond this machine it
    goes over TLS or not at all. `tls` holds whom to believe; the system's authorities when absent.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        project: str = DEFAULT_PROJECT,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme == "http" and token and parts.hostname not in _LOOPBACK:
            raise InputError(
                f"{parts.scheme}://{parts.netloc}: a token is sent over TLS only",
                hint="give the https:// address of the fleet",
            )
        self._token = token
        self._base = f"/api/v1/projects/{quote(project, safe='')}"
        if parts.scheme == "https" and tls is None:
            tls = ssl.create_default_context()
        self._runner = asyncio.Runner()
        self._client = Client(
            url, tls=tls, timeout_s=timeout_s, limits=Limits(body_bytes=ANSWER_LIMIT_BYTES)
        )

    def __repr__(self) -> str:
        return f"FleetClient({self._base!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._runner.run(self._client.close())
        self._runner.close()

    def projects(self) -> tuple[Membership, ...]:
        """The projects that the token opens, and the role in each."""
        return self._asked("GET", "/api/v1/projects", tuple[Membership, ...])

    def devices(self, query: str = "") -> Iterator[Device]:
        after = ""
        while True:
            asked = urlencode({"matching": query, "after": after, "limit": PAGE})
            page = self._get(f"/devices?{asked}", tuple[Device, ...])
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1].name

    def device(self, name: str) -> Device:
        return self._get(f"/devices/{_path(name)}", Device)

    def add_device(self, name: str, labels: Mapping[str, str]) -> str:
        return self._post("/devices", _Secret, {"name": name, "labels": dict(labels)}).secret

    def create_enrolment_token(self, order: TokenOrder) -> NewToken:
        return self._post("/enrolment-tokens", NewToken, order)

    def label_device(self, name: str, changes: Mapping[str, str | None]) -> Device:
        return self._post(f"/devices/{_path(name)}/labels", Device, {"labels": dict(changes)})

    def set_timezone(self, name: str, timezone: str) -> Device:
        return self._post(f"/devices/{_path(name)}/timezone", Device, {"timezone": timezone})

    def revoke_device(self, name: str) -> Device:
        return self._post(f"/devices/{_path(name)}/revoke", Device)

    def order_command(self, device: str, order: CommandOrder) -> CommandFacts:
        return self._post(f"/devices/{_path(device)}/commands", CommandFacts, order)

    def add_to_kit(
        self, device: str, number: int, content: bytes, *, at: int, is_last: bool
    ) -> CommandFacts:
        last = "&is_last=true" if is_last else ""
        path = f"{self._base}/devices/{_path(device)}/commands/{number}/kit?at={at}{last}"
        headers = {**self._headers, "content-type": "application/octet-stream"}
        asked = self._client.request("POST", path, headers=headers, body=content)
        answer = _accepted(self._runner.run(asked), "POST", path)
        return _decoded(answer, "POST", path, CommandFacts)

    def commands(self, device: str) -> tuple[CommandFacts, ...]:
        return self._get(f"/devices/{_path(device)}/commands", tuple[CommandFacts, ...])

    def command(self, device: str, number: int) -> CommandFacts:
        return self._get(f"/devices/{_path(device)}/commands/{number}", CommandFacts)

    def command_file(self, device: str, number: int, *, after: int = 0) -> bytes:
        path = f"{self._base}/devices/{_path(device)}/commands/{number}/file?after={after}"
        return self._answered("GET", path, None)

    def waiting_devices(self) -> tuple[Waiting, ...]:
        return self._get("/enrolments", tuple[Waiting, ...])

    def decide_enrolment(self, name: str, *, is_approved: bool) -> None:
        word = {"is_approved": is_approved}
        self._post(f"/enrolments/{_path(name)}/decision", msgspec.Raw, word)

    def publish(self, file: Path) -> Publication:
        path = f"{self._base}/releases"
        headers = {**self._headers, "content-type": "application/octet-stream"}
        with file_errors(file, doing="reading"), file.open("rb") as source:
            sent = self._client.upload(
                "POST",
                path,
                iter(lambda: source.read(PIECE_BYTES), b""),
                size_bytes=os.fstat(source.fileno()).st_size,
                headers=headers,
                answer_s=PUBLISHING_S,
            )
            answer = self._runner.run(sent)
        return _decoded(_accepted(answer, "POST", path), "POST", path, Publication)

    def wrap_release(self, reference: str, order: SwuOrder) -> SwuUpdate:
        return self._post(f"/releases/{_path(reference)}/swu", SwuUpdate, order)

    def releases(self) -> tuple[Release, ...]:
        return self._get("/releases", tuple[Release, ...])

    def release(self, reference: str) -> Release:
        return self._get(f"/releases/{_path(reference)}", Release)

    def release_lineage(self, reference: str) -> Lineage:
        return self._get(f"/releases/{_path(reference)}/lineage", Lineage)

    def device_lineage(self, name: str, *, model: str = "", at_s: float | None = None) -> Lineage:
        asked = {"model": model} | ({} if at_s is None else {"at_s": str(at_s)})
        return self._get(f"/devices/{_path(name)}/lineage?{urlencode(asked)}", Lineage)

    def aliases(self) -> tuple[Alias, ...]:
        return self._get("/aliases", tuple[Alias, ...])

    def propose_alias(self, reference: str, alias: str) -> Alias:
        return self._post(f"/aliases/{_path(alias)}/propose", Alias, {"release": reference})

    def approve_alias(self, reference: str, alias: str) -> Alias:
        return self._post(f"/aliases/{_path(alias)}/approve", Alias, {"release": reference})

    def plan_rollout(self, order: RolloutOrder) -> RolloutPlan:
        return self._post("/rollouts/plan", RolloutPlan, order)

    def start_rollout(self, order: RolloutOrder) -> RolloutFacts:
        return self._post("/rollouts", RolloutFacts, order)

    def rollouts(self) -> tuple[RolloutFacts, ...]:
        return self._get("/rollouts", tuple[RolloutFacts, ...])

    def rollout(self, number: int) -> RolloutFacts:
        return self._get(f"/rollouts/{number}", RolloutFacts)

    def pause_rollout(self, number: int, *, reason: str = "") -> RolloutFacts:
        return self._post(f"/rollouts/{number}/pause", RolloutFacts, {"reason": reason})

    def resume_rollout(self, number: int) -> RolloutFacts:
        return self._post(f"/rollouts/{number}/resume", RolloutFacts)

    def retry_rollout(self, number: int, *, reason: str = "") -> RolloutFacts:
        return self._post(f"/rollouts/{number}/retry", RolloutFacts, {"reason": reason})

    def abort_rollout(
        self, number: int, *, returns: bool | None = None, reason: str = ""
    ) -> RolloutFacts:
        order = {"reason": reason, "returns": returns}
        return self._post(f"/rollouts/{number}/abort", RolloutFacts, order)

    def compare_rollout(self, number: int) -> Difference:
        return self._get(f"/rollouts/{number}/comparison", Difference)

    def members(self) -> tuple[User, ...]:
        return self._get("/members", tuple[User, ...])

    def add_member(self, name: str, role: str) -> User:
        return self._post(f"/members/{_path(name)}", User, {"role": role})

    def set_role(self, name: str, role: str) -> User:
        return self._post(f"/members/{_path(name)}/role", User, {"role": role})

    def remove_member(self, name: str) -> None:
        self._post(f"/members/{_path(name)}/remove", msgspec.Raw)

    def create_user_token(
        self, name: str, *, lifetime_s: float, scopes: Sequence[str] = ()
    ) -> UserToken:
        wish = {"lifetime_s": lifetime_s, "scopes": list(scopes)}
        return self._post(f"/members/{_path(name)}/tokens", UserToken, wish)

    def revoke_user_tokens(self, name: str) -> int:
        return self._post(f"/members/{_path(name)}/revoke-tokens", _Count).tokens

    def audit(self, *, newest: int = 100) -> tuple[Entry, ...]:
        return self._get(f"/audit?{urlencode({'newest': newest})}", tuple[Entry, ...])

    def _get(self, path: str, kind: type[T]) -> T:
        return self._asked("GET", self._base + path, kind)

    def _post(self, path: str, kind: type[T], body: object = None) -> T:
        return self._asked("POST", self._base + path, kind, body)

    def _asked(self, method: str, path: str, kind: type[T], body: object = None) -> T:
        return _decoded(self._answered(method, path, body), method, path, kind)

    def _answered(self, method: str, path: str, body: object) -> bytes:
        headers = self._headers
        content = b"" if body is None else msgspec.json.encode(body)
        if content:
            headers = {**headers, "content-type": "application/json"}
        asked = self._client.request(method, path, headers=headers, body=content)
        return _accepted(self._runner.run(asked), method, path)

    @property
    def _headers(self) -> dict[str, str]:
        known = {"authorization": f"Bearer {self._token}"} if self._token else {}
        return {"accept": "*/*", **known}


def _accepted(answer: Response, method: str, path: str) -> bytes:
    """The body of an answer that is no refusal."""
    if not 200 <= answer.status < 300:
        raise refusal_of(answer, _where(method, path))
    return answer.body


def _decoded(answer: bytes, method: str, path: str, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.DecodeError as error:
        raise TransportError(
            f"{_where(method, path)}: not the expected answer, {error}",
            hint="is that the address for people of a fleet of this version?",
        ) from error


def _where(method: str, path: str) -> str:
    return f"{method} {path.partition('?')[0]}"


def refusal_of(answer: Response, where: str) -> EdgewrightError:
    """The error that an answer tells of, of the kind that the fleet raised."""
    try:
        told = msgspec.json.decode(answer.body, type=_Refusal)
    except msgspec.DecodeError:
        told = _Refusal()
    message = told.error or told.detail or f"{where} was answered with {answer.status}"
    match answer.status:
        case 404:
            return AbsentError(message, hint=told.hint)
        case 409:
            return ConflictError(message, hint=told.hint)
        case 401 | 403:
            return TrustError(message, hint=told.hint)
        case 429 | 500 | 502 | 503 | 504:
            return TransportError(message, hint=told.hint or "try again later")
        case _:
            return InputError(message, hint=told.hint)


def _path(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="@")
