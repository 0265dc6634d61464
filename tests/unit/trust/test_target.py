import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tuf.api.metadata import TargetFile

from edgewright.errors import TrustError
from edgewright.trust.target import (
    ContentCheck,
    Target,
    file_name_of,
    quoted,
    require_plain_name,
)

CONTENT = b"content"


def target_with(hashes: dict[str, str]) -> Target:
    return Target.of(TargetFile(len(CONTENT), hashes, "har/1.ewb"), role="targets")


def check(target: Target, content: bytes) -> None:
    checked = ContentCheck(target)
    for byte in content:
        checked.update(bytes([byte]))
    checked.finish()


@pytest.mark.parametrize("kind", ["sha256", "sha384", "sha512"])
def test_content_is_checked_against_every_strong_hash(kind: str) -> None:
    good = target_with({kind: hashlib.new(kind, CONTENT).hexdigest(), "later-than-us": "x"})
    check(good, CONTENT)
    with pytest.raises(TrustError, match=f"expected {kind}"):
        check(good, b"c0ntent")
    both = target_with({**good.hashes, "blake2b-256": "0" * 64})
    with pytest.raises(TrustError, match="expected blake2b-256 000000000000"):
        check(both, CONTENT)


@pytest.mark.parametrize("kind", ["md5", "sha1", "unknown"])
def test_a_weak_hash_alone_does_not_count(kind: str) -> None:
    with pytest.raises(TrustError, match=f"expected a hash of sha256.*got {kind}"):
        target_with({kind: "00"})


def test_length_is_exact() -> None:
    target = target_with({"sha256": hashlib.sha256(CONTENT).hexdigest()})
    with pytest.raises(TrustError, match="expected 7 bytes, got 3"):
        check(target, b"con")
    with pytest.raises(TrustError, match="expected 7 bytes, got more"):
        check(target, b"contents")


def test_a_consistent_snapshot_keeps_files_under_their_hash() -> None:
    target = target_with({"sha256": "ab"})
    assert target.url_path(has_prefix=True) == "har/ab.1.ewb"
    assert target.url_path(has_prefix=False) == "har/1.ewb"
    assert target.file_name == "har%2F1.ewb"


@given(st.text(max_size=60))
def test_a_local_name_is_one_visible_segment(name: str) -> None:
    try:
        local = file_name_of(name)
    except TrustError:
        return
    assert "/" not in local
    assert not local.startswith(".")
    assert local.isascii()
    assert len(local) <= 202


@given(st.text(max_size=8), st.text(max_size=8))
def test_different_names_have_different_files(one: str, other: str) -> None:
    try:
        assert (file_name_of(one) == file_name_of(other)) == (one == other)
    except TrustError:
        return


@pytest.mark.parametrize("name", ["", "x" * 201, "\ud800"])
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(TrustError, match="expected"):
        quoted(name)


@pytest.mark.parametrize("name", ["a", "a/b.ewb", ".hidden", "a b", "ä", "a..b/...c"])
def test_plain_names_pass(name: str) -> None:
    require_plain_name(name)


@pytest.mark.parametrize("name", ["/a", "a/", "a//b", "..", "a/../b", ".", "a\\b", "a\0", "a\n"])
def test_names_that_leave_their_folder_are_refused(name: str) -> None:
    with pytest.raises(TrustError, match="relative path"):
        require_plain_name(name)
