from datetime import UTC, datetime, timedelta

import pytest

from edgewright.errors import InputError, TrustError
from edgewright.testing import MemorySigner
from edgewright.trust import TrustedKeys
from edgewright.trust.repository import ROLES, Repository

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ALICE, BOB, CAROL, ONLINE, NEW = (MemorySigner.from_seed(seed) for seed in range(1, 6))
KEYS = {
    "root": TrustedKeys(threshold=2, keys=(ALICE.public, BOB.public, CAROL.public)),
    "targets": TrustedKeys(threshold=2, keys=(ALICE.public, BOB.public)),
    "snapshot": TrustedKeys(threshold=1, keys=(ONLINE.public,)),
    "timestamp": TrustedKeys(threshold=1, keys=(ONLINE.public,)),
}


def published(*, now: datetime = NOW) -> Repository:
    founded = Repository.founded(KEYS, now=now)
    return signed(founded, ALICE, BOB, ONLINE).published_at(now)


def signed(repository: Repository, *signers: MemorySigner) -> Repository:
    for signer in signers:
        repository = repository.signed_by(signer)
    return repository


def missing(repository: Repository) -> dict[str, int]:
    return {lack.role: lack.count for lack in repository.lacks()}


def test_a_new_repository_waits_for_everybody() -> None:
    repository = Repository.founded(KEYS, now=NOW)
    assert missing(repository) == {"root": 2, "targets": 2, "snapshot": 1, "timestamp": 1}
    repository = signed(repository, ALICE, ALICE)
    assert missing(repository) == {"root": 1, "targets": 1, "snapshot": 1, "timestamp": 1}
    assert missing(signed(repository, BOB, ONLINE)) == {}


def test_a_role_without_keys_is_refused() -> None:
    with pytest.raises(InputError, match="no keys for root, snapshot, timestamp"):
        Repository.founded({"targets": KEYS["targets"]}, now=NOW)


def test_nothing_half_signed_is_published() -> None:
    repository = signed(Repository.founded(KEYS, now=NOW), ALICE, ONLINE)
    with pytest.raises(InputError, match=r"missing signatures: root \(1\), targets \(1\)"):
        repository.published_at(NOW)
    with pytest.raises(InputError, match="missing signatures: none"):
        published().published_at(NOW)


def test_a_target_moves_all_that_name_it_one_version_up() -> None:
    repository = published().with_target("a.ewb", sha256="0" * 64, length_bytes=5, now=NOW)
    repository = repository.with_target("b.ewb", sha256="1" * 64, length_bytes=6, now=NOW)
    assert missing(repository) == {"targets": 2, "snapshot": 1, "timestamp": 1}
    repository = signed(repository, BOB, ALICE, ONLINE).published_at(NOW)
    assert repository.versions() == {"root": 1, "targets": 2, "snapshot": 2, "timestamp": 2}
    assert repository.target_names() == ("a.ewb", "b.ewb")
    assert repository.staged == {}


def test_a_change_takes_the_signatures_of_what_it_changes_away() -> None:
    repository = published().with_target("a.ewb", sha256="0" * 64, length_bytes=5, now=NOW)
    repository = signed(repository, ALICE, ONLINE)
    repository = repository.with_target("b.ewb", sha256="1" * 64, length_bytes=6, now=NOW)
    assert missing(repository) == {"targets": 2, "snapshot": 1, "timestamp": 1}


def test_a_target_name_that_leaves_its_folder_is_refused() -> None:
    with pytest.raises(TrustError, match="relative path"):
        published().with_target("../a", sha256="0" * 64, length_bytes=1, now=NOW)


def test_a_key_that_counts_for_nothing_staged_is_refused() -> None:
    repository = published().renewed(["timestamp"], now=NOW)
    assert list(repository.staged) == ["timestamp"]
    with pytest.raises(InputError, match="has nothing to sign"):
        repository.signed_by(ALICE)


def test_a_lost_key_is_replaced_by_those_who_are_left() -> None:
    """Bob lost his key: Alice and Carol can still sign root."""
    bob = BOB.public.key_id
    repository = published()
    for role in ("root", "targets"):
        repository = repository.with_keys(role, add=[NEW.public], remove=[bob[:12]], now=NOW)
    assert missing(repository) == {"root": 2, "targets": 2, "snapshot": 1, "timestamp": 1}
    repository = signed(repository, ALICE, NEW, ONLINE)
    assert missing(repository) == {"root": 1}, "the old root's keys: Alice alone is not two"
    repository = signed(repository, CAROL).published_at(NOW)
    assert repository.versions() == {"root": 2, "targets": 2, "snapshot": 2, "timestamp": 2}


def test_a_stolen_key_is_taken_out_of_every_role() -> None:
    repository = published()
    repository = repository.with_keys("targets", add=[CAROL.public], now=NOW)
    repository = repository.without_key(BOB.public.key_id[:10], now=NOW)
    repository = signed(repository, ALICE, CAROL, ONLINE).published_at(NOW)
    for state in repository.states(NOW):
        assert BOB.public.key_id not in state.key_ids


def test_a_revocation_that_nobody_could_sign_after_is_refused() -> None:
    with pytest.raises(InputError, match=r"targets would have 1 key\(s\) and a threshold of 2"):
        published().without_key(BOB.public.key_id, now=NOW)
    with pytest.raises(InputError, match="no role has key ffff"):
        published().without_key("ffff", now=NOW)
    with pytest.raises(InputError, match="no role has key"):
        published().without_key("", now=NOW)


def test_an_online_key_is_rotated_by_root_alone() -> None:
    repository = published().with_keys(
        "timestamp", add=[NEW.public], remove=[ONLINE.public.key_id], now=NOW
    )
    assert missing(repository) == {"root": 2, "timestamp": 1}
    repository = signed(repository, ALICE, CAROL, NEW).published_at(NOW)
    assert repository.versions() == {"root": 2, "targets": 1, "snapshot": 1, "timestamp": 2}


@pytest.mark.parametrize("threshold", [3, 99])
def test_a_threshold_above_the_number_of_keys_is_refused(threshold: int) -> None:
    with pytest.raises(InputError, match=f"a threshold of {threshold}"):
        published().with_keys("targets", threshold=threshold, now=NOW)


def test_an_unknown_role_or_key_is_refused() -> None:
    with pytest.raises(InputError, match="no such role 'mirror'"):
        published().renewed(["mirror"], now=NOW)
    with pytest.raises(InputError, match="0 keys whose id begins with 'ffff'"):
        published().with_keys("root", remove=["ffff"], now=NOW)


def test_what_a_device_would_refuse_is_not_published() -> None:
    """Renewing the timestamp does not help when targets have expired."""
    later = NOW + timedelta(days=100)
    repository = signed(published().renewed(["timestamp"], now=later), ONLINE)
    with pytest.raises(TrustError, match="snapshot v1: expected an expiry after"):
        repository.published_at(later)
    repository = published().renewed(["targets"], now=later)
    repository = signed(repository, ALICE, BOB, ONLINE).published_at(later)
    assert repository.versions()["targets"] == 2


@pytest.mark.parametrize(
    ("days", "expiring"),
    [
        (0, set()),
        (6, {"timestamp"}),
        (23, {"timestamp", "snapshot"}),
        (70, {"timestamp", "snapshot", "targets"}),
        (300, set(ROLES)),
    ],
)
def test_expiry_is_warned_of_in_the_last_quarter(days: int, expiring: set[str]) -> None:
    states = published().states(NOW + timedelta(days=days))
    assert {state.role for state in states if state.is_expiring} == expiring


def test_an_older_repository_is_lifted_above_what_devices_saw() -> None:
    seen = published().with_target("lost.ewb", sha256="0" * 64, length_bytes=5, now=NOW)
    seen = signed(seen, ALICE, BOB, ONLINE).published_at(NOW)
    lifted = published().renewed(("targets",), now=NOW, above=40)
    lifted = signed(lifted, ALICE, BOB, ONLINE).published_at(NOW)
    versions = lifted.versions()
    assert versions == {"root": 1, "targets": 41, "snapshot": 41, "timestamp": 41}
    assert all(versions[role] > seen.versions()[role] for role in versions if role != "root")
    with pytest.raises(InputError, match="one after the other"):
        lifted.renewed(("root", "targets"), now=NOW, above=50)
    again = signed(lifted.renewed(("targets",), now=NOW, above=3), ALICE, BOB, ONLINE)
    assert again.published_at(NOW).versions()["targets"] == 42
