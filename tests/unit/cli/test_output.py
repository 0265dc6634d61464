"""Results as JSON."""

import json
from pathlib import Path

import msgspec
import pytest

from edgewright.cli._output import print_json


class Written(msgspec.Struct):
    """What a command that writes a file says."""

    path: Path


def test_the_path_of_a_written_file_is_text(capfd: pytest.CaptureFixture[str]) -> None:
    print_json("written", Written(Path("a/b.ewb")))
    assert json.loads(capfd.readouterr().out)["path"] == "a/b.ewb"


def test_what_json_does_not_know_is_an_error() -> None:
    with pytest.raises(TypeError, match="nothing that JSON knows"):
        print_json("written", {"value": 1j})
