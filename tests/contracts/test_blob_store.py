"""What every blob store keeps."""

import hashlib
from pathlib import Path

import pytest

from edgewright.errors import InputError, TrustError
from edgewright.stores import BlobStore, FolderBlobs, ShelvedBlobs


@pytest.fixture(params=["folder", "s3", "shelf"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "folder":
        return FolderBlobs(tmp_path / "blobs")
    url = request.getfixturevalue("bucket")
    from edgewright.stores.s3 import S3Blobs

    if request.param == "shelf":
        return ShelvedBlobs(S3Blobs(url), FolderBlobs(tmp_path / "shelf"))
    return S3Blobs(url)


def test_a_shelf_is_filled_again_from_the_store(tmp_path: Path) -> None:
    store, shelf = FolderBlobs(tmp_path / "store"), FolderBlobs(tmp_path / "shelf")
    blobs = ShelvedBlobs(store, shelf)
    sha256 = blobs.add(b"weights")
    assert store.read(sha256) == blobs.path(sha256).read_bytes() == b"weights"
    shelf.remove(sha256)
    assert blobs.path(sha256).read_bytes() == b"weights"
    shelf.remove(sha256)
    store.path(sha256).write_bytes(b"Weights")
    with pytest.raises(TrustError, match="hashes to"):
        blobs.path(sha256)
    assert not shelf.has(sha256)


def test_content_comes_back_under_its_own_hash(blobs: BlobStore) -> None:
    sha256 = blobs.add(b"weights")
    assert sha256 == hashlib.sha256(b"weights").hexdigest()
    assert blobs.read(sha256) == b"".join(blobs.chunks(sha256)) == b"weights"
    assert blobs.size_bytes(sha256) == 7


def test_adding_twice_changes_nothing(blobs: BlobStore) -> None:
    assert blobs.add(b"same") == blobs.add(b"same")
    assert len(list(blobs.ids())) == 1


def test_a_stream_is_stored_when_it_is_the_promised_one(blobs: BlobStore) -> None:
    sha256 = hashlib.sha256(b"onetwo").hexdigest()
    blobs.add_stream([b"one", b"two"], sha256=sha256)
    assert blobs.read(sha256) == b"onetwo"


def test_a_stream_leaves_nothing_when_it_is_another_one(blobs: BlobStore) -> None:
    with pytest.raises(TrustError, match="hashes to"):
        blobs.add_stream([b"other"], sha256="0" * 64)
    assert list(blobs.ids()) == []


def test_an_absent_blob_is_an_input_error(blobs: BlobStore) -> None:
    assert not blobs.has("0" * 64)
    with pytest.raises(InputError):
        blobs.read("0" * 64)
    with pytest.raises(InputError):
        blobs.size_bytes("0" * 64)


def test_removing_twice_is_fine(blobs: BlobStore) -> None:
    sha256 = blobs.add(b"gone")
    blobs.remove(sha256)
    blobs.remove(sha256)
    assert not blobs.has(sha256)


def test_ids_are_sorted(blobs: BlobStore) -> None:
    added = {blobs.add(b"%d" % number) for number in range(20)}
    assert list(blobs.ids()) == sorted(added)


@pytest.mark.parametrize("name", ["", "..", "../" * 20 + "etc/passwd", "A" * 64, "0" * 63])
def test_a_name_that_is_no_hash_is_refused(blobs: BlobStore, name: str) -> None:
    with pytest.raises(InputError, match="64 hexadecimal digits"):
        blobs.read(name)
