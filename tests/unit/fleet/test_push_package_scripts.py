"""What runs on a machine that is given the package: whose venvs it takes, and what a cut leaves."""

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from edgewright.fleet.push import package_scripts as scripts

# A Python whose venvs hold a program that says which set of wheels it came with, and whose pip has
# nothing to do; what it is told to run, the real one runs.
PYTHON = f"""#!/bin/sh
case "$1 $2" in
"-m venv")
  mkdir -p "$3/bin"
  cp "$0" "$3/bin/python"
  : >"$3/pyvenv.cfg"
  printf '#!/bin/sh\\necho edgewright %s\\n' "${{3##*/}}" >"$3/bin/edgewright"
  chmod +x "$3/bin/edgewright" ;;
"-m pip") ;;
*) if [ -n "$NO_EXCHANGE" ]; then exit 1; fi; exec {sys.executable} "$@" ;;
esac
"""

# A command that kills the shell which runs it when it is the Nth of its kind.
DEADLY = """#!/bin/sh
count=$(($(cat "$COUNT") + 1))
echo "$count" >"$COUNT"
if [ "$count" = "$KILL_AT" ]; then kill -9 "$PPID"; exit 9; fi
exec /bin/NAME "$@"
"""

LONGEST = 8
"""More commands that move or link something than one installation has."""


class Box:
    """A machine's folder with a shell's commands in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.link = folder, folder / "opt" / "ew"
        self.link.parent.mkdir()
        self.tools = folder / "tools"
        self.tools.mkdir()
        self.program(self.tools / "python", PYTHON)
        for name in ("mv", "ln"):
            self.program(self.tools / name, DEADLY.replace("NAME", name))
        self.kill_at = ""
        self.no_exchange = ""

    @staticmethod
    def program(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def venv(self, path: Path, version: str = "old") -> Path:
        self.program(path / "bin" / "edgewright", f"#!/bin/sh\necho edgewright {version}\n")
        (path / "pyvenv.cfg").touch()
        return path

    def run(self, script: str, *words: str) -> "subprocess.CompletedProcess[bytes]":
        (self.folder / "count").write_text("0")
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w"):
            pass
        more = {
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "COUNT": str(self.folder / "count"),
            "KILL_AT": self.kill_at,
            "NO_EXCHANGE": self.no_exchange,
        }
        return subprocess.run(
            ["/bin/sh", "-c", script, "script", *words],
            input=tar.getvalue(),
            env=os.environ | more,
            capture_output=True,
            check=False,
            timeout=30,
        )

    def look(self, program: str = "", venv: str = "") -> dict[str, str]:
        done = self.run(scripts.LOOK, program, venv)
        lines = done.stdout.decode().splitlines()
        return {key: value for key, _, value in (line.partition("=") for line in lines)}

    def install(self, wheels: str, extras: str = "") -> str:
        """Returns what counted before; empty after a kill."""
        words = (str(self.link), wheels, str(self.tools / "python"), "edgewright==1", extras)
        done = self.run(scripts.INSTALL, *words)
        assert done.returncode in ((0,) if not self.kill_at else (0, -9)), done.stderr.decode()
        return done.stdout.decode().rpartition("before=")[2].strip()

    @property
    def answers(self) -> str:
        program = self.link / "bin" / "edgewright"
        if not program.exists():
            return ""
        return subprocess.check_output([program], text=True).split()[-1]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_somebody_elses_venv_on_the_path_is_left_alone(box: Box) -> None:
    theirs = box.venv(box.folder / "project" / ".venv")
    found = box.look(str(theirs / "bin" / "edgewright"))
    assert found["venv"] != str(theirs)
    assert found["other"] == str(theirs)
    assert "has" not in found or found["has"] != "edgewright old"


def test_our_own_venv_on_the_path_is_found_again_with_its_extras(box: Box) -> None:
    box.install("aaaa", extras="mqtt,serial")
    found = box.look(str(box.link / "bin" / "edgewright"))
    assert (found["venv"], found["has"]) == (str(box.link), "edgewright aaaa")
    assert found["extras"] == "mqtt,serial"
    assert "other" not in found


def test_a_venv_that_is_named_is_taken_and_a_folder_that_is_none_is_not(box: Box) -> None:
    box.venv(box.link)
    assert "taken" not in box.look(venv=str(box.link))
    other = box.folder / "data"
    other.mkdir()
    assert "taken" not in box.look(venv=str(other))  # empty: nothing is lost
    (other / "file").touch()
    assert box.look(venv=str(other))["taken"] == "yes"


@pytest.mark.parametrize("no_exchange", ["", "yes"])
@pytest.mark.parametrize("kill_at", range(1, LONGEST))
def test_a_cut_during_the_first_takeover_loses_nothing(
    box: Box, kill_at: int, no_exchange: str
) -> None:
    box.venv(box.link)
    box.kill_at, box.no_exchange = str(kill_at), no_exchange
    box.install("aaaa")
    if not no_exchange:
        assert box.answers in ("old", "aaaa")  # never a moment without a program
    box.kill_at = ""
    before = box.install("aaaa")
    assert (box.answers, before) == ("aaaa", f"{box.link}.versions/first")
    assert box.run(scripts.RETURN, str(box.link), before).returncode == 0
    assert box.answers == "old"


@pytest.mark.parametrize("kill_at", range(1, LONGEST))
def test_a_cut_during_an_update_leaves_the_way_back(box: Box, kill_at: int) -> None:
    box.install("aaaa")
    box.kill_at = str(kill_at)
    box.install("bbbb")
    assert box.answers in ("aaaa", "bbbb")
    box.kill_at = ""
    before = box.install("bbbb")
    assert (box.answers, before) == ("bbbb", f"{box.link}.versions/aaaa")


def test_only_what_counts_and_what_counted_before_is_kept(box: Box) -> None:
    box.venv(box.link)
    for wheels in ("aaaa", "bbbb", "cccc"):
        before = box.install(wheels)
        assert box.run(scripts.TIDY, str(box.link), before).returncode == 0
    kept = {path.name for path in Path(f"{box.link}.versions").iterdir() if path.is_dir()}
    assert kept == {"bbbb", "cccc"}
