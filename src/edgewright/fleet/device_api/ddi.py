"""Devices of others: SWUpdate asks by hawkBit's API and gets our releases wrapped as its updates.

A device that `release publish --also swu` wrapped a release for takes part in rollouts like any
other: fetching its order acknowledges it, its closing word is the result. Words about an order
that it was not given last, and had not begun, are an old report and refused, and so is any word
after the one that it is done; the same word again is taken and changes nothing.
"""

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import msgspec
from sqlalchemy import func, select

from edgewright.clock import Clock
from edgewright.errors import ConflictError
from edgewright.fleet.admission import replace_labels
from edgewright.fleet.desired import Poll, look_up, look_up_certificate
from edgewright.fleet.device_api.door import Door
from edgewright.fleet.devices import labels_of
from edgewright.fleet.labels import LABEL_LIMIT, check_labels
from edgewright.fleet.presence import Presence
from edgewright.fleet.registry import Registry
from edgewright.fleet.state import State, schema
from edgewright.fleet.telemetry import keep
from edgewright.telemetry import UpdateRecord
from edgewright.transports.http1 import Request, Response, file_response
from edgewright.wire import ddi
from edgewright.wire.device_api import Desired, DesiredModel, Problem

POLL_SLEEP, SOON = "00:00:30", "00:00:05"
DESCRIBED_S = 86_400.0
"""How long what a device said of itself is good. SWUpdate takes no order from a server that asks it
for that, so it is asked for once in a while and not at each poll.
"""
OWN_WORDS = "config."
"""How the labels begin that a device of SWUpdate gives itself."""
OWN_WORDS_MOST = 32

_PATH = re.compile(
    rf"/{ddi.TENANT}/controller/v1/(?P<device>[A-Za-z0-9][A-Za-z0-9._-]{{0,62}})(?P<rest>/.*)?"
)
_DEPLOYMENT = re.compile(r"/deploymentBase/(?P<action>\d{1,9})(?P<feedback>/feedback)?")
_ARTIFACT = re.compile(r"/softwaremodules/(?P<bundle>[0-9a-f]{64})/artifacts/[A-Za-z0-9._-]{1,100}")
_NO_WORD = re.compile(r"[^A-Za-z0-9._-]+")
_WORD_MOST = 48
_JSON = {"content-type": "application/json"}
_encoder = msgspec.json.Encoder()
_desired = msgspec.json.Decoder(Desired)
_feedback = msgspec.json.Decoder(ddi.Feedback)
_config = msgspec.json.Decoder(ddi.ConfigData)
_update = msgspec.json.Decoder(UpdateRecord)


def is_ddi(path: str) -> bool:
    """Whether a request is one of this API's."""
    return path.startswith(f"/{ddi.TENANT}/controller/")


class DdiApi:
    """Answers requests of SWUpdate; works in the thread that writes."""

    def __init__(
        self,
        state: State,
        registry: Registry,
        presence: Presence,
        clock: Clock,
        *,
        door: Door,
    ) -> None:
        self._state = state
        self._presence = presence
        self._clock = clock
        self._door = door
        self._swu_of = registry.swu_of
        self._described_at_s: dict[str, float] = {}

    def answer(self, request: Request) -> Response:
        """One request to its answer."""
        found = _PATH.fullmatch(request.path)
        poll = self._poll(request)
        if found is None or poll is None or poll.device != found["device"]:
            headers = _JSON | {"www-authenticate": "TargetToken"}
            body = _encoder.encode(Problem(error="unknown or revoked device"))
            return Response(status=401, body=body, headers=headers)
        self._presence.saw(poll.device, at_s=self._clock.wall_s())
        if poll.is_pending:
            self._presence.pends(poll.device)
        scheme = "http" if self._door.takes_secrets else "https"
        base = f"{scheme}://{request.headers.get('host', '')}{request.path[: found.end('device')]}"
        return self._route(request, poll, found["rest"] or "", base)

    def _route(self, request: Request, poll: Poll, rest: str, base: str) -> Response:
        if rest == "" and request.method == "GET":
            return self._root(poll, base)
        if rest == "/configData" and request.method in ("PUT", "POST"):
            return self._describes_itself(request, poll)
        deployment, artifact = _DEPLOYMENT.fullmatch(rest), _ARTIFACT.fullmatch(rest)
        if deployment and deployment["feedback"] and request.method in ("POST", "PUT"):
            return self._told(request, poll, deployment["action"])
        if deployment and not deployment["feedback"] and request.method == "GET":
            return self._deployment(poll, deployment["action"], base)
        if artifact and request.method in ("GET", "HEAD"):
            return self._artifact(request, poll, artifact["bundle"])
        return _absent()

    def _describes_itself(self, request: Request, poll: Poll) -> Response:
        """As labels under names of their own, so that a device says nothing in an admin's name."""
        said = _config.decode(request.body)
        self._described_at_s[poll.device] = self._clock.monotonic_s()
        with self._state.write() as connection:
            before = labels_of(connection, [poll.device]).get(poll.device, {})
            after = _described(before, said)
            if after != before:
                replace_labels(connection, poll.device, check_labels(after))
        return Response(status=200)

    def _root(self, poll: Poll, base: str) -> Response:
        links: dict[str, ddi.Link] = {}
        said_s = self._described_at_s.get(poll.device)
        wants = said_s is None or self._clock.monotonic_s() - said_s >= DESCRIBED_S
        if wants:
            links["configData"] = ddi.Link(f"{base}/configData")
        order = self._order(poll)
        if order is not None:
            links["deploymentBase"] = ddi.Link(f"{base}/deploymentBase/{_action(order)}")
        sleep = SOON if wants else POLL_SLEEP
        root = ddi.Root(config=ddi.Config(ddi.Polling(sleep)), links=links)
        return _ok(root)

    def _deployment(self, poll: Poll, action: str, base: str) -> Response:
        order = self._order(poll)
        swu = self._swu_of(order.file_sha256) if order is not None else None
        if order is None or swu is None or _action(order) != action:
            return _absent()
        if poll.is_ordered:
            self._presence.acknowledged(poll.device)
        hashes = {
            "sha1": _hash(swu, "sha1"),
            "md5": _hash(swu, "md5"),
            "sha256": _hash(swu, "sha256"),
        }
        link = ddi.Link(f"{base}/softwaremodules/{order.bundle_id}/artifacts/{swu.name}")
        artifact = ddi.Artifact(
            filename=swu.name,
            hashes=hashes,
            size=swu.stat().st_size,
            links={"download-http": link, "download": link},
        )
        chunk = ddi.Chunk(part="os", version=order.version, name=order.model, artifacts=(artifact,))
        plan = ddi.DeploymentPlan(download="forced", update="forced", chunks=(chunk,))
        return _ok(ddi.Deployment(id=action, deployment=plan))

    def _artifact(self, request: Request, poll: Poll, bundle_id: str) -> Response:
        order = self._order(poll)
        swu = self._swu_of(order.file_sha256) if order is not None else None
        if order is None or swu is None or order.bundle_id != bundle_id:
            return _absent()
        return file_response(swu, request, etag=_hash(swu, "sha256"))

    def _told(self, request: Request, poll: Poll, action: str) -> Response:
        told = _feedback.decode(request.body).status
        bundle_id = self._bundle_of(action, poll.project)
        state, reason = _meaning(told)
        if bundle_id and state:
            last = self._told_last(poll)
            if last == (bundle_id, state):
                return Response(status=200)
            if last == (bundle_id, "commit") or not self._is_due(poll, action, bundle_id, last[0]):
                raise ConflictError("an old report: this is not the order that the device works on")
            self._note(poll, bundle_id, state, reason)
        return Response(status=200)

    def _told_last(self, poll: Poll) -> tuple[str, str]:
        """The bundle that the device last spoke of, and what it said."""
        table = schema.records
        query = select(table.c.content).where(
            table.c.device == poll.device,
            table.c.enrolment == poll.enrolment,
            table.c.kind == "update",
        )
        with self._state.read() as connection:
            content = connection.scalar(query.order_by(table.c.sequence.desc()).limit(1))
        if content is None:
            return "", ""
        record = _update.decode(content)
        return record.bundle, record.state

    def _is_due(self, poll: Poll, action: str, bundle_id: str, last: str) -> bool:
        """Whether the order is the device's now, or the one that it had begun."""
        if bundle_id == last:
            return True
        table = schema.assignments
        query = select(table.c.rollout).where(
            table.c.device == poll.device, table.c.bundle_id == bundle_id
        )
        with self._state.read() as connection:
            return connection.scalar(query) == int(action)

    def _note(self, poll: Poll, bundle_id: str, state: str, reason: str) -> None:
        """As a record of the device's own, numbered after those that are there."""
        table = schema.records
        newest = select(func.max(table.c.sequence)).where(
            table.c.device == poll.device, table.c.enrolment == poll.enrolment
        )
        with self._state.read() as connection:
            sequence = (connection.scalar(newest) or 0) + 1
            release = connection.execute(
                select(schema.releases).where(
                    schema.releases.c.project == poll.project,
                    schema.releases.c.bundle_id == bundle_id,
                )
            ).first()
        now_s = self._clock.wall_s()
        record = UpdateRecord(
            device=poll.device,
            sequence=sequence,
            at_s=now_s,
            bundle=bundle_id,
            state=state,
            model=release.model if release else "",
            version=release.version if release else "",
            reason=reason,
        )
        keep(self._state, poll.device, poll.enrolment, [record], now_s=now_s)

    def _order(self, poll: Poll) -> DesiredModel | None:
        """What the device is to run and does not yet, by its own reports."""
        with self._state.read() as connection:
            table = schema.reports
            query = select(table.c.running_bundle_id).where(table.c.device == poll.device)
            running = set(connection.scalars(query))
        for model in _desired.decode(poll.body).models:
            if model.bundle_id not in running and self._swu_of(model.file_sha256) is not None:
                return model
        return None

    def _bundle_of(self, action: str, project: str) -> str:
        table = schema.rollouts
        query = select(table.c.bundle_id).where(
            table.c.id == int(action), table.c.project == project
        )
        with self._state.read() as connection:
            return connection.scalar(query) or ""

    def _poll(self, request: Request) -> Poll | None:
        known_by = self._door.credential(request)
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if known_by.fingerprint:
            now_s = self._clock.wall_s()
            return look_up_certificate(self._state, known_by.fingerprint, now_s=now_s)
        if self._door.takes_secrets and scheme.lower() == "targettoken" and secret:
            return look_up(self._state, secret)
        return None


def _described(before: Mapping[str, str], said: ddi.ConfigData) -> dict[str, str]:
    """A device's labels after what it said of itself; what is no label is made one, or left out."""
    mine = {key: value for key, value in before.items() if key.startswith(OWN_WORDS)}
    theirs = {key: value for key, value in before.items() if key not in mine}
    told = {
        f"{OWN_WORDS}{name}": value
        for name, value in ((_word(key), _word(str(value))) for key, value in said.data.items())
        if name and value
    }
    if said.mode == "remove":
        mine = {key: value for key, value in mine.items() if key not in told}
    else:
        mine = told if said.mode == "replace" else mine | told
    room = min(OWN_WORDS_MOST, LABEL_LIMIT - len(theirs))
    return theirs | dict(sorted(mine.items())[: max(room, 0)])


def _word(text: str) -> str:
    """A text as a label may hold it."""
    return _NO_WORD.sub("-", text).strip("-._")[:_WORD_MOST].rstrip("-._")


def _action(order: DesiredModel) -> str:
    """The number of an order to a device: SWUpdate reads it as an integer."""
    return order.rollout


def _meaning(status: ddi.FeedbackStatus) -> tuple[str, str]:
    """A state of our agent, in its words."""
    details = " ".join(str(detail) for detail in status.details)[:500]
    match status.execution, status.result.finished:
        case "closed", "success":
            return "commit", "done"
        case ("closed", "failure") | ("rejected", _):
            return "failed", details or "the device says: failure"
        case (("proceeding" | "download" | "downloaded" | "scheduled" | "resumed"), _):
            return "download", "done"
        case _:
            return "", ""


def _hash(path: Path, name: str) -> str:
    status = path.stat()
    return _hash_of(path, name, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _hash_of(path: Path, name: str, _size_bytes: int, _changed_ns: int) -> str:
    digest = hashlib.new(name, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _absent() -> Response:
    body = _encoder.encode(Problem(error="there is no such order for this device"))
    return Response(status=404, headers=_JSON, body=body)


def _ok(value: msgspec.Struct) -> Response:
    return Response(status=200, body=_encoder.encode(value), headers=_JSON)
