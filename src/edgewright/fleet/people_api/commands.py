"""Routes that change something; each needs a token and leaves an entry in the audit log."""

import asyncio
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody

from edgewright.fleet.aliases import Alias
from edgewright.fleet.devices import Device, NewToken, TokenOrder
from edgewright.fleet.people import User
from edgewright.fleet.people_api.access import TheOffice
from edgewright.fleet.remote_commands import CommandFacts, CommandOrder
from edgewright.fleet.rollout_facts import RolloutFacts
from edgewright.fleet.rollout_plan import RolloutOrder, RolloutPlan
from edgewright.wire.remote_commands import KIT_PART_BYTES

_ROLLOUT = {"permission": "rollout"}
_DEVICE = {"permission": "device"}
_PUBLISH = {"permission": "publish"}

_Asked = Request[User, Any, Any]


class Reason(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why somebody does this, kept in the history; and which revision of the rollout this is
    about: another operator's command in between makes it a conflict.
    """

    reason: str = ""
    seen: int | None = None


class AbortOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why, and whether devices return; null leaves it to the rollout's limits."""

    reason: str = ""
    returns: bool | None = None
    seen: int | None = None


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A word on a device that waits."""

    is_approved: bool


class LabelOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Labels to set; null takes one away."""

    labels: dict[str, str | None]


class DeviceOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A device to add."""

    name: str
    labels: dict[str, str] = {}


class AddedDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device that was added, and the secret that it sends."""

    name: str
    secret: str


class TimezoneOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A time zone by its name, like Europe/Berlin."""

    timezone: str


@post("/rollouts/plan", opt=_ROLLOUT, sync_to_thread=True, status_code=200)
def plan(office: TheOffice, data: JSONBody[RolloutOrder]) -> RolloutPlan:
    """What an order would do now; changes nothing."""
    return office.rollouts.plan(data)


@post("/rollouts", opt=_ROLLOUT, sync_to_thread=True)
def start(office: TheOffice, request: _Asked, data: JSONBody[RolloutOrder]) -> RolloutFacts:
    """Start a rollout."""
    return office.rollouts.start(data, by=request.user.name)


@post("/rollouts/{number:int}/pause", opt=_ROLLOUT, sync_to_thread=True, status_code=200)
def pause(
    office: TheOffice, request: _Asked, number: FromPath[int], data: JSONBody[Reason]
) -> RolloutFacts:
    """Give no further orders."""
    return office.rollouts.pause(number, reason=data.reason, by=request.user.name, seen=data.seen)


@post("/rollouts/{number:int}/resume", opt=_ROLLOUT, sync_to_thread=True, status_code=200)
def resume(office: TheOffice, request: _Asked, number: FromPath[int]) -> RolloutFacts:
    """Let a paused rollout go on."""
    return office.rollouts.resume(number, by=request.user.name)


@post("/rollouts/{number:int}/retry", opt=_ROLLOUT, sync_to_thread=True, status_code=200)
def retry(
    office: TheOffice, request: _Asked, number: FromPath[int], data: JSONBody[Reason]
) -> RolloutFacts:
    """Give the failed devices another try."""
    return office.rollouts.retry(number, reason=data.reason, by=request.user.name, seen=data.seen)


@post("/rollouts/{number:int}/abort", opt=_ROLLOUT, sync_to_thread=True, status_code=200)
def abort(
    office: TheOffice, request: _Asked, number: FromPath[int], data: JSONBody[AbortOrder]
) -> RolloutFacts:
    """End a rollout; its devices return to what they ran before unless told otherwise."""
    return office.rollouts.abort(
        number, returns=data.returns, reason=data.reason, by=request.user.name, seen=data.seen
    )


@post("/devices", opt=_DEVICE, sync_to_thread=True)
def add_device(office: TheOffice, request: _Asked, data: JSONBody[DeviceOrder]) -> AddedDevice:
    """Add a device that does not enrol itself, like one of SWUpdate; its secret is shown once."""
    secret = office.devices.add(data.name, data.labels, by=request.user.name)
    return AddedDevice(name=data.name, secret=secret)


@post("/devices/{name:str}/timezone", opt=_DEVICE, sync_to_thread=True, status_code=200)
def set_timezone(
    office: TheOffice, request: _Asked, name: FromPath[str], data: JSONBody[TimezoneOrder]
) -> Device:
    """Say where a device is, for maintenance windows in its local time."""
    office.devices.set_timezone(name, data.timezone, by=request.user.name)
    return office.devices.show(name)


@post("/devices/{name:str}/commands", opt=_DEVICE, sync_to_thread=True)
def order_command(
    office: TheOffice, request: _Asked, name: FromPath[str], data: JSONBody[CommandOrder]
) -> CommandFacts:
    """Have a device do something from a short list; it may forbid it, and never runs a shell."""
    return office.commands.order(name, data, by=request.user.name)


@post(
    "/devices/{name:str}/commands/{number:int}/kit",
    opt=_DEVICE,
    request_max_body_size=KIT_PART_BYTES,
    status_code=200,
)
async def add_to_kit(
    office: TheOffice,
    request: _Asked,
    name: FromPath[str],
    number: FromPath[int],
    *,
    at: FromQuery[int] = 0,
    is_last: FromQuery[bool] = False,
) -> CommandFacts:
    """Send the part that begins at a byte, as application/octet-stream, of the kit of models that a
    device is to measure; with the last one the device gets the command.
    """
    content = await request.body()
    return await asyncio.to_thread(
        office.commands.add_to_kit,
        name,
        number,
        content,
        at=at,
        is_last=is_last,
        by=request.user.name,
    )


@get("/devices/{name:str}/commands/{number:int}/file", opt=_DEVICE, sync_to_thread=True)
def command_file(
    office: TheOffice,
    request: _Asked,
    name: FromPath[str],
    number: FromPath[int],
    after: FromQuery[int] = 0,
) -> Response[bytes]:
    """The file that a device sent as the result of a command, from a byte on; reading it is in the
    audit log.
    """
    content = office.commands.read_upload(name, number, by=request.user.name, after=after)
    return Response(content, media_type="application/octet-stream")


@post("/enrolment-tokens", opt=_DEVICE, sync_to_thread=True)
def create_token(office: TheOffice, request: _Asked, data: JSONBody[TokenOrder]) -> NewToken:
    """Make a token that lets devices in; it is shown once."""
    return office.devices.create_token(data, by=request.user.name)


@post("/devices/{name:str}/labels", opt=_DEVICE, sync_to_thread=True, status_code=200)
def label(
    office: TheOffice, request: _Asked, name: FromPath[str], data: JSONBody[LabelOrder]
) -> Device:
    """Set labels or take them away."""
    office.devices.label(name, data.labels, by=request.user.name)
    return office.devices.show(name)


@post("/devices/{name:str}/revoke", opt=_DEVICE, sync_to_thread=True, status_code=200)
def revoke(office: TheOffice, request: _Asked, name: FromPath[str]) -> Device:
    """Let a device in no more."""
    office.devices.revoke(name, by=request.user.name)
    return office.devices.show(name)


class AliasOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which release an alias is to mean."""

    release: str


@post("/aliases/{alias:str}/propose", opt=_PUBLISH, sync_to_thread=True, status_code=200)
def propose(
    office: TheOffice, request: _Asked, alias: FromPath[str], data: JSONBody[AliasOrder]
) -> Alias:
    """Say which release an alias is to mean, once somebody else approved."""
    return office.aliases.propose(data.release, alias, by=request.user.name)


@post(
    "/aliases/{alias:str}/approve",
    opt={"permission": "approve"},
    sync_to_thread=True,
    status_code=200,
)
def approve_alias(
    office: TheOffice, request: _Asked, alias: FromPath[str], data: JSONBody[AliasOrder]
) -> Alias:
    """Let an alias mean a release that somebody else proposed for it."""
    return office.aliases.approve(data.release, alias, by=request.user.name)


@post("/enrolments/{name:str}/decision", opt=_DEVICE, sync_to_thread=True, status_code=200)
def decide(
    office: TheOffice, request: _Asked, name: FromPath[str], data: JSONBody[Decision]
) -> Decision:
    """Let a waiting device in, or refuse it."""
    office.enrolments.decide(name, is_approved=data.is_approved, by=request.user.name)
    return data


COMMANDS = (
    propose,
    approve_alias,
    decide,
    plan,
    start,
    pause,
    resume,
    retry,
    abort,
    add_device,
    order_command,
    add_to_kit,
    command_file,
    create_token,
    label,
    set_timezone,
    revoke,
)
