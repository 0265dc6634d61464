"""A token that no list of processes shows."""

import io
from pathlib import Path

import pytest

from edgewright.chain.enrolment import read_token
from edgewright.errors import InputError


def test_a_token_is_read_from_a_file_or_from_stdin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("ewt_1\n")
    assert read_token(tmp_path / "token") == "ewt_1"
    monkeypatch.setattr("sys.stdin", io.StringIO("ewt_2\nmore\n"))
    assert read_token(Path("-")) == "ewt_2"


def test_an_empty_file_holds_none(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    with pytest.raises(InputError, match="no token there"):
        read_token(tmp_path / "token")
