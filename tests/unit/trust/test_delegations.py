"""Projects and hashed bins on the keeper's side."""

import functools
from datetime import UTC, datetime, timedelta

import pytest

from edgewright.errors import InputError, TrustError
from edgewright.testing import MemorySigner
from edgewright.trust import TrustedKeys
from edgewright.trust.metadata import TrustedSet
from edgewright.trust.repository import Repository
from edgewright.trust.target import Target

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ALICE, ONLINE, HANA, HUGO, SVEN, NEW = (MemorySigner.from_seed(seed) for seed in range(1, 7))
ONE = TrustedKeys(threshold=1, keys=(ALICE.public,))
KEYS = {
    "root": ONE,
    "targets": ONE,
    "snapshot": TrustedKeys(threshold=1, keys=(ONLINE.public,)),
    "timestamp": TrustedKeys(threshold=1, keys=(ONLINE.public,)),
}
HAR = TrustedKeys(threshold=2, keys=(HANA.public, HUGO.public))
SVG = TrustedKeys(threshold=1, keys=(SVEN.public,))
EVERYBODY = (ALICE, ONLINE, HANA, HUGO, SVEN)


@functools.cache
def published() -> Repository:
    repository = released(Repository.founded(KEYS, now=NOW), "har/1.ewb")
    return signed(repository, ALICE, ONLINE).published_at(NOW)


@functools.cache
def with_projects() -> Repository:
    repository = published().with_project("har", HAR, paths=("har/*",), now=NOW)
    repository = repository.with_project("svg", SVG, paths=("svg/*", "logos/*"), now=NOW)
    return signed(repository, *EVERYBODY).published_at(NOW)


def released(repository: Repository, name: str) -> Repository:
    return repository.with_target(name, sha256="0" * 64, length_bytes=5, now=NOW)


def signed(repository: Repository, *signers: MemorySigner) -> Repository:
    for signer in signers:
        repository = repository.signed_by(signer)
    return repository


def missing(repository: Repository) -> dict[str, int]:
    return {lack.role: lack.count for lack in repository.lacks()}


def listed_by(repository: Repository) -> dict[str, tuple[str, ...]]:
    """What a device finds in each role."""
    trusted = repository.check(NOW)
    return {path[-1]: tuple(sorted(role.targets)) for path, role in trusted.targets.items()}


def test_a_project_takes_over_what_was_released_in_its_paths() -> None:
    repository = published().with_project("har", HAR, paths=("har/*",), now=NOW)
    assert missing(repository) == {"targets": 1, "har": 2, "snapshot": 1, "timestamp": 1}
    repository = signed(repository, ALICE, HANA, HUGO, ONLINE).published_at(NOW)
    assert listed_by(repository) == {"targets": (), "har": ("har/1.ewb",)}
    assert repository.versions() == {
        "root": 1, "targets": 2, "har": 1, "snapshot": 2, "timestamp": 2
    }  # fmt: skip


def test_a_projects_release_is_signed_by_its_keepers_alone() -> None:
    repository = released(with_projects(), "har/2.ewb")
    assert missing(repository) == {"har": 2, "snapshot": 1, "timestamp": 1}
    with pytest.raises(InputError, match="has nothing to sign here"):
        repository.signed_by(SVEN)
    repository = signed(repository, HANA, HUGO, ONLINE).published_at(NOW)
    assert listed_by(repository)["har"] == ("har/1.ewb", "har/2.ewb")
    assert repository.versions()["targets"] == 2, "untouched since the two projects came"


def test_each_name_is_spoken_for_by_one_role() -> None:
    repository = with_projects()
    for name in ("svg/1.ewb", "logos/1.ewb", "other/1.ewb", "har/deep/1.ewb"):
        repository = released(repository, name)
    repository = signed(repository, ALICE, SVEN, ONLINE).published_at(NOW)
    assert listed_by(repository) == {
        "targets": ("har/deep/1.ewb", "other/1.ewb"),
        "har": ("har/1.ewb",),
        "svg": ("logos/1.ewb", "svg/1.ewb"),
    }
    trusted = repository.check(NOW)
    assert isinstance(trusted.find("logos/1.ewb"), Target)


def test_a_projects_release_can_be_taken_back() -> None:
    repository = with_projects().without_target("har/1.ewb", now=NOW)
    repository = signed(repository, HANA, HUGO, ONLINE).published_at(NOW)
    assert listed_by(repository)["har"] == ()
    with pytest.raises(InputError, match=r"no target 'har/1\.ewb'"):
        repository.without_target("har/1.ewb", now=NOW)


def test_a_projects_keys_are_changed_by_targets_and_signed_by_the_new_ones() -> None:
    hana = HANA.public.key_id
    repository = with_projects().with_keys("har", add=[NEW.public], remove=[hana[:12]], now=NOW)
    assert missing(repository) == {"targets": 1, "har": 2, "snapshot": 1, "timestamp": 1}
    with pytest.raises(InputError, match="has nothing to sign here"):
        repository.signed_by(HANA)
    repository = signed(repository, ALICE, HUGO, NEW, ONLINE).published_at(NOW)
    (har,) = (state for state in repository.states(NOW) if state.role == "har")
    assert set(har.key_ids) == {HUGO.public.key_id, NEW.public.key_id}
    assert (har.paths, har.targets) == (("har/*",), 1)


def test_a_stolen_key_is_taken_out_of_projects_too() -> None:
    repository = with_projects().with_keys("svg", add=[HUGO.public, NEW.public], now=NOW)
    repository = repository.with_keys("har", threshold=1, now=NOW)
    repository = repository.without_key(HUGO.public.key_id, now=NOW)
    repository = signed(repository, ALICE, HANA, SVEN, ONLINE).published_at(NOW)
    assert not any(HUGO.public.key_id in state.key_ids for state in repository.states(NOW))
    with pytest.raises(InputError, match=r"har would have 0 key\(s\) and a threshold of 1"):
        repository.without_key(HANA.public.key_id, now=NOW)


def test_a_project_that_ends_leaves_its_releases_to_targets() -> None:
    repository = with_projects().without_project("har", now=NOW)
    assert missing(repository) == {"targets": 1, "snapshot": 1, "timestamp": 1}
    repository = signed(repository, ALICE, ONLINE).published_at(NOW)
    assert listed_by(repository) == {"targets": ("har/1.ewb",), "svg": ()}
    again = repository.with_project("har", SVG, paths=("har/*",), now=NOW)
    again = signed(again, ALICE, SVEN, ONLINE).published_at(NOW)
    assert again.versions()["har"] == 2, "a version never falls"
    assert listed_by(again)["har"] == ("har/1.ewb",)


def test_a_project_that_was_only_staged_leaves_nothing() -> None:
    repository = published().with_project("har", HAR, paths=("har/*",), now=NOW)
    repository = repository.without_project("har", now=NOW)
    repository = signed(repository, ALICE, ONLINE).published_at(NOW)
    assert set(repository.versions()) == {"root", "targets", "snapshot", "timestamp"}


@pytest.mark.parametrize(
    ("name", "paths", "words"),
    [
        ("root", ("x/*",), "there is a role root already"),
        ("har", ("x/*",), "there is a role har already"),
        ("Big", ("x/*",), "expected lower-case letters"),
        ("../x", ("x/*",), "expected lower-case letters"),
        ("x-bin-1", ("x/*",), "without '-bin'"),
        ("", ("x/*",), "expected lower-case letters"),
        ("x", ("svg/*",), r"project svg speaks for svg/\* already"),
    ],
)
def test_a_project_that_would_be_ambiguous_is_refused(
    name: str, paths: tuple[str, ...], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        with_projects().with_project(name, SVG, paths=paths, now=NOW)


def test_a_path_that_leaves_its_folder_is_refused() -> None:
    with pytest.raises(TrustError, match="expected a relative path"):
        published().with_project("x", SVG, paths=("../*",), now=NOW)


def test_a_project_that_nobody_knows_is_refused() -> None:
    for change in (
        lambda r: r.without_project("x", now=NOW),
        lambda r: r.with_keys("x", add=[NEW.public], now=NOW),
        lambda r: r.renewed(["x"], now=NOW),
        lambda r: r.with_bins("x", 4, now=NOW),
    ):
        with pytest.raises(InputError, match="no such role 'x'"):
            change(with_projects())


# Bins


@functools.cache
def in_bins(count: int = 4) -> Repository:
    repository = with_projects()
    for number in range(2, 20):
        repository = released(repository, f"har/{number}.ewb")
    repository = repository.with_bins("har", count, now=NOW)
    return signed(repository, HANA, HUGO, ONLINE).published_at(NOW)


def test_a_split_role_says_the_same_in_several_files() -> None:
    repository = in_bins()
    listed = listed_by(repository)
    assert listed["har"] == ()
    bins = [names for role, names in listed.items() if role.startswith("har-bin-")]
    assert len(bins) == 4
    assert sorted(sum(bins, ())) == sorted(f"har/{number}.ewb" for number in range(1, 20))
    trusted = repository.check(NOW)
    for number in range(1, 20):
        assert isinstance(trusted.find(f"har/{number}.ewb"), Target)


def test_a_release_into_a_split_role_changes_one_bin() -> None:
    before = in_bins()
    repository = released(before, "har/new.ewb")
    assert missing(repository) == {"har-bin-*": 2, "snapshot": 1, "timestamp": 1}
    repository = signed(repository, HANA, HUGO, ONLINE).published_at(NOW)
    old, new = before.versions(), repository.versions()
    assert [role for role in old if old[role] != new[role] and "bin" in role] == [
        role for role, names in listed_by(repository).items() if "har/new.ewb" in names
    ]
    assert old["har"] == new["har"]


def test_bins_are_one_row_for_people_and_are_renewed_with_their_role() -> None:
    later = NOW + timedelta(days=80)
    states = {state.role: state for state in in_bins().states(later)}
    assert list(states) == ["root", "targets", "har", "svg", "har-bin-*", "snapshot", "timestamp"]
    assert states["har-bin-*"].targets == 19
    assert states["har-bin-*"].is_expiring
    repository = in_bins().renewed(["har", "targets", "svg"], now=later)
    repository = signed(repository, ALICE, HANA, HUGO, SVEN, ONLINE).published_at(later)
    assert not any(state.is_expiring for state in repository.states(later) if state.role != "root")


def test_bins_follow_the_keys_of_their_role() -> None:
    repository = in_bins().with_keys("har", add=[NEW.public], remove=[HUGO.public.key_id], now=NOW)
    assert missing(repository) == {
        "targets": 1, "har": 2, "har-bin-*": 2, "snapshot": 1, "timestamp": 1
    }  # fmt: skip
    repository = signed(repository, ALICE, HANA, NEW, ONLINE).published_at(NOW)
    for state in repository.states(NOW):
        assert HUGO.public.key_id not in state.key_ids


def test_the_top_level_targets_can_be_split_and_take_no_project_then() -> None:
    repository = published().with_bins("targets", 2, now=NOW)
    repository = signed(repository, ALICE, ONLINE).published_at(NOW)
    repository = released(repository, "svg/1.ewb")
    repository = signed(repository, ALICE, ONLINE).published_at(NOW)
    assert repository.target_names() == ("har/1.ewb", "svg/1.ewb")
    with pytest.raises(InputError, match="split into bins, which leaves no room for projects"):
        repository.with_project("har", HAR, paths=("har/*",), now=NOW)
    rotated = repository.with_keys("targets", add=[NEW.public], now=NOW)
    rotated = rotated.with_keys("targets", remove=[ALICE.public.key_id], now=NOW)
    rotated = signed(rotated, ALICE, NEW, ONLINE).published_at(NOW)
    assert rotated.target_names() == repository.target_names()


@pytest.mark.parametrize(
    ("role", "count", "words"),
    [
        ("har", 3, "3 bins: expected one of 2, 4, 8"),
        ("har", 1, "1 bins: expected one of 2, 4, 8"),
        ("targets", 4, "targets delegates already"),
    ],
)
def test_what_cannot_be_split_is_refused(role: str, count: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        with_projects().with_bins(role, count, now=NOW)
    with pytest.raises(InputError, match="har delegates already"):
        in_bins().with_bins("har", 8, now=NOW)


def test_a_device_follows_through_all_of_it() -> None:
    """From the first root, without anything else, to a name in a bin of a project."""
    repository = in_bins()
    trusted = TrustedSet.from_root(repository.published["root"], now=NOW)
    trusted = trusted.with_timestamp(repository.published["timestamp"])
    trusted = trusted.with_snapshot(repository.published["snapshot"])
    asked = []
    while not isinstance(found := trusted.find("har/7.ewb"), Target):
        asked.append(found.role)
        trusted = trusted.with_targets(repository.published[found.role], found.path)
    assert asked[:2] == ["targets", "har"]
    assert len(asked) == 3, "one of the bins, not all"
    assert found.name == "har/7.ewb"
