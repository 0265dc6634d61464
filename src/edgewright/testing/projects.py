"""Two projects full of things, and what tells whether an answer to one leaks of the other."""

import hashlib
from pathlib import Path

from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.enrolment import Wish
from edgewright.fleet.notify.notifiers import NotifierOrder
from edgewright.fleet.office import Office
from edgewright.fleet.rollout_plan import RolloutOrder
from edgewright.fleet.telemetry import hear, keep
from edgewright.telemetry import HealthRecord, UpdateRecord
from edgewright.testing.fleet import release_file

MARK = f"t{hashlib.sha256(b'the other project').hexdigest()[:10]}"
"""In every name that the second project has, and that project's own name. Computed, because
Hypothesis makes requests of the words that it finds in the code.
"""

_IDS = {
    "{name}": f"{MARK}-1",
    "{reference}": f"tiny-{MARK}@1",
    "{number}": "2",
    "{alias}": f"{MARK}-alias",
    "{model}": f"tiny-{MARK}",
}
_ASKED = (
    *_IDS.values(),
    f"{MARK}-person",
    f"{MARK}-waiting",
    f"{MARK}-notifier",
    f"project {MARK!r}",
)


def two_projects(office: Office, folder: Path) -> Office:
    """Fill the project of `office` and a second one, which is returned."""
    office.projects.add(MARK, by="root")
    other = office.within(MARK)
    _furnish(office, "ours", folder)
    _furnish(other, MARK, folder)
    with office.state.write() as connection:
        hear(connection)
    return other


def _furnish(office: Office, label: str, folder: Path) -> None:
    device, model = f"{label}-1", f"tiny-{label}"
    release_file(folder / f"{label}.ewb", version="1", model=model)
    office.registry.publish(folder / f"{label}.ewb", by=f"{label}-maker")
    token = office.devices.create_token(TokenOrder(uses=2), by=f"{label}-admin").token
    office.devices.enrol(token, device, {"site": label})
    office.rollouts.start(RolloutOrder(release=f"{model}@1"), by=f"{label}-boss")
    office.aliases.propose(f"{model}@1", f"{label}-alias", by=f"{label}-maker")
    waiting = office.devices.create_token(TokenOrder(needs_approval=True), by="root").token
    office.enrolments.enrol(Wish(device=f"{label}-waiting", token=waiting))
    office.users.add(f"{label}-person", "viewer", by="root")
    told = NotifierOrder(name=f"{label}-notifier", url=f"https://8.8.8.8/{label}")
    office.notifiers.add(told, by="root")
    records = (
        HealthRecord(device=device, sequence=1, at_s=0, memory_free_mb=1, disk_free_mb=1),
        UpdateRecord(
            device=device, sequence=2, at_s=0, bundle="b" * 64, state="commit", model=model
        ),
    )
    keep(office.state, device, 1, records, now_s=office.clock.wall_s())


def their_path(path: str) -> str:
    """A route's path, filled with names that the second project has."""
    names = dict(_IDS)
    if path.endswith("/members/{name}"):
        names["{name}"] = "new-person"
    elif "/members/" in path:
        names["{name}"] = f"{MARK}-person"
    elif "/notifiers/" in path:
        names["{name}"] = f"{MARK}-notifier"
    elif "/enrolments/" in path:
        names["{name}"] = f"{MARK}-waiting"
    for name, value in names.items():
        path = path.replace(name, value)
    return path


def leaks(text: str, *, is_refused: bool) -> bool:
    """Whether an answer tells of the second project; a refusal may repeat what was asked for, and
    whoever asked for a name knows that name and no more.
    """
    for name in sorted(_ASKED, key=len, reverse=True) if is_refused else ():
        text = text.replace(name, "")
    return MARK in text
