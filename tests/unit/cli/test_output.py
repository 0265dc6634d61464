"""Results as JSON."""

import io
import json
import re
import sys
from pathlib import Path

import msgspec
import pytest

from edgewright.cli._output import print_json, print_table


class Written(msgspec.Struct):
    """What a command that writes a file says."""

    path: Path


def test_the_path_of_a_written_file_is_text(capfd: pytest.CaptureFixture[str]) -> None:
    print_json("written", Written(Path("a/b.ewb")))
    assert json.loads(capfd.readouterr().out)["path"] == "a/b.ewb"


def test_what_json_does_not_know_is_an_error() -> None:
    with pytest.raises(TypeError, match="nothing that JSON knows"):
        print_json("written", {"value": 1j})


class Terminal(io.StringIO):
    """One that a person looks at."""

    def isatty(self) -> bool:
        return True


def test_nothing_is_cut_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, digest, name = Terminal(), "9f" * 32, "jetson-orin-nano"
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    print_table("", ("what", "value"), [("bundle", digest)])
    assert digest in terminal.getvalue()
    columns = [f"column {number}" for number in range(8)]
    print_table("", ["name", *columns], [(name, *["words that are many"] * 8)])
    text = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    assert name in text
    assert "\u2026" not in text
    assert max(map(len, text.splitlines())) <= 80
