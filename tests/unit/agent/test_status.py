from pathlib import Path

import pytest

from edgewright import _fs
from edgewright.bundle import Bundle
from edgewright.device.agent import Home, Identity, PinnedKeys, Progress, Slots
from edgewright.device.agent.journal import Journal
from edgewright.device.agent.status import read_status
from edgewright.stores import Log
from edgewright.testing import MemorySigner
from edgewright.testing.bundles import MODEL, build_tiny
from edgewright.trust import TrustedKeys

KEYS = TrustedKeys(threshold=1, keys=(MemorySigner.from_seed(1).public,))
TRUST = PinnedKeys(KEYS)


class Clearing(Slots):
    """The agent clears a slot away while somebody looks at it."""

    gone = ""

    def verified(self, model: str, bundle_id: str) -> Bundle:
        if bundle_id == self.gone:
            _fs.remove_tree(self.folder(model, bundle_id))
        return super().verified(model, bundle_id)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.save_enrolment(Identity(device="d1"), KEYS)
    return made


def staged(home: Home, tmp_path: Path) -> tuple[Clearing, str, str]:
    slots, bundles = Clearing(home.slots, TRUST, reserve_mb=0), []
    for version in ("1", "2"):
        bundle = build_tiny(tmp_path / "b.ewb", version=version)
        slots.stage(tmp_path / "b.ewb", model=MODEL, bundle_id=bundle)
        bundles.append(bundle)
    slots.activate(MODEL, bundles[1])
    progress = Progress(model=MODEL, good=bundles[1], previous=bundles[0])
    Journal(Log(home.journal_path)).write(progress)
    return slots, bundles[0], bundles[1]


def test_slots_have_their_roles_and_versions(home: Home, tmp_path: Path) -> None:
    slots, first, second = staged(home, tmp_path)
    (model,) = read_status(home, slots).models
    found = {slot.bundle_id: (slot.version, slot.roles) for slot in model.slots}
    assert found == {first: ("1", ("previous",)), second: ("2", ("current", "good"))}
    assert (model.active, model.version) == (second, "2")


def test_a_slot_that_is_cleared_away_meanwhile_is_not_there(home: Home, tmp_path: Path) -> None:
    slots, first, second = staged(home, tmp_path)
    slots.gone = first
    (model,) = read_status(home, slots).models
    assert [slot.bundle_id for slot in model.slots] == [second]


def test_a_damaged_slot_says_so(home: Home, tmp_path: Path) -> None:
    slots, first, _ = staged(home, tmp_path)
    (slots.folder(MODEL, first) / "manifest.json").write_bytes(b"{}")
    (model,) = read_status(home, slots).models
    assert next(slot for slot in model.slots if slot.bundle_id == first).damage
