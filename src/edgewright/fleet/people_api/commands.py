"""Routes that change something; each needs a token and leaves an entry in the audit log."""

from typing import Any

import msgspec
from litestar import Request, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody

from edgewright.fleet.aliases import Alias
from edgewright.fleet.devices import Device, NewToken, TokenOrder
from edgewright.fleet.rollout_facts import RolloutFacts
from edgewright.fleet.rollouts import RolloutOrder, RolloutPlan
from edgewright.fleet.users import User

_ROLLOUT = {"permission": "rollout"}
_DEVICE = {"permission": "device"}
_PUBLISH = {"permission": "publish"}

_Asked = Request[User, Any, Any]


class Reason(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why somebody does this; kept in the history."""

    reason: str = ""


class AbortOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why, and whether devices return; null leaves it to the rollout's limits."""

    reason: str = ""
    returns: bool | None = None


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A word on a device that waits."""

    is_approved: bool


class LabelOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Labels to set; null takes one away."""

    labels: dict[str, str | None]


@post("/rollouts/plan", opt=_ROLLOUT, sync_to_thread=True, status_code=200)
def plan(state: State, data: JSONBody[RolloutOrder]) -> RolloutPlan:
    """What an order would do now; changes nothing."""
    found: RolloutPlan = state.office.rollouts.plan(data)
    return found


@post("/rollouts", opt=_ROLLOUT, sync_to_thread=True)
def start(state: State, request: _Asked, data: JSONBody[RolloutOrder]) -> RolloutFacts:
    """Start a rollout."""
    done: RolloutFacts = state.office.rollouts.start(data, by=request.user.name)
    return done


@post("/rollouts/{number:int}/pause", opt=_ROLLOUT, sync_to_thread=True, status_code=200)
def pause(
    state: State, request: _Asked, number: FromPath[int], data: JSONBody[Reason]
) -> RolloutFacts:
    """Give no further orders."""
    done: RolloutFacts = state.office.rollouts.pause(
        number, reason=data.reason, by=request.user.name
    )
    return done


@post("/rollouts/{number:int}/resume", opt=_ROLLOUT, sync_to_thread=True, status_code=200)
def resume(state: State, request: _Asked, number: FromPath[int]) -> RolloutFacts:
    """Let a paused rollout go on."""
    done: RolloutFacts = state.office.rollouts.resume(number, by=request.user.name)
    return done


@post("/rollouts/{number:int}/retry", opt=_ROLLOUT, sync_to_thread=True, status_code=200)
def retry(
    state: State, request: _Asked, number: FromPath[int], data: JSONBody[Reason]
) -> RolloutFacts:
    """Give the failed devices another try."""
    done: RolloutFacts = state.office.rollouts.retry(
        number, reason=data.reason, by=request.user.name
    )
    return done


@post("/rollouts/{number:int}/abort", opt=_ROLLOUT, sync_to_thread=True, status_code=200)
def abort(
    state: State, request: _Asked, number: FromPath[int], data: JSONBody[AbortOrder]
) -> RolloutFacts:
    """End a rollout; its devices return to what they ran before unless told otherwise."""
    done: RolloutFacts = state.office.rollouts.abort(
        number, returns=data.returns, reason=data.reason, by=request.user.name
    )
    return done


@post("/enrolment-tokens", opt=_DEVICE, sync_to_thread=True)
def create_token(state: State, request: _Asked, data: JSONBody[TokenOrder]) -> NewToken:
    """Make a token that lets devices in; it is shown once."""
    done: NewToken = state.office.devices.create_token(data, by=request.user.name)
    return done


@post("/devices/{name:str}/labels", opt=_DEVICE, sync_to_thread=True, status_code=200)
def label(state: State, request: _Asked, name: FromPath[str], data: JSONBody[LabelOrder]) -> Device:
    """Set labels or take them away."""
    state.office.devices.label(name, data.labels, by=request.user.name)
    done: Device = state.office.devices.show(name)
    return done


@post("/devices/{name:str}/revoke", opt=_DEVICE, sync_to_thread=True, status_code=200)
def revoke(state: State, request: _Asked, name: FromPath[str]) -> Device:
    """Let a device in no more."""
    state.office.devices.revoke(name, by=request.user.name)
    done: Device = state.office.devices.show(name)
    return done


class AliasOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which release an alias is to mean."""

    release: str


@post("/aliases/{alias:str}/propose", opt=_PUBLISH, sync_to_thread=True, status_code=200)
def propose(
    state: State, request: _Asked, alias: FromPath[str], data: JSONBody[AliasOrder]
) -> Alias:
    """Say which release an alias is to mean, once somebody else approved."""
    done: Alias = state.office.aliases.propose(data.release, alias, by=request.user.name)
    return done


@post(
    "/aliases/{alias:str}/{model:str}/approve",
    opt={"permission": "approve"},
    sync_to_thread=True,
    status_code=200,
)
def approve_alias(
    state: State, request: _Asked, alias: FromPath[str], model: FromPath[str]
) -> Alias:
    """Let an alias mean what somebody else proposed."""
    done: Alias = state.office.aliases.approve(model, alias, by=request.user.name)
    return done


@post("/enrolments/{name:str}/decision", opt=_DEVICE, sync_to_thread=True, status_code=200)
def decide(
    state: State, request: _Asked, name: FromPath[str], data: JSONBody[Decision]
) -> Decision:
    """Let a waiting device in, or refuse it."""
    state.office.enrolments.decide(name, is_approved=data.is_approved, by=request.user.name)
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
    create_token,
    label,
    revoke,
)
