"""What every object store keeps, a folder and a bucket alike."""

from pathlib import Path

import pytest

from edgewright.errors import InputError, TransportError
from edgewright.stores import FolderObjects, ObjectStore


@pytest.fixture(params=["folder", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return FolderObjects(tmp_path)
    pytest.importorskip("boto3", reason="absent: boto3 (extra s3)")
    from edgewright.stores.s3 import S3Objects

    return S3Objects(request.getfixturevalue("bucket"))


def test_the_newest_content_of_a_name_wins(objects: ObjectStore) -> None:
    assert objects.get("run/latest.json") is None
    objects.put("run/latest.json", b"one")
    objects.put("run/latest.json", b"two")
    assert objects.get("run/latest.json") == b"two"


def test_names_are_found_by_their_beginning(objects: ObjectStore) -> None:
    for name in ("a/checkpoint-2", "a/checkpoint-1", "a/latest", "b/latest"):
        objects.put(name, b"x")
    assert objects.names("a/checkpoint-") == ["a/checkpoint-1", "a/checkpoint-2"]
    objects.remove("a/checkpoint-1")
    objects.remove("a/checkpoint-1")
    assert objects.names("a/") == ["a/checkpoint-2", "a/latest"]


@pytest.mark.parametrize("name", ["", "../up", "a//b", "/root", "a b"])
def test_a_name_that_not_every_store_can_hold_is_refused(objects: ObjectStore, name: str) -> None:
    with pytest.raises(InputError, match="object name"):
        objects.put(name, b"x")


def test_a_folder_that_is_not_mounted_is_away_and_not_created(tmp_path: Path) -> None:
    drive = tmp_path / "drive"
    with pytest.raises(TransportError, match="is not there; mount it"):
        FolderObjects(drive).put("a", b"x")
    assert not drive.exists()


def test_a_bucket_that_does_not_answer_is_tried_later(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("boto3", reason="absent: boto3 (extra s3)")
    from edgewright.stores.s3 import S3Objects

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with pytest.raises(TransportError, match="did not answer"):
        S3Objects("s3://shelf?endpoint=http://127.0.0.1:1&region=us-east-1").get("a")


def test_an_absent_bucket_and_a_wrong_address_are_told_apart(bucket: str) -> None:
    from edgewright.stores.s3 import S3Objects

    with pytest.raises(InputError, match="no such bucket"):
        S3Objects(bucket.replace("shelf", "other")).put("a", b"x")
    for wrong in ("s3://", "http://shelf", "s3://key:secret@shelf", "s3://shelf?acl=public"):
        with pytest.raises(InputError, match="no address of a bucket"):
            S3Objects(wrong)


def test_a_key_given_in_an_address_is_never_repeated() -> None:
    pytest.importorskip("boto3", reason="absent: boto3 (extra s3)")
    from edgewright.stores.s3 import S3Objects

    with pytest.raises(InputError) as caught:
        S3Objects("s3://AKIA:hidden@shelf")
    assert "hidden" not in str(caught.value)
