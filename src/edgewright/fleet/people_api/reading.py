"""Routes that only look."""

from typing import Annotated

import msgspec
from litestar import get
from litestar.datastructures import State
from litestar.params import FromPath, FromQuery, QueryParameter

from edgewright import __version__
from edgewright.fleet.alerts import Alert
from edgewright.fleet.aliases import Alias
from edgewright.fleet.audit import Entry, read_audit
from edgewright.fleet.devices import Device
from edgewright.fleet.enrolment import Waiting
from edgewright.fleet.labels import parse_query
from edgewright.fleet.lineage import Lineage
from edgewright.fleet.quality import Difference
from edgewright.fleet.registry import Release
from edgewright.fleet.rollout_facts import RolloutFacts

DEVICE_LIMIT = 1000

_READ = {"permission": "read"}


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """That the fleet answers, and how much it keeps."""

    ok: bool
    version: str
    counts: dict[str, int]


@get("/health", opt=_READ, sync_to_thread=True)
def health(state: State) -> Health:
    """Whether the fleet answers; reads its database to know."""
    return Health(ok=True, version=__version__, counts=state.office.watch.counts())


@get("/releases", opt=_READ, sync_to_thread=True)
def releases(state: State) -> tuple[Release, ...]:
    """Every release with where it came from, newest first."""
    found: tuple[Release, ...] = state.office.registry.releases()
    return found


@get("/releases/{reference:str}", opt=_READ, sync_to_thread=True)
def release(state: State, reference: FromPath[str]) -> Release:
    """One release by MODEL@VERSION or the beginning of its bundle id."""
    found: Release = state.office.registry.release(reference)
    return found


@get("/releases/{reference:str}/lineage", opt=_READ, sync_to_thread=True)
def release_lineage(state: State, reference: FromPath[str]) -> Lineage:
    """Where a release came from, by its name or by the bundle that an answer named."""
    found: Lineage = state.office.lineages.of_release(reference)
    return found


@get("/devices/{name:str}/lineage", opt=_READ, sync_to_thread=True)
def device_lineage(
    state: State,
    name: FromPath[str],
    model: FromQuery[str] = "",
    at_s: FromQuery[float | None] = None,
) -> Lineage:
    """Where that came from what a device ran at a moment; now, when none is given."""
    found: Lineage = state.office.lineages.of_device(name, model=model, at_s=at_s)
    return found


@get("/devices", opt=_READ, sync_to_thread=True)
def devices(
    state: State,
    matching: FromQuery[str] = "",
    after: FromQuery[str] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=DEVICE_LIMIT)] = 100,
) -> tuple[Device, ...]:
    """Devices by name, those `matching` a label query; `after` turns the page."""
    found: tuple[Device, ...] = state.office.devices.find(
        parse_query(matching), limit=limit, after=after
    )
    return found


@get("/devices/{name:str}", opt=_READ, sync_to_thread=True)
def device(state: State, name: FromPath[str]) -> Device:
    """One device: labels, what it is to run, what it runs, what it said last."""
    found: Device = state.office.devices.show(name)
    return found


@get("/rollouts", opt=_READ, sync_to_thread=True)
def rollouts(state: State) -> tuple[RolloutFacts, ...]:
    """The newest rollouts first."""
    found: tuple[RolloutFacts, ...] = state.office.rollouts.list()
    return found


@get("/rollouts/{number:int}", opt=_READ, sync_to_thread=True)
def rollout(state: State, number: FromPath[int]) -> RolloutFacts:
    """One rollout with its waves, devices and history."""
    found: RolloutFacts = state.office.rollouts.status(number)
    return found


@get("/rollouts/{number:int}/comparison", opt=_READ, sync_to_thread=True)
def comparison(state: State, number: FromPath[int]) -> Difference:
    """How the release of a rollout does beside the model's others, since it began."""
    found: Difference = state.office.rollouts.compare(number)
    return found


@get("/alerts", opt=_READ, sync_to_thread=True)
def alerts(state: State) -> tuple[Alert, ...]:
    """What a person should look at now."""
    found: tuple[Alert, ...] = state.office.watch.alerts()
    return found


@get("/aliases", opt=_READ, sync_to_thread=True)
def aliases(state: State) -> tuple[Alias, ...]:
    """What aliases mean, and what is proposed."""
    found: tuple[Alias, ...] = state.office.aliases.list()
    return found


@get("/enrolments", opt={"permission": "device"}, sync_to_thread=True)
def enrolments(state: State) -> tuple[Waiting, ...]:
    """Devices that wait for a person's word."""
    found: tuple[Waiting, ...] = state.office.enrolments.waiting()
    return found


@get("/audit", opt={"permission": "audit"}, sync_to_thread=True)
def audit(state: State) -> tuple[Entry, ...]:
    """Who did what, newest first."""
    return read_audit(state.office.state)


READING = (
    health,
    releases,
    release,
    release_lineage,
    device_lineage,
    devices,
    device,
    rollouts,
    rollout,
    comparison,
    alerts,
    aliases,
    enrolments,
    audit,
)
