from pathlib import Path

import pytest

from edgewright.errors import TrustError
from edgewright.stores import FolderBlobs


def test_a_flipped_bit_is_told_when_it_is_read(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    sha256 = blobs.add(b"weights")
    blobs.path(sha256).write_bytes(b"weighus")
    with pytest.raises(TrustError, match="hashes to"):
        blobs.read(sha256)


def test_no_temp_file_stays_when_a_stream_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrustError):
        FolderBlobs(tmp_path).add_stream([b"x"], sha256="0" * 64)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_ids_leave_out_what_is_no_blob(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    assert list(blobs.ids()) == []
    sha256 = blobs.add(b"weights")
    (tmp_path / sha256[:2] / "note.txt").write_text("not a blob")
    assert list(blobs.ids()) == [sha256]
