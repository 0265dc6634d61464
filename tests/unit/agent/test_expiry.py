"""What a device says of metadata that ends: a warning where people renew by hand, else the date."""

import asyncio
from pathlib import Path

import pytest

from edgewright.device.agent import PinnedKeys, TwoRepositories
from edgewright.device.agent.expiry import read_expiries, warnings_of
from edgewright.device.agent.metadata import MetadataStore
from edgewright.testing import MemorySigner
from edgewright.testing.tuf_repository import TufRepository
from edgewright.trust import TrustedKeys

DAY_S = 86_400
REPOSITORY = TufRepository()
NOW_S = REPOSITORY.now.timestamp()  # everything expires in 30 days


@pytest.fixture
def trust(tmp_path: Path) -> TwoRepositories:
    trust = TwoRepositories(tmp_path)
    trust.plant(REPOSITORY.file("1.root.json"), None)
    return trust


def refresh(folder: Path) -> None:
    asyncio.run(MetadataStore(folder / "image", REPOSITORY).refresh(wall_s=NOW_S))


def warned(trust: TwoRepositories, *, days: float) -> dict[str, str]:
    found = read_expiries(trust, wall_s=NOW_S + days * DAY_S)
    return {expiry.role: expiry.warning for expiry in found}


def test_before_the_first_update_only_the_root_is_known(trust: TwoRepositories) -> None:
    assert set(warned(trust, days=0)) == {"root"}


def test_keepers_roles_are_warned_of_in_time_and_others_never(
    trust: TwoRepositories, tmp_path: Path
) -> None:
    refresh(tmp_path)
    soon = warned(trust, days=0)
    assert "expires in 30 days" in soon["root"]
    assert (soon["targets"], soon["snapshot"], soon["timestamp"]) == ("", "", "")
    assert "expires in 20 days" in warned(trust, days=10)["targets"]
    late = warned(trust, days=35)
    assert "expired 5 days ago" in late["targets"]
    assert late["timestamp"] == ""


def test_a_warning_names_whose_role_it_is(trust: TwoRepositories) -> None:
    (line,) = warnings_of(read_expiries(trust, wall_s=NOW_S))
    assert line.startswith("image repository's root: expires in 30 days")


@pytest.mark.parametrize(("damaged", "other"), [("image", "director"), ("director", "image")])
def test_a_damaged_repository_says_so_and_hides_no_other(
    tmp_path: Path, damaged: str, other: str
) -> None:
    trust = TwoRepositories(tmp_path)
    root = REPOSITORY.file("1.root.json")
    trust.plant(root, root)
    (tmp_path / damaged / "root.json").write_bytes(b"{")
    found = {e.repository: e for e in read_expiries(trust, wall_s=NOW_S)}
    assert found[damaged].expires == ""
    assert "cannot be read" in found[damaged].warning
    assert "expires in 30 days" in found[other].warning


def test_pinned_keys_never_expire() -> None:
    keys = TrustedKeys(threshold=1, keys=(MemorySigner.from_seed(1).public,))
    assert read_expiries(PinnedKeys(keys), wall_s=NOW_S) == ()
