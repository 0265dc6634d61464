"""A machine without the package is given it over SSH, without a network: a real OpenSSH server, the
machine's own Python, and wheels of what is installed here.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.ssh_target import EDGEWRIGHT, Remote, checks
from tests.wheelhouse import fill

from edgewright.testing.bundles import build_tiny

asyncssh = pytest.importorskip("asyncssh", reason="absent: asyncssh (extra ssh)")

pytestmark = [pytest.mark.long, pytest.mark.timeout(3000)]


def push(remote: Remote, *words: str) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        [
            *(*EDGEWRIGHT, "push", remote.url, *words, "--json"),
            *("--home", str(remote.folder / "new"), "--venv", str(remote.folder / "opt" / "venv")),
            *("--key", str(remote.folder / "key.pub"), "--identity", str(remote.folder / "user")),
            *("--known-hosts", str(remote.folder / "known_hosts")),
        ],
        capture_output=True,
        check=False,
        timeout=1500,
    )
    report = json.loads(done.stdout) if done.stdout else {}
    return done.returncode, report, f"{done.stdout.decode()} {done.stderr.decode()}"


def version_of(program: Path) -> str:
    return subprocess.check_output([program, "--version"], text=True).split()[-1]


def test_a_bare_machine_is_given_the_package_an_agent_and_a_bundle_and_later_another_package(
    tmp_path: Path,
) -> None:
    # Compiling 200 MB of code three times over is not what is tested.
    remote = Remote(tmp_path, settings="SetEnv PIP_NO_COMPILE=1")
    wheels = fill(tmp_path / "wheels")
    program = tmp_path / "opt" / "venv" / "bin" / "edgewright"
    bundle_id = build_tiny(tmp_path / "1.ewb", name="carried")
    with remote.serving():
        code, report, said = push(remote, str(tmp_path / "1.ewb"), "--wheelhouse", str(wheels))
        assert (code, report["hosts"][0]["action"]) == (0, "pushed"), said
        assert report["hosts"][0]["after"] == bundle_id
        passed = {name for name, status in checks(report).items() if status == "PASSED"}
        assert {"python", "disk for the package", "wheels", "package", "enrolled"} <= passed
        assert checks(report)["agent restarted"] == "NOT MEASURED"
        first = version_of(program)

        code, report, said = push(remote, "--wheelhouse", str(wheels))
        assert (code, report["hosts"][0]["action"]) == (0, "nothing to do"), said

        (wheels / f"edgewright-{first}-py3-none-any.whl").unlink()
        fill(wheels, version="9.1")
        code, report, said = push(remote, "--wheelhouse", str(wheels))
        assert (code, report["hosts"][0]["action"]) == (0, "installed"), said
        assert (report["model"], report["version"]) == ("edgewright", "9.1")
        assert version_of(program) == "9.1"
        kept = list(program.parent.parent.parent.glob("venv.versions/*/bin"))
        assert len(kept) == 2  # this one and the one before

        fill(wheels, version="9.2", appended="\nraise SystemExit('spoiled')\n")
        code, report, said = push(remote, "--wheelhouse", str(wheels))
        assert (code, report["hosts"][0]["action"]) == (6, "failed"), said
        assert "spoiled" in report["hosts"][0]["error"]
        assert version_of(program) == "9.1"

        for wheel in wheels.glob("numpy-*"):
            wheel.unlink()
        code, report, said = push(remote, str(tmp_path / "1.ewb"), "--wheelhouse", str(wheels))
        assert (code, report["hosts"][0]["action"]) == (6, "refused"), said
        assert checks(report)["wheels"] == "FAILED"
        assert "none for numpy" in said
        assert version_of(program) == "9.1"
