"""Routes that only look."""

from typing import Annotated, Any

import msgspec
from litestar import Request, get
from litestar.params import FromPath, FromQuery, QueryParameter

from edgewright import __version__
from edgewright.fleet.alerts import Alert
from edgewright.fleet.aliases import Alias
from edgewright.fleet.audit import FLEET_ITSELF, Entry, read_audit
from edgewright.fleet.devices import Device
from edgewright.fleet.enrolment import Waiting
from edgewright.fleet.labels import parse_query
from edgewright.fleet.lineage import Lineage
from edgewright.fleet.people import User
from edgewright.fleet.people_api.access import TheOffice, token_of
from edgewright.fleet.quality import Difference
from edgewright.fleet.registry import Release
from edgewright.fleet.remote_commands import CommandFacts
from edgewright.fleet.roles import may
from edgewright.fleet.rollout_facts import RolloutFacts

DEVICE_LIMIT = 1000
AUDIT_LIMIT = 10_000

_READ = {"permission": "read"}


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """That the fleet answers, and how much it keeps."""

    ok: bool
    version: str
    counts: dict[str, int]


@get("/health", opt=_READ, sync_to_thread=True)
def health(office: TheOffice) -> Health:
    """Whether the fleet answers; reads its database to know."""
    return Health(ok=True, version=__version__, counts=office.watch.counts())


@get("/releases", opt=_READ, sync_to_thread=True)
def releases(office: TheOffice) -> tuple[Release, ...]:
    """Every release with where it came from, newest first."""
    return office.registry.releases()


@get("/releases/{reference:str}", opt=_READ, sync_to_thread=True)
def release(office: TheOffice, reference: FromPath[str]) -> Release:
    """One release by MODEL@VERSION or the beginning of its bundle id."""
    return office.registry.release(reference)


@get("/releases/{reference:str}/lineage", opt=_READ, sync_to_thread=True)
def release_lineage(office: TheOffice, reference: FromPath[str]) -> Lineage:
    """Where a release came from, by its name or by the bundle that an answer named."""
    return office.lineages.of_release(reference)


@get("/devices/{name:str}/lineage", opt=_READ, sync_to_thread=True)
def device_lineage(
    office: TheOffice,
    name: FromPath[str],
    model: FromQuery[str] = "",
    at_s: FromQuery[float | None] = None,
) -> Lineage:
    """Where that came from what a device ran at a moment; now, when none is given."""
    return office.lineages.of_device(name, model=model, at_s=at_s)


@get("/devices", opt=_READ, sync_to_thread=True)
def devices(
    office: TheOffice,
    matching: FromQuery[str] = "",
    after: FromQuery[str] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=DEVICE_LIMIT)] = 100,
) -> tuple[Device, ...]:
    """Devices by name, those `matching` a label query; `after` turns the page."""
    return office.devices.find(parse_query(matching), limit=limit, after=after)


@get("/devices/{name:str}", opt=_READ, sync_to_thread=True)
def device(office: TheOffice, name: FromPath[str]) -> Device:
    """One device: labels, what it is to run, what it runs, what it said last."""
    return office.devices.show(name)


@get("/devices/{name:str}/commands", opt=_READ, sync_to_thread=True)
def commands(office: TheOffice, name: FromPath[str]) -> tuple[CommandFacts, ...]:
    """What people ordered a device to do, and what came of it, newest first."""
    return office.commands.list(name)


@get("/devices/{name:str}/commands/{number:int}", opt=_READ, sync_to_thread=True)
def command(office: TheOffice, name: FromPath[str], number: FromPath[int]) -> CommandFacts:
    """One of them."""
    return office.commands.show(name, number)


@get("/rollouts", opt=_READ, sync_to_thread=True)
def rollouts(office: TheOffice) -> tuple[RolloutFacts, ...]:
    """The newest rollouts first."""
    return office.rollouts.list()


@get("/rollouts/{number:int}", opt=_READ, sync_to_thread=True)
def rollout(office: TheOffice, number: FromPath[int]) -> RolloutFacts:
    """One rollout with its waves, devices and history."""
    return office.rollouts.status(number)


@get("/rollouts/{number:int}/comparison", opt=_READ, sync_to_thread=True)
def comparison(office: TheOffice, number: FromPath[int]) -> Difference:
    """How the release of a rollout does beside the model's others, since it began."""
    return office.rollouts.compare(number)


@get("/alerts", opt=_READ, sync_to_thread=True)
def alerts(office: TheOffice) -> tuple[Alert, ...]:
    """What a person should look at now."""
    return office.watch.alerts()


@get("/aliases", opt=_READ, sync_to_thread=True)
def aliases(office: TheOffice) -> tuple[Alias, ...]:
    """What aliases mean, and what is proposed."""
    return office.aliases.list()


@get("/enrolments", opt={"permission": "device"}, sync_to_thread=True)
def enrolments(office: TheOffice) -> tuple[Waiting, ...]:
    """Devices that wait for a person's word."""
    return office.enrolments.waiting()


@get("/audit", opt={"permission": "audit"}, sync_to_thread=True)
def audit(
    office: TheOffice,
    request: Request[User, Any, Any],
    newest: Annotated[int, QueryParameter(ge=1, le=AUDIT_LIMIT)] = 100,
) -> tuple[Entry, ...]:
    """Who did what in the project, newest first. What belongs to no project (logins, refused
    requests) is shown to who may read the audit log of every project.
    """
    opened = office.users.projects_of(token_of(request))
    audited = {one.project for one in opened if may(one.role, "audit")}
    is_everywhere = audited >= {one.name for one in office.projects.list()}
    shown = {office.project, FLEET_ITSELF} if is_everywhere else {office.project}
    return read_audit(office.state, newest=newest, projects=shown)


READING = (
    health,
    releases,
    release,
    release_lineage,
    device_lineage,
    devices,
    device,
    commands,
    command,
    rollouts,
    rollout,
    comparison,
    alerts,
    aliases,
    enrolments,
    audit,
)
