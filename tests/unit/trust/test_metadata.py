"""The update order, one attack class after the other, on an honest repository made dishonest."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.errors import TrustError
from edgewright.testing.tuf_repository import TufRepository
from edgewright.trust.metadata import TOP, MetadataLimits, TrustedSet, Wanted
from edgewright.trust.target import Target

ALL = ("root", "targets", "snapshot", "timestamp")


def rooted(repository: TufRepository, *, limits: MetadataLimits | None = None) -> TrustedSet:
    return TrustedSet.from_root(repository.file("1.root.json"), now=repository.now, limits=limits)


def refreshed(repository: TufRepository, known: TrustedSet | None = None) -> TrustedSet:
    """What the shell does, without a shell; `known` is what was kept from an earlier time."""
    trusted = rooted(repository)
    while trusted.wanted_root.file in repository.files:
        trusted = trusted.with_root(repository.file(trusted.wanted_root.file))
    if known:
        kept = {"known_timestamp": known.timestamp, "known_snapshot": known.snapshot}
        for field, value in kept.items():
            trusted = _replaced(trusted, field, value)
    trusted = trusted.with_timestamp(repository.file("timestamp.json"))
    trusted = trusted.with_snapshot(repository.file(trusted.wanted_snapshot.file))
    return trusted.with_targets(repository.file(trusted.wanted_targets(TOP).file), TOP)


def _replaced(trusted: TrustedSet, field: str, value: object) -> TrustedSet:
    import msgspec

    return msgspec.structs.replace(trusted, **{field: value})


def found(repository: TufRepository, trusted: TrustedSet, name: str) -> Target:
    while isinstance(result := trusted.find(name), Wanted):
        trusted = trusted.with_targets(repository.file(result.file), result.path)
    return result


def test_an_honest_repository_is_followed_to_its_targets() -> None:
    repository = TufRepository()
    repository.add_target("har/1.ewb", b"content")
    repository.publish("targets", "snapshot", "timestamp")
    trusted = refreshed(repository)
    assert trusted.versions() == {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 2}
    target = found(repository, trusted, "har/1.ewb")
    assert (target.name, target.length_bytes) == ("har/1.ewb", 7)


def test_steps_out_of_order_are_refused() -> None:
    repository = TufRepository()
    trusted = rooted(repository)
    with pytest.raises(TrustError, match="snapshot: expected after timestamp"):
        trusted.with_snapshot(repository.file("1.snapshot.json"))
    with pytest.raises(TrustError, match="targets: expected after snapshot"):
        trusted.with_targets(repository.file("1.targets.json"), TOP)
    trusted = refreshed(repository)
    with pytest.raises(TrustError, match="root: expected before timestamp"):
        trusted.with_root(repository.file("1.root.json"))
    with pytest.raises(TrustError, match="snapshot: expected before targets"):
        trusted.with_snapshot(repository.file("1.snapshot.json"))
    with pytest.raises(TrustError, match="the time: expected before timestamp"):
        trusted.at(repository.now)
    with pytest.raises(TrustError, match="child: expected an entry in snapshot v1"):
        trusted.wanted_targets(("targets", "child"))


# Rollback


def test_a_timestamp_that_falls_is_refused() -> None:
    repository = TufRepository()
    repository.publish("timestamp")
    known = refreshed(repository)
    repository.timestamp.version = 1
    repository.publish("timestamp", is_next=False)
    with pytest.raises(TrustError, match="timestamp: expected version 2 or higher, got 1"):
        refreshed(repository, known)


def test_a_timestamp_that_names_an_older_snapshot_is_refused() -> None:
    repository = TufRepository()
    repository.publish("snapshot", "timestamp")
    known = refreshed(repository)
    repository.snapshot.version = 1
    repository.publish("timestamp")
    with pytest.raises(TrustError, match="snapshot: expected version 2 or higher, got 1"):
        refreshed(repository, known)


@pytest.mark.parametrize("has_hashes", [False, True])
def test_a_snapshot_that_names_older_targets_is_refused(has_hashes: bool) -> None:
    repository = TufRepository()
    repository.has_metafile_hashes = has_hashes
    repository.publish("targets", "snapshot", "timestamp")
    known = refreshed(repository)
    repository.targets().version = 1
    repository.publish("snapshot", "timestamp")
    with pytest.raises(TrustError, match="targets: expected version 2 or higher, got 1"):
        refreshed(repository, known)


def test_a_snapshot_that_drops_a_role_is_refused() -> None:
    repository = TufRepository()
    repository.delegate("child")
    repository.publish("child", "targets", "snapshot", "timestamp")
    known = refreshed(repository)
    del repository.roles["child"]
    del repository.snapshot.meta["child.json"]
    repository.publish("snapshot", "timestamp")
    with pytest.raises(TrustError, match="snapshot v3: expected an entry for child"):
        refreshed(repository, known)


def test_a_root_that_skips_a_version_is_refused() -> None:
    repository = TufRepository()
    repository.publish("root")
    repository.publish("root")
    with pytest.raises(TrustError, match="root: expected version 2, got 3"):
        rooted(repository).with_root(repository.file("3.root.json"))


def test_a_timestamp_of_the_known_version_changes_nothing() -> None:
    repository = TufRepository()
    known = refreshed(repository)
    repository.snapshot.version = 50
    repository.publish("timestamp", is_next=False)
    trusted = _replaced(rooted(repository), "known_timestamp", known.timestamp)
    trusted = trusted.with_timestamp(repository.file("timestamp.json"))
    assert trusted.timestamp is known.timestamp


# Freeze


@pytest.mark.parametrize("role", ALL)
def test_what_has_expired_is_refused(role: str) -> None:
    repository = TufRepository()
    repository.roles[role].signed.expires = repository.now - timedelta(seconds=1)
    repository.publish(*ALL)
    with pytest.raises(TrustError, match=rf"{role} v2: expected an expiry after 2030-01-01"):
        refreshed(repository)


def test_a_known_timestamp_that_expired_does_not_pass_as_new() -> None:
    repository = TufRepository()
    known = refreshed(repository)
    later = rooted(repository).at(repository.expires)
    later = _replaced(later, "known_timestamp", known.timestamp)
    with pytest.raises(TrustError, match="expected an expiry after"):
        later.with_timestamp(repository.file("timestamp.json"))


def test_an_expired_intermediate_root_is_passed_by() -> None:
    repository = TufRepository()
    repository.root.expires = repository.now - timedelta(days=1)
    repository.publish("root")
    repository.root.expires = repository.expires
    repository.publish("root")
    assert refreshed(repository).versions()["root"] == 3


# Mix and match


def test_a_snapshot_of_another_version_than_announced_is_refused() -> None:
    repository = TufRepository()
    repository.publish("snapshot")
    repository.publish("snapshot", "timestamp")
    repository.files["3.snapshot.json"] = repository.file("2.snapshot.json")
    with pytest.raises(TrustError, match="snapshot: expected version 3, got 2"):
        refreshed(repository)


def test_targets_of_another_version_than_announced_are_refused() -> None:
    repository = TufRepository()
    repository.publish("targets", "snapshot", "timestamp")
    repository.files["2.targets.json"] = repository.file("1.targets.json")
    with pytest.raises(TrustError, match="targets: expected version 2, got 1"):
        refreshed(repository)


@pytest.mark.parametrize("role", ["snapshot", "targets"])
def test_another_file_than_the_announced_one_is_refused(role: str) -> None:
    repository = TufRepository()
    repository.has_metafile_hashes = True
    repository.publish("targets", "snapshot", "timestamp")
    repository.files[f"2.{role}.json"] += b" "
    with pytest.raises(TrustError, match=f"{role} v2: expected the announced length and hashes"):
        refreshed(repository)


def test_a_kept_snapshot_is_used_only_while_it_is_the_announced_one() -> None:
    repository = TufRepository()
    repository.has_metafile_hashes = True
    repository.publish("snapshot", "timestamp")
    stamped = rooted(repository).with_timestamp(repository.file("timestamp.json"))
    same = stamped.knowing_snapshot(repository.file("2.snapshot.json"))
    other = stamped.knowing_snapshot(repository.file("2.snapshot.json") + b" ")
    assert same.snapshot is same.known_snapshot
    assert other.snapshot is None
    assert other.known_snapshot is not None


def test_metadata_of_another_kind_is_refused() -> None:
    repository = TufRepository()
    signer = repository.signers["timestamp"][0]
    repository.add_key("snapshot", signer)
    repository.publish("root", "snapshot")
    repository.files["timestamp.json"] = repository.file("2.snapshot.json")
    with pytest.raises(TrustError, match="timestamp: expected timestamp metadata, got snapshot"):
        refreshed(repository)


# Keys


@pytest.mark.parametrize("role", ALL)
def test_a_role_without_its_signature_is_refused(role: str) -> None:
    repository = TufRepository()
    repository.signers[role].clear()
    repository.publish(*ALL)
    with pytest.raises(TrustError, match=rf"{role} v2: expected signatures of 1 key"):
        refreshed(repository)


@pytest.mark.parametrize("role", ALL)
def test_a_revoked_key_does_not_sign_any_more(role: str) -> None:
    repository = TufRepository()
    stolen = repository.signers[role][0]
    repository.rotate(role)
    repository.publish("root")
    repository.signers[role] = [stolen]
    repository.publish(*ALL)
    with pytest.raises(TrustError, match=rf"{role} v\d: expected signatures of 1 key"):
        refreshed(repository)


def test_a_new_root_needs_the_old_keys_and_its_own() -> None:
    repository = TufRepository()
    old = repository.signers["root"][0]
    repository.rotate("root")
    new = repository.signers["root"][1]
    for signers in ([old], [new]):
        repository.signers["root"] = signers
        repository.root.version = 1
        repository.publish("root")
        with pytest.raises(TrustError, match="root v2: expected signatures of 1 key"):
            rooted(repository).with_root(repository.file("2.root.json"))
    repository.signers["root"] = [old, new]
    repository.root.version = 1
    repository.publish("root")
    assert rooted(repository).with_root(repository.file("2.root.json")).root.version == 2


def test_one_signature_too_few_for_the_threshold_is_refused() -> None:
    repository = TufRepository()
    for _ in range(2):
        repository.add_key("targets")
    repository.root.roles["targets"].threshold = 3
    repository.publish("root")
    repository.signers["targets"].pop()
    repository.publish("targets", "snapshot", "timestamp")
    with pytest.raises(TrustError, match=r"targets v2: expected .* 3 key.*got 2 good"):
        refreshed(repository)


def test_one_key_under_two_ids_is_one_voice() -> None:
    repository = TufRepository()
    content = json.loads(repository.file("1.root.json"))
    key = repository.root.keys[repository.root.roles["timestamp"].keyids[0]]
    twin = type(key).from_dict("twin", key.to_dict())
    repository.root.add_key(twin, "timestamp")
    repository.root.roles["timestamp"].threshold = 2
    repository.publish("root", "timestamp")
    document = json.loads(repository.file("timestamp.json"))
    document["signatures"].append({**document["signatures"][0], "keyid": "twin"})
    repository.files["timestamp.json"] = json.dumps(document).encode()
    assert content["signed"]["version"] == 1
    with pytest.raises(TrustError, match=r"expected .* 2 key.*got 1 good"):
        refreshed(repository)


def test_a_signature_twice_in_the_file_is_refused() -> None:
    repository = TufRepository()
    document = json.loads(repository.file("timestamp.json"))
    document["signatures"] *= 2
    repository.files["timestamp.json"] = json.dumps(document).encode()
    with pytest.raises(TrustError, match="Multiple signatures"):
        refreshed(repository)


def test_a_wrong_signature_beside_enough_right_ones_does_no_harm() -> None:
    repository = TufRepository()
    repository.add_key("timestamp")
    repository.publish("root", "timestamp")
    document = json.loads(repository.file("timestamp.json"))
    document["signatures"][0]["sig"] = ""
    repository.files["timestamp.json"] = json.dumps(document).encode()
    assert refreshed(repository).versions()["timestamp"] == 2


# Fast-forward


def test_new_keys_let_versions_begin_again() -> None:
    repository = TufRepository()
    repository.timestamp.version = 10**6
    repository.publish("timestamp")
    kept = repository.file("timestamp.json")
    rooted(repository).knowing_timestamp(kept)
    repository.rotate("timestamp")
    repository.timestamp.version = 0
    repository.publish("root", "timestamp")
    trusted = rooted(repository).with_root(repository.file("2.root.json"))
    with pytest.raises(TrustError, match="timestamp v1000001: expected signatures"):
        trusted.knowing_timestamp(kept)
    assert refreshed(repository).versions()["timestamp"] == 1


# Endless data


def test_every_file_has_a_limit_and_an_announced_length_is_a_lower_one() -> None:
    repository = TufRepository()
    limits = MetadataLimits(root_bytes=1, timestamp_bytes=2, snapshot_bytes=30_000)
    trusted = rooted(repository, limits=limits)
    assert trusted.wanted_root == Wanted(path=("root",), file="2.root.json", limit_bytes=1)
    assert trusted.wanted_timestamp.limit_bytes == 2
    trusted = trusted.with_timestamp(repository.file("timestamp.json"))
    assert trusted.wanted_snapshot.limit_bytes == 30_000
    repository.has_metafile_hashes = True
    repository.publish("timestamp")
    trusted = rooted(repository, limits=limits)
    trusted = trusted.with_timestamp(repository.file("timestamp.json"))
    assert trusted.wanted_snapshot.limit_bytes == len(repository.file("1.snapshot.json"))


def test_an_announced_length_above_the_limit_is_refused() -> None:
    repository = TufRepository()
    repository.has_metafile_hashes = True
    repository.publish("timestamp")
    trusted = rooted(repository, limits=MetadataLimits(snapshot_bytes=10))
    trusted = trusted.with_timestamp(repository.file("timestamp.json"))
    with pytest.raises(TrustError, match="snapshot: expected at most 10 bytes"):
        _ = trusted.wanted_snapshot


# Delegations


def test_the_first_delegation_that_lists_a_target_wins() -> None:
    repository = TufRepository()
    for role in ("a", "b"):
        repository.delegate(role, paths=["har/*"])
        repository.add_target("har/1.ewb", role.encode() * 9, role=role)
    repository.publish("a", "b", "targets", "snapshot", "timestamp")
    target = found(repository, refreshed(repository), "har/1.ewb")
    assert repository.file(target.url_path(has_prefix=True)) == b"a" * 9


def test_a_role_may_not_speak_about_names_outside_its_paths() -> None:
    repository = TufRepository()
    repository.delegate("a", paths=["har/*"])
    repository.add_target("svg/1.ewb", b"stolen", role="a")
    repository.publish("a", "targets", "snapshot", "timestamp")
    with pytest.raises(TrustError, match=r"svg/1.ewb: expected in one of the roles targets, got"):
        found(repository, refreshed(repository), "svg/1.ewb")


def test_a_terminating_delegation_ends_the_search() -> None:
    repository = TufRepository()
    repository.delegate("a", is_terminating=True)
    repository.delegate("b")
    repository.add_target("1.ewb", b"by b", role="b")
    repository.publish("a", "b", "targets", "snapshot", "timestamp")
    with pytest.raises(TrustError, match="roles a, targets, got none"):
        found(repository, refreshed(repository), "1.ewb")


def test_roles_that_delegate_in_a_circle_are_visited_once() -> None:
    repository = TufRepository()
    repository.delegate("a")
    repository.delegate("b", delegator="a")
    repository.delegate("a", delegator="b")
    repository.publish("a", "b", "targets", "snapshot", "timestamp")
    with pytest.raises(TrustError, match="roles a, b, targets, got none"):
        found(repository, refreshed(repository), "1.ewb")


def test_a_search_through_too_many_roles_ends() -> None:
    repository = TufRepository()
    names = [f"r{number}" for number in range(40)]
    for name in names:
        repository.delegate(name)
    repository.publish(*names, "targets", "snapshot", "timestamp")
    with pytest.raises(TrustError, match="not found in 32 roles, the limit"):
        found(repository, refreshed(repository), "1.ewb")


def test_trust_by_one_delegator_does_not_carry_over_to_another() -> None:
    repository = TufRepository()
    for team in ("a", "b"):
        repository.delegate(team, paths=[f"{team}/*"])
        repository.delegate("release", delegator=team, paths=[f"{team}/*"])
        repository.add_target(f"{team}/1.ewb", team.encode(), role="release")
    repository.signers["release"].pop()
    repository.publish("a", "b", "release", "targets", "snapshot", "timestamp")
    trusted = refreshed(repository)
    assert found(repository, trusted, "a/1.ewb").length_bytes == 1
    with pytest.raises(TrustError, match="release v2: expected signatures of 1 key"):
        found(repository, trusted, "b/1.ewb")


def test_a_target_in_a_hash_bin_is_found_by_visiting_one_bin() -> None:
    repository = TufRepository()
    bins = repository.delegate_bins(bit_length=4, prefix="bin")
    holder = repository.targets().delegations
    assert holder is not None
    assert len(bins) == 16
    ((role, _),) = holder.get_roles_for_target("har/1.ewb")
    repository.add_target("har/1.ewb", b"x", role=role)
    repository.publish(*bins, "targets", "snapshot", "timestamp")
    trusted = refreshed(repository)
    wanted = trusted.find("har/1.ewb")
    assert isinstance(wanted, Wanted)
    assert wanted.file == f"2.{role}.json"
    assert found(repository, trusted, "har/1.ewb").length_bytes == 1


def test_role_names_are_asked_for_in_one_path_segment() -> None:
    repository = TufRepository()
    repository.delegate("../a?b")
    repository.publish("../a?b", "targets", "snapshot", "timestamp")
    wanted = refreshed(repository).find("1.ewb")
    assert isinstance(wanted, Wanted)
    assert wanted.file == "2...%2Fa%3Fb.json"


# Anything at all


@given(st.binary(max_size=300))
def test_no_bytes_but_metadata_pass_as_root(content: bytes) -> None:
    with pytest.raises(TrustError, match="root: expected"):
        TrustedSet.from_root(content, now=TufRepository().now)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)
HONEST_ROOT = TufRepository().file("1.root.json")


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a JSON document."""
    inner: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(place for key, child in inner for place in places(child, (*path, key)))]


@given(place=st.sampled_from(places(json.loads(HONEST_ROOT))[1:]), value=JSON_VALUES)
def test_a_root_with_any_field_changed_is_refused_or_means_the_same(
    place: tuple[str | int, ...], value: object
) -> None:
    document = json.loads(HONEST_ROOT)
    holder = document
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    honest = TrustedSet.from_root(HONEST_ROOT, now=TufRepository().now)
    try:
        changed = TrustedSet.from_root(json.dumps(document).encode(), now=honest.now)
    except TrustError:
        return
    assert changed.root == honest.root
