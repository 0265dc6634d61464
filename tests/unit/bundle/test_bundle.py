import io
import shutil
import tarfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgewright.bundle import (
    Draft,
    build_bundle,
    diff_bundles,
    open_bundle,
    sign_bundle,
    unpack,
    verify_signatures,
)
from edgewright.bundle.archive import ArchiveWriter
from edgewright.bundle.manifest import decode_manifest
from edgewright.contract import encode_json
from edgewright.errors import EdgewrightError, InputError, TrustError
from edgewright.testing import MemorySigner
from edgewright.trust import TrustedKeys

SIGNER = MemorySigner.from_seed(1)
OTHER = MemorySigner.from_seed(2)
TRUSTED = TrustedKeys(threshold=1, keys=(SIGNER.public,))


def test_same_input_gives_the_same_bytes(tmp_path: Path, draft: Draft) -> None:
    source = tmp_path / "model.bin"
    source.write_bytes(b"weights")
    for name, content in (("a.ewb", b"weights"), ("b.ewb", source)):
        build_bundle(tmp_path / name, draft, [("model", "m", content)], signers=[SIGNER])
    assert (tmp_path / "a.ewb").read_bytes() == (tmp_path / "b.ewb").read_bytes()


def test_bundle_is_a_plain_tar_that_begins_with_its_manifest(packed: Path) -> None:
    with tarfile.open(packed) as tar:
        members = tar.getmembers()
    assert members[0].name == "manifest.json"
    assert members[-1].name == f"signatures/{SIGNER.public.key_id}.json"
    assert {member.mtime for member in members} == {0}
    assert len(members) == 1 + 3 + 1, "equal contents are stored once"


def test_packed_and_unpacked_say_the_same(packed: Path, tmp_path: Path) -> None:
    from_file = open_bundle(packed)
    unpacked = unpack(packed, tmp_path / "slot")
    from_folder = open_bundle(tmp_path / "slot")
    for bundle in (unpacked, from_folder):
        assert bundle.id == from_file.id
        assert bundle.signatures == from_file.signatures
        for blob in from_file.manifest.blobs:
            assert bundle.read(blob) == from_file.read(blob)
            assert bundle.file(blob).read_bytes() == from_file.read(blob)
    verify_signatures(from_folder, TRUSTED)


def test_unpack_reads_a_stream_that_cannot_seek(packed: Path, tmp_path: Path) -> None:
    class Pipe(io.RawIOBase):
        def __init__(self, content: bytes) -> None:
            self._file = io.BytesIO(content)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            return self._file.readinto(buffer[:100])

    bundle = unpack(io.BufferedReader(Pipe(packed.read_bytes()), 64), tmp_path / "slot")
    assert bundle.id == open_bundle(packed).id


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(data=st.data())
def test_no_flipped_bit_passes(packed: Path, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(packed.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    broken = tmp_path / "broken.ewb"
    broken.write_bytes(content)
    with pytest.raises(TrustError):
        verify_signatures(open_bundle(broken), TRUSTED)
    shutil.rmtree(tmp_path / "slot", ignore_errors=True)
    with pytest.raises(TrustError):
        verify_signatures(unpack(broken, tmp_path / "slot"), TRUSTED)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_no_truncated_or_longer_bundle_passes(
    packed: Path, tmp_path: Path, data: st.DataObject
) -> None:
    content = packed.read_bytes()
    cut = data.draw(st.integers(0, len(content) - 1))
    more = data.draw(st.binary(min_size=1, max_size=20_000))
    for broken in (content[:cut], content + more, content + bytes(10240)):
        (tmp_path / "broken.ewb").write_bytes(broken)
        with pytest.raises(TrustError):
            open_bundle(tmp_path / "broken.ewb")
        with pytest.raises(TrustError):
            unpack(tmp_path / "broken.ewb", tmp_path / "slot")
        assert not (tmp_path / "slot").exists()


@given(content=st.binary(max_size=2000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_any_other_bytes_are_a_trust_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.ewb").write_bytes(content)
    with pytest.raises(TrustError):
        open_bundle(tmp_path / "x.ewb")


def test_flipped_bit_in_a_slot_is_found_when_opened_again(packed: Path, tmp_path: Path) -> None:
    bundle = unpack(packed, tmp_path / "slot")
    path = bundle.file(bundle.blob("model"))
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)
    with pytest.raises(TrustError, match=r"'m.npz' is not what the manifest says"):
        open_bundle(tmp_path / "slot")
    with pytest.raises(TrustError):
        bundle.read(bundle.blob("model"))


def forge(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with path.open("wb") as file:
        writer = ArchiveWriter(file)
        for name, content in members:
            writer.add(name, len(content), [content])
        writer.finish()
    return path


def member_list(packed: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(packed) as tar:
        return [(m.name, tar.extractfile(m).read()) for m in tar.getmembers()]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "forgery",
    [
        lambda m: m[1:],
        lambda m: [m[0], m[2], m[1], *m[3:]],
        lambda m: [m[0], *m[2:]],
        lambda m: [*m[:4], ("../../etc/passwd", b"x")],
        lambda m: [*m, m[-1]],
        lambda m: [*m[:4], (f"signatures/{'0' * 64}.json", m[-1][1])],
        lambda m: [*m[:4], (m[-1][0], b" " + m[-1][1])],
        lambda m: [*m[:4], (m[-1][0], b" " * 5000)],
        lambda m: [*m[:4], (m[-1][0], b"not json")],
        lambda m: [("manifest.json", b" " * (1 << 21)), *m[1:]],
        lambda m: [("manifest.json", m[0][1].replace(b'_version": 1', b'_version": 9')), *m[1:]],
        lambda m: [("manifest.json", b"{}"), *m[1:]],
    ],
)
def test_members_out_of_place_are_refused(packed: Path, tmp_path: Path, forgery: object) -> None:
    broken = forge(tmp_path / "forged.ewb", forgery(member_list(packed)))  # type: ignore[operator]
    with pytest.raises(TrustError):
        open_bundle(broken)


def test_more_signatures_than_allowed_are_refused(packed: Path, tmp_path: Path) -> None:
    from edgewright.trust import Signature

    members = member_list(packed)[:4]
    signatures = sorted(
        (Signature.of(MemorySigner.from_seed(seed), b"") for seed in range(10, 27)),
        key=lambda signature: signature.key_id,
    )
    members += [(f"signatures/{s.key_id}.json", encode_json(s)) for s in signatures]
    with pytest.raises(TrustError, match="more than 16 signatures"):
        open_bundle(forge(tmp_path / "forged.ewb", members))


def test_signing_adds_a_signature_and_keeps_the_id(packed: Path) -> None:
    before = open_bundle(packed)
    after = sign_bundle(packed, OTHER)
    assert after.id == before.id
    assert len(sign_bundle(packed, OTHER).signatures) == len(before.signatures) + 1
    verify_signatures(after, TrustedKeys(threshold=2, keys=(SIGNER.public, OTHER.public)))
    with pytest.raises(TrustError):
        verify_signatures(before, TrustedKeys(threshold=2, keys=(SIGNER.public, OTHER.public)))


def test_diff_names_the_places_that_changed(packed: Path, tmp_path: Path, draft: Draft) -> None:
    newer = msgspec.structs.replace(draft, version="1.0.1")
    build_bundle(tmp_path / "b.ewb", newer, [("model", "m.npz", b"other")])
    differences = diff_bundles(open_bundle(packed), open_bundle(tmp_path / "b.ewb"))
    places = {d.place: (d.before, d.after) for d in differences}
    assert places["version"] == ("1.0.0", "1.0.1")
    assert places["blobs.m.npz.size_bytes"] == ("700", "5")
    assert places["blobs.golden.npz.role"] == ("golden", "")
    assert "contract.metric" not in places
    assert diff_bundles(open_bundle(packed), open_bundle(packed)) == ()


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        ([], "exactly one blob of role 'model'"),
        ([("model", "a", b""), ("model", "b", b"")], "exactly one blob"),
        ([("model", "a", b""), ("file", "a", b"1")], "same name"),
        ([("model", "../a", b"")], "expected 1 to 128"),
        ([("model", "m", b"")] + [("file", f"f{i}", b"") for i in range(256)], "at most 256"),
    ],
)
def test_a_bundle_that_breaks_its_own_rules_is_not_built(
    tmp_path: Path, draft: Draft, contents: object, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        build_bundle(tmp_path / "x.ewb", draft, contents)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("field", ["name", "version", "format", "precision"])
def test_names_that_could_leave_a_folder_are_refused(
    tmp_path: Path, draft: Draft, field: str
) -> None:
    wrong = msgspec.structs.replace(draft, **{field: "../up"})
    with pytest.raises(InputError, match=field):
        build_bundle(tmp_path / "x.ewb", wrong, [("model", "m", b"")])


def test_missing_blob_file_leaves_nothing(tmp_path: Path, draft: Draft) -> None:
    with pytest.raises(InputError, match="no such file"):
        build_bundle(tmp_path / "x.ewb", draft, [("model", "m", tmp_path / "absent")])
    assert list(tmp_path.iterdir()) == []


def test_questions_that_a_bundle_cannot_answer(packed: Path, tmp_path: Path) -> None:
    bundle = open_bundle(packed)
    assert bundle.has("golden")
    assert not bundle.has("card")
    with pytest.raises(InputError, match="has no card"):
        bundle.blob("card")
    with pytest.raises(InputError, match="unpack it first"):
        bundle.file(bundle.blob("model"))
    with pytest.raises(InputError, match="no such file"):
        open_bundle(tmp_path / "absent.ewb")
    with pytest.raises(InputError, match="no such file"):
        open_bundle(tmp_path)
    unpack(packed, tmp_path / "slot")
    with pytest.raises(InputError, match="exists already"):
        unpack(packed, tmp_path / "slot")


def test_a_writer_that_lies_about_sizes_is_caught(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 bytes for 4"):
        ArchiveWriter(io.BytesIO()).add("x", 4, [b"abc"])


@given(st.binary(max_size=300))
def test_manifest_parser_gives_a_manifest_or_a_trust_error(content: bytes) -> None:
    with pytest.raises(TrustError):
        decode_manifest(content)


def test_every_error_of_a_bad_bundle_names_a_next_step(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.ewb").write_bytes(packed.read_bytes()[:2000])
    with pytest.raises(EdgewrightError) as caught:
        open_bundle(tmp_path / "cut.ewb")
    assert "fetch it again" in str(caught.value)
