from pathlib import Path

import pytest

from edgewright.bundle.recipients import wrap_key
from edgewright.errors import InputError
from edgewright.keys import FileOpener, FileSigner
from edgewright.keys.opener import read_recipient


@pytest.mark.parametrize("password", [None, "s3cret"])
def test_key_survives_its_file(tmp_path: Path, password: str | None) -> None:
    made = FileOpener.create(tmp_path / "k.key", password=password)
    loaded = FileOpener.load(tmp_path / "k.key", password=password)
    wrapped = wrap_key(b"k" * 32, read_recipient(str(tmp_path / "k.pub")), "a" * 64)
    assert loaded.recipient == made.recipient == read_recipient(made.recipient.text)
    assert loaded.open(wrapped, "a" * 64) == b"k" * 32


def test_private_key_file_is_for_its_owner_only(tmp_path: Path) -> None:
    made = FileOpener.load_or_create(tmp_path / "k.key")
    assert (tmp_path / "k.key").stat().st_mode & 0o777 == 0o600
    assert FileOpener.load_or_create(tmp_path / "k.key").recipient == made.recipient
    with pytest.raises(InputError, match="exists already"):
        FileOpener.create(tmp_path / "k.key")


def test_a_key_that_signs_opens_nothing_and_the_other_way_round(tmp_path: Path) -> None:
    FileSigner.create(tmp_path / "sign.key")
    FileOpener.create(tmp_path / "open.key")
    with pytest.raises(InputError, match="a key that signs"):
        FileOpener.load(tmp_path / "sign.key")
    with pytest.raises(InputError, match="not an Ed25519 key"):
        FileSigner.load(tmp_path / "open.key")
    with pytest.raises(InputError, match="names no recipient"):
        read_recipient(str(tmp_path / "sign.pub"))


def test_no_repr_shows_a_private_key(tmp_path: Path) -> None:
    made = FileOpener.create(tmp_path / "k.key")
    assert repr(made) == f"FileOpener({made.recipient.key_id[:12]})"
