from pathlib import Path

import pytest

from edgewright.errors import InputError
from edgewright.keys import read_or_make_secret


def test_a_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "queue.key"
    secret = read_or_make_secret(path)
    assert len(secret) == 32
    assert read_or_make_secret(path) == secret
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "queue.key"
    read_or_make_secret(path)
    path.chmod(0o644)
    with pytest.raises(InputError, match="may be read by others; chmod 600"):
        read_or_make_secret(path)


def test_another_file_is_no_secret_and_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "queue.key"
    path.write_text("hunter2")
    path.chmod(0o600)
    with pytest.raises(InputError, match="is not 64 hex digits") as caught:
        read_or_make_secret(path)
    assert "hunter2" not in str(caught.value)
