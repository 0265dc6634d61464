"""The public conformance suite of TUF against `edgewright trust client`.

    git clone https://github.com/theupdateframework/tuf-conformance /tmp/tuf-conformance
    EDGEWRIGHT_TUF_CONFORMANCE=/tmp/tuf-conformance make prove SUITE=tuf_conformance

Needs `faketime` (Debian package) for the tests that stand at another time. About two minutes.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree as ET

from _results import Recording

PLACE = "EDGEWRIGHT_TUF_CONFORMANCE"
CLIENT = f"{sys.executable} -m edgewright trust client"
TIMEOUT_S = 1200


def main() -> None:
    suite = _suite()
    with tempfile.TemporaryDirectory() as folder, Recording("tuf_conformance") as recording:
        report = Path(folder) / "report.xml"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                *("tuf_conformance", "--entrypoint", CLIENT, f"--junitxml={report}"),
            ],
            cwd=suite,
            env={**os.environ, "PYTHONPATH": str(suite), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            timeout=TIMEOUT_S,
            check=False,
        )
        outcomes = _outcomes(report)
        counts = Counter(outcomes.values())
        recording.figures["tests"] = len(outcomes)
        recording.figures["passed"] = counts["passed"]
        recording.figures["not_passed"] = len(outcomes) - counts["passed"]
        recording.raw["suite_commit"] = _commit(suite)
        recording.raw["tuf"] = metadata.version("tuf")
        recording.raw["not_passed"] = {
            name: outcome for name, outcome in outcomes.items() if outcome != "passed"
        }
        recording.raw["pytest_exit_code"] = done.returncode
        if not outcomes:
            sys.exit("the suite ran no test; see its output above")
    sys.exit(0 if counts["passed"] == len(outcomes) else 1)


def _suite() -> Path:
    """The suite's folder, or the end with what is missing."""
    named = os.environ.get(PLACE, "")
    suite = Path(named)
    if not named or not (suite / "tuf_conformance" / "conftest.py").is_file():
        sys.exit(
            f"{PLACE}={named}: there is no tuf-conformance suite; clone "
            "https://github.com/theupdateframework/tuf-conformance and name its folder"
        )
    if shutil.which("faketime") is None:
        sys.exit("faketime is not installed, the suite needs it (Debian: apt install faketime)")
    return suite.resolve()


def _outcomes(report: Path) -> dict[str, str]:
    """How each test of a JUnit report ended."""
    if not report.exists():
        return {}
    cases = ET.parse(report).getroot().iter("testcase")
    return {f"{case.get('classname')}::{case.get('name')}": _outcome(case) for case in cases}


def _outcome(case: ET.Element) -> str:
    ended = next(
        (kind for kind in ("failure", "error", "skipped") if case.find(kind) is not None), ""
    )
    return ended or "passed"


def _commit(suite: Path) -> str:
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=suite, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
