"""OpenVINO's two files as one."""

from pathlib import Path

import pytest

from edgewright.errors import InputError
from edgewright.runtimes.openvino_file import pack_parts, read_parts


def test_packed_parts_come_back_and_pack_to_the_same_bytes(tmp_path: Path) -> None:
    packed = pack_parts(b"<net/>", b"\x00\x01")
    path = tmp_path / "blob"
    path.write_bytes(packed)
    assert read_parts(path) == (b"<net/>", b"\x00\x01")
    assert pack_parts(b"<net/>", b"\x00\x01") == packed


def test_loose_parts_are_read_together(tmp_path: Path) -> None:
    (tmp_path / "m.xml").write_bytes(b"<net/>")
    with pytest.raises(InputError, match=r"its weights m\.bin are not beside it"):
        read_parts(tmp_path / "m.xml")
    (tmp_path / "m.bin").write_bytes(b"w")
    assert read_parts(tmp_path / "m.xml") == (b"<net/>", b"w")


@pytest.mark.parametrize("content", [b"PK\x03\x04", pack_parts(b"a", b"b")[:-30]])
def test_a_broken_archive_is_refused_by_path(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.zip").write_bytes(content)
    with pytest.raises(InputError, match=r"m\.zip: no OpenVINO model inside"):
        read_parts(tmp_path / "m.zip")
