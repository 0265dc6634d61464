"""Encrypted bundles: their recipients open them, and nobody changes them."""

import hashlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgewright.bundle import (
    Recipient,
    is_sealed,
    open_bundle,
    read_head,
    seal_bundle,
    unpack,
    unseal_bundle,
)
from edgewright.bundle.recipients import unwrap_key, wrap_key
from edgewright.bundle.sealed import MAGIC, PIECE_BYTES, Head, open_sealed
from edgewright.contract import encode_json
from edgewright.errors import InputError, TrustError
from edgewright.keys import FileOpener
from edgewright.testing.bundles import build_tiny


@pytest.fixture
def opener(tmp_path: Path) -> FileOpener:
    return FileOpener.create(tmp_path / "device.key")


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A bundle of several pieces, whose last one is not full."""
    build_tiny(tmp_path / "plain.ewb", filler_bytes=3 * PIECE_BYTES)
    return tmp_path / "plain.ewb"


@pytest.fixture
def sealed(plain: Path, opener: FileOpener) -> Path:
    out = plain.with_name("sealed.ewb")
    seal_bundle(plain, out, [opener.recipient])
    return out


def opened(path: Path, opener: FileOpener) -> bytes:
    """Every byte of what a recipient reads."""
    key = read_head(path).key_by(opener)
    bundle = open_bundle(path, content_key=key)
    return b"".join(bundle.read(blob) for blob in bundle.manifest.blobs)


def test_a_recipient_reads_what_was_encrypted(
    sealed: Path, plain: Path, opener: FileOpener, tmp_path: Path
) -> None:
    key = read_head(sealed).key_by(opener)
    bundle, original = open_bundle(sealed, content_key=key), open_bundle(plain)
    assert bundle.id == original.id == read_head(sealed).bundle_id
    assert bundle.signatures == original.signatures
    for blob in original.manifest.blobs:
        assert bundle.read(blob) == original.read(blob)
    assert unpack(sealed, tmp_path / "slot", content_key=key).id == original.id
    unseal_bundle(sealed, tmp_path / "again.ewb", key)
    assert (tmp_path / "again.ewb").read_bytes() == plain.read_bytes()


def test_nothing_of_the_inside_is_readable(sealed: Path, plain: Path) -> None:
    content = sealed.read_bytes()
    for word in (b"manifest.json", b"model.npz", b"contract", b"signatures/"):
        assert word in plain.read_bytes()
        assert word not in content


def test_the_same_bundle_is_never_encrypted_with_the_same_key(
    sealed: Path, plain: Path, opener: FileOpener, tmp_path: Path
) -> None:
    seal_bundle(plain, tmp_path / "second.ewb", [opener.recipient])
    keys = {read_head(path).key_by(opener) for path in (sealed, tmp_path / "second.ewb")}
    assert len(keys) == 2


def test_each_of_several_recipients_opens_it_and_a_stranger_does_not(
    plain: Path, opener: FileOpener, tmp_path: Path
) -> None:
    others = [FileOpener.create(tmp_path / f"{name}.key") for name in ("fleet", "stranger")]
    out = tmp_path / "two.ewb"
    seal_bundle(plain, out, [opener.recipient, others[0].recipient])
    assert opened(out, opener) == opened(out, others[0])
    with pytest.raises(TrustError, match=f"not to this key {others[1].recipient.key_id[:12]}"):
        opened(out, others[1])


def test_a_key_wrapped_for_another_bundle_does_not_open(opener: FileOpener) -> None:
    wrapped = wrap_key(bytes(32), opener.recipient, "a" * 64)
    assert opener.open(wrapped, "a" * 64) == bytes(32)
    with pytest.raises(TrustError, match="does not open with this key"):
        opener.open(wrapped, "b" * 64)


def test_a_key_that_somebody_handed_over_is_used_before_the_heads_own(
    sealed: Path, opener: FileOpener, tmp_path: Path
) -> None:
    device = FileOpener.create(tmp_path / "other.key")
    head = read_head(sealed)
    given_key = wrap_key(head.key_by(opener), device.recipient, head.bundle_id).hex()
    assert head.key_by(device, wrapped_hex=given_key) == head.key_by(opener)
    with pytest.raises(TrustError):
        head.key_by(opener, wrapped_hex=given_key)
    with pytest.raises(TrustError, match="no hex"):
        head.key_by(opener, wrapped_hex="zz")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=120)
@given(data=st.data())
def test_no_flipped_bit_passes(sealed: Path, opener: FileOpener, data: st.DataObject) -> None:
    content = bytearray(sealed.read_bytes())
    at = data.draw(st.integers(0, 8 * len(content) - 1))
    content[at // 8] ^= 1 << at % 8
    changed = sealed.with_name("changed.ewb")
    changed.write_bytes(content)
    with pytest.raises(TrustError):
        opened(changed, opener)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_no_cut_or_longer_file_passes(
    sealed: Path, opener: FileOpener, data: st.DataObject
) -> None:
    content = sealed.read_bytes()
    length = data.draw(st.integers(0, len(content) - 1))
    changed = sealed.with_name("changed.ewb")
    for spoilt in (content[:length], content + content[:1]):
        changed.write_bytes(spoilt)
        with pytest.raises(TrustError):
            opened(changed, opener)


def test_pieces_cannot_change_places(sealed: Path, opener: FileOpener) -> None:
    content = sealed.read_bytes()
    start = len(content) - (3 * (PIECE_BYTES + 16) + _last_piece(sealed))
    one, two = (content[start + n * (PIECE_BYTES + 16) :][: PIECE_BYTES + 16] for n in (0, 1))
    swapped = content[:start] + two + one + content[start + 2 * (PIECE_BYTES + 16) :]
    sealed.write_bytes(swapped)
    with pytest.raises(TrustError, match="piece 0"):
        opened(sealed, opener)


def _last_piece(path: Path) -> int:
    size = read_head(path).size_bytes
    return size - 3 * PIECE_BYTES + 16 if size > 3 * PIECE_BYTES else 0


def test_a_head_of_another_bundle_is_refused(
    sealed: Path, plain: Path, opener: FileOpener, tmp_path: Path
) -> None:
    """A recipient of one file cannot give it the name of another: the head was made with it."""
    head = read_head(sealed)
    renamed = msgspec.structs.replace(head, version="9")
    text = encode_json(renamed)
    body = sealed.read_bytes()[len(MAGIC) + 4 + len(encode_json(head)) :]
    sealed.write_bytes(MAGIC + len(text).to_bytes(4, "big") + text + body)
    with pytest.raises(TrustError, match="does not open with its content key"):
        opened(sealed, opener)


def test_an_encrypted_bundle_without_its_key_says_so(sealed: Path) -> None:
    assert is_sealed(sealed)
    with pytest.raises(InputError, match=r"is encrypted .*bundle decrypt"):
        open_bundle(sealed)


def test_a_bundle_is_encrypted_once_and_only_when_it_is_whole(
    sealed: Path, plain: Path, opener: FileOpener, tmp_path: Path
) -> None:
    out = tmp_path / "out.ewb"
    with pytest.raises(InputError, match="is encrypted"):
        seal_bundle(sealed, out, [opener.recipient])
    with pytest.raises(InputError, match="named twice"):
        seal_bundle(plain, out, [opener.recipient, opener.recipient])
    with pytest.raises(InputError, match="no recipient"):
        seal_bundle(plain, out, [])
    plain.write_bytes(plain.read_bytes()[:-600])
    with pytest.raises(TrustError):
        seal_bundle(plain, out, [opener.recipient])
    assert not out.exists()


def test_a_changed_file_is_not_decrypted_in_part(
    sealed: Path, opener: FileOpener, tmp_path: Path
) -> None:
    key = read_head(sealed).key_by(opener)
    content = bytearray(sealed.read_bytes())
    content[-1] ^= 1
    sealed.write_bytes(content)
    with pytest.raises(TrustError):
        unseal_bundle(sealed, tmp_path / "out.ewb", key)
    assert not (tmp_path / "out.ewb").exists()


@pytest.mark.parametrize(
    "text",
    ["", "ewr1:", "ewr1:" + "0" * 63, "ewr1:" + "G" * 64, "a" * 64, "age1abc"],
)
def test_text_that_names_no_recipient_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="names no recipient"):
        Recipient.parse(text, source="here")


def test_a_recipient_that_cannot_be_encrypted_to_is_refused(plain: Path, tmp_path: Path) -> None:
    nobody = Recipient(public_hex="0" * 64)
    with pytest.raises(InputError, match="not a key that can be encrypted to"):
        seal_bundle(plain, tmp_path / "out.ewb", [nobody])
    assert not (tmp_path / "out.ewb").exists()


def test_seeking_reads_the_same_bytes(sealed: Path, plain: Path, opener: FileOpener) -> None:
    key = read_head(sealed).key_by(opener)
    content = plain.read_bytes()
    with open_sealed(sealed, key) as file:
        for at in (0, PIECE_BYTES - 1, PIECE_BYTES, 2 * PIECE_BYTES + 7, len(content), 1):
            file.seek(at)
            assert file.read(PIECE_BYTES + 3) == content[at : at + PIECE_BYTES + 3]


def test_heads_with_impossible_facts_are_refused() -> None:
    good = {"schema_version": 1, "name": "m", "version": "1", "bundle_id": "a" * 64}
    Head(**good, size_bytes=1, recipients=())
    for changes in ({"name": "../m"}, {"bundle_id": "x"}, {"size_bytes": 0}):
        with pytest.raises(ValueError, match=r"expected|is not|size_bytes"):
            Head(**{**good, "size_bytes": 1, "recipients": (), **changes})


def test_a_newer_format_is_named(sealed: Path) -> None:
    content = sealed.read_bytes().replace(b'"schema_version": 1', b'"schema_version": 7')
    sealed.write_bytes(content)
    with pytest.raises(TrustError, match="install a newer edgewright"):
        read_head(sealed)


def test_wrapping_follows_rfc_9180_vectors_of_the_library(opener: FileOpener) -> None:
    """What is sent is HPKE's `enc || ciphertext`: 32 bytes of key, 32 of content, 16 of tag."""
    wrapped = wrap_key(hashlib.sha256(b"key").digest(), opener.recipient, "a" * 64)
    assert len(wrapped) == 32 + 32 + 16
    assert unwrap_key(wrapped, opener._private, "a" * 64) == hashlib.sha256(b"key").digest()
