from pathlib import Path

import pytest

from edgewright.device.agent import PinnedKeys, Slots
from edgewright.errors import InputError, ResourceError, TrustError
from edgewright.testing import MemorySigner
from edgewright.testing.bundles import MODEL, build_tiny
from edgewright.trust import TrustedKeys

TRUST = PinnedKeys(TrustedKeys(threshold=1, keys=(MemorySigner.from_seed(1).public,)))


@pytest.fixture
def slots(tmp_path: Path) -> Slots:
    return Slots(tmp_path / "slots", TRUST, reserve_mb=0)


@pytest.fixture
def staged(tmp_path: Path, slots: Slots) -> str:
    path = tmp_path / "a.ewb"
    bundle = build_tiny(path)
    slots.stage(path, model=MODEL, bundle_id=bundle)
    return bundle


def blob(slots: Slots, bundle: str) -> Path:
    return next((slots.folder(MODEL, bundle) / "blobs").iterdir())


def test_a_staged_slot_verifies_and_is_not_active_yet(slots: Slots, staged: str) -> None:
    assert slots.verified(MODEL, staged).id == staged
    assert (slots.current(MODEL), slots.bundles(MODEL)) == ("", [staged])


def test_activating_twice_is_fine(slots: Slots, staged: str) -> None:
    slots.activate(MODEL, staged)
    slots.activate(MODEL, staged)
    assert slots.current(MODEL) == staged
    slots.deactivate(MODEL)
    slots.deactivate(MODEL)
    assert slots.current(MODEL) == ""


def test_a_changed_byte_is_told(slots: Slots, staged: str) -> None:
    path = blob(slots, staged)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(TrustError):
        slots.verified(MODEL, staged)
    assert "not what the manifest says" in slots.why_unusable(MODEL, staged)


@pytest.mark.parametrize("name", ["manifest.json", "blobs"])
def test_a_missing_part_is_told(slots: Slots, staged: str, name: str) -> None:
    target = slots.folder(MODEL, staged) / name
    for path in target.iterdir() if target.is_dir() else [target]:
        path.unlink()
    with pytest.raises(TrustError):
        slots.verified(MODEL, staged)


def test_a_slot_under_a_wrong_name_is_told(slots: Slots, staged: str) -> None:
    slots.folder(MODEL, staged).rename(slots.folder(MODEL, "f" * 64))
    with pytest.raises(TrustError, match="holds bundle"):
        slots.verified(MODEL, "f" * 64)


def test_a_signature_that_is_trusted_no_more_is_told(
    slots: Slots, staged: str, tmp_path: Path
) -> None:
    other = TrustedKeys(threshold=1, keys=(MemorySigner.from_seed(2).public,))
    with pytest.raises(TrustError, match="trusted key"):
        Slots(tmp_path / "slots", PinnedKeys(other)).verified(MODEL, staged)


def test_an_absent_slot_is_an_input_error(slots: Slots) -> None:
    with pytest.raises(InputError, match="no slot"):
        slots.verified(MODEL, "f" * 64)


def test_staging_again_repairs_a_damaged_slot(slots: Slots, staged: str, tmp_path: Path) -> None:
    blob(slots, staged).write_bytes(b"?")
    slots.stage(tmp_path / "a.ewb", model=MODEL, bundle_id=staged)
    assert slots.why_unusable(MODEL, staged) == ""


def test_staging_another_bundle_than_promised_leaves_nothing(slots: Slots, tmp_path: Path) -> None:
    build_tiny(tmp_path / "a.ewb")
    with pytest.raises(TrustError, match="expected ffff"):
        slots.stage(tmp_path / "a.ewb", model=MODEL, bundle_id="f" * 64)
    assert slots.bundles(MODEL) == []


def test_the_budget_and_the_reserve_of_the_disk_are_kept(tmp_path: Path) -> None:
    build_tiny(tmp_path / "a.ewb", filler_bytes=300_000)
    for limits, message in (({"budget_mb": 0.1}, "budget"), ({"reserve_mb": 1e9}, "reserved")):
        slots = Slots(tmp_path / "slots", TRUST, **limits)
        with pytest.raises(ResourceError, match=message):
            slots.stage(tmp_path / "a.ewb", model=MODEL, bundle_id="f" * 64)


def test_collecting_keeps_what_is_needed_and_what_is_active(slots: Slots, staged: str) -> None:
    folder = slots.folder(MODEL, staged).parent
    for name in ("a" * 64, "b" * 64, ".tmp-x"):
        (folder / name / "blobs").mkdir(parents=True)
    slots.activate(MODEL, staged)
    assert slots.collect(MODEL, {"a" * 64}) == [".tmp-x", "b" * 64]
    assert slots.bundles(MODEL) == sorted(["a" * 64, staged])


def test_a_model_without_slots_leaves_no_folder(slots: Slots, staged: str) -> None:
    slots.collect(MODEL, ())
    assert slots.models() == []
    assert slots.collect("unknown", ()) == []
