"""Air-gap files: what was written is read, and nothing else is."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from edgewright.bundle.archive import ArchiveWriter
from edgewright.bundle.parcel import Label, is_parcel, open_parcel, write_parcel
from edgewright.contract import encode_json
from edgewright.errors import InputError, TrustError

LABEL = Label(model="har", version="1", bundle_id="0" * 64, file_sha256="1" * 64, file_size_bytes=7)
METADATA = {"image/1.root.json": b"{}", "director/timestamp.json": b"[]"}


def write(path: Path, members: Iterable[tuple[str, bytes]]) -> Path:
    with path.open("wb") as file:
        writer = ArchiveWriter(file)
        for name, content in members:
            writer.add(name, len(content), [content])
        writer.finish()
    return path


def good(label: Label = LABEL) -> list[tuple[str, bytes]]:
    return [("parcel.json", encode_json(label)), ("bundle.ewb", b"content")]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "a.ewb"
    path.write_bytes(b"content")
    return path


def test_what_was_written_is_read(tmp_path: Path, bundle: Path) -> None:
    path = tmp_path / "a.ewx"
    write_parcel(path, LABEL, METADATA, bundle)
    parcel = open_parcel(path)
    assert is_parcel(path)
    assert not is_parcel(bundle)
    assert (parcel.label, dict(parcel.metadata)) == (LABEL, METADATA)
    assert b"".join(parcel.chunks()) == b"content"


def test_equal_arguments_give_equal_bytes(tmp_path: Path, bundle: Path) -> None:
    for name in ("a.ewx", "b.ewx"):
        write_parcel(tmp_path / name, LABEL, METADATA, bundle)
    assert (tmp_path / "a.ewx").read_bytes() == (tmp_path / "b.ewx").read_bytes()


def test_a_bundle_of_another_size_is_not_written(tmp_path: Path, bundle: Path) -> None:
    label = msgspec.structs.replace(LABEL, file_size_bytes=8)
    with pytest.raises(InputError, match="has 7 bytes, expected 8"):
        write_parcel(tmp_path / "a.ewx", label, {}, bundle)
    assert not (tmp_path / "a.ewx").exists()


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([], "ends without a bundle"),
        ([("bundle.ewb", b"content")], "does not begin with parcel.json"),
        ([("parcel.json", b"{}")], "model"),
        (good(msgspec.structs.replace(LABEL, schema_version=2)), "schema version 2"),
        (good()[:1], "ends without a bundle"),
        ([good()[0], ("image/../../x.json", b""), good()[1]], "unexpected member"),
        ([good()[0], ("other/1.root.json", b""), good()[1]], "unexpected member"),
        ([good()[0], ("image/1.root.json", bytes(5_000_001)), good()[1]], "larger than any"),
        ([good()[0], ("bundle.ewb", b"longer than it")], "not of the size"),
        ([*good(), ("image/1.root.json", b"{}")], "something follows the bundle"),
    ],
)
def test_anything_else_is_refused(
    tmp_path: Path, members: list[tuple[str, bytes]], reason: str
) -> None:
    with pytest.raises(TrustError, match=reason):
        open_parcel(write(tmp_path / "a.ewx", members))
