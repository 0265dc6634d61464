"""What `agent status` shows: read from disk alone, so that it works when the agent does not."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from edgewright.clock import iso
from edgewright.device.agent.expiry import Expiry, read_expiries
from edgewright.device.agent.facts import Facts, read_facts
from edgewright.device.agent.home import Home
from edgewright.device.agent.journal import Line, lines_of, newest
from edgewright.device.agent.machine import State
from edgewright.device.agent.pinned import PinnedKeys
from edgewright.device.agent.progress import BadRelease, Progress
from edgewright.device.agent.slots import Slots
from edgewright.errors import EdgewrightError
from edgewright.stores import read_log

HISTORY = 50


class SlotStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A slot: what it is for, and why it must not be loaded if that is so."""

    bundle_id: str
    roles: tuple[str, ...]
    version: str = ""
    damage: str = ""


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Where one model stands: what is active, and since when and why its update is in this state.
    `update` is the version that it is about, "" when nothing is being done.
    """

    model: str
    state: str
    since: str
    reason: str
    update: str
    active: str
    version: str
    slots: tuple[SlotStatus, ...]
    bad: tuple[BadRelease, ...]


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the history."""

    at: str
    model: str
    state: str
    event: str
    bundle: str = ""
    version: str = ""
    reason: str = ""


class AgentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, and what kind of device this is. `lost_lines` counts journal lines that the disk
    damaged; `maintenance` says why no update may begin to run now, "" when one may. On a disk that
    `is_read_only` what was committed is served and nothing else happens.
    """

    home: str
    device: str
    fleet_url: str
    is_running: bool
    models: tuple[ModelStatus, ...]
    history: tuple[Step, ...]
    lost_lines: int
    facts: Facts
    trust: Literal["repositories", "keys"]
    maintenance: str = ""
    expiries: tuple[Expiry, ...] = ()
    is_read_only: bool = False


def read_status(home: Home, slots: Slots, *, wall_s: float = 0.0) -> AgentStatus:
    """The state of the agent whose home this is at this time; slots are verified now.

    Raises:
        InputError: the home is not an enrolled agent's.
    """
    identity, trust = home.identity(), home.trust()
    contents = read_log(home.journal_path)
    lines = lines_of(contents)
    progresses = newest(lines)
    names = sorted({*progresses, *slots.models()})
    return AgentStatus(
        home=str(home.root),
        device=identity.device,
        fleet_url=identity.fleet_url,
        is_running=home.is_locked,
        models=tuple(
            _model_status(progresses.get(name, Progress(model=name)), slots) for name in names
        ),
        history=tuple(_step(line) for line in lines[-HISTORY:]),
        lost_lines=contents.damaged_lines,
        facts=read_facts(home.root),
        trust="keys" if isinstance(trust, PinnedKeys) else "repositories",
        maintenance=home.settings().maintenance.why_closed(wall_s),
        expiries=read_expiries(trust, wall_s=wall_s),
        is_read_only=home.is_read_only,
    )


def _model_status(progress: Progress, slots: Slots) -> ModelStatus:
    active = slots.current(progress.model)
    roles = {
        "current": active,
        "good": progress.good,
        "previous": progress.previous,
        "factory": progress.factory,
    }
    found = [
        _slot(progress.model, slots, bundle, roles) for bundle in slots.bundles(progress.model)
    ]
    still_there = tuple(slot for slot in found if slot)
    release = progress.release if progress.state is not State.IDLE else None
    return ModelStatus(
        model=progress.model,
        state=progress.state,
        since=iso(progress.at_s) if progress.at_s else "",
        reason=": ".join(part for part in (progress.event, progress.reason) if part),
        update=(release.version or release.bundle_id[:12]) if release else "",
        active=active,
        version=next((slot.version for slot in still_there if slot.bundle_id == active), ""),
        slots=still_there,
        bad=progress.bad,
    )


def _slot(model: str, slots: Slots, bundle_id: str, roles: Mapping[str, str]) -> SlotStatus | None:
    """What a slot is; None when the agent cleared it away while it was looked at."""
    version = damage = ""
    try:
        version = slots.verified(model, bundle_id).manifest.version
    except EdgewrightError as error:
        if not slots.folder(model, bundle_id).is_dir():
            return None
        damage = str(error)
    return SlotStatus(
        bundle_id=bundle_id,
        roles=tuple(role for role, bundle in roles.items() if bundle == bundle_id),
        version=version,
        damage=damage,
    )


def _step(line: Line) -> Step:
    progress = line.progress
    release = progress.release
    return Step(
        at=iso(progress.at_s),
        model=progress.model,
        state=progress.state,
        event=progress.event,
        bundle=release.bundle_id if release else "",
        version=release.version if release else "",
        reason=progress.reason,
    )
