"""That the names of new folders survive a power cut, seen at the system calls."""

import shutil
import sys
from pathlib import Path

import pytest

from edgewright.testing.kills import record

MAKING = "import sys, pathlib, edgewright._fs as fs; fs.make_dirs(pathlib.Path(sys.argv[1]))"


def test_each_folder_is_synced_into_the_one_above_it(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("absent: strace (Debian package strace)")
    command = [sys.executable, "-c", MAKING, str(tmp_path / "home" / "slots" / "tiny")]
    points = record(command, below=tmp_path.parent, trace=tmp_path / "trace")
    calls = [(p.call, p.path.removeprefix(tmp_path.name).strip("/")) for p in points]
    assert calls[-6:] == [
        ("mkdir", "home"),
        ("fsync", ""),
        ("mkdir", "home/slots"),
        ("fsync", "home"),
        ("mkdir", "home/slots/tiny"),
        ("fsync", "home/slots"),
    ]
