"""Branches of chosen rooms that the rooms' own unit tests and doctests take; `make check` runs it.

Only the tests of those rooms run, so the gate costs seconds and says more than a whole run would: a
room counts as covered when its own tests cover it, not when others pass through.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = Path("src/edgewright")
LIMIT_PERCENT = 90.0


def main() -> int:
    parser = argparse.ArgumentParser(description="Gate on the branch coverage of rooms.")
    parser.add_argument("rooms", nargs="+", help="as named under src/edgewright")
    rooms = parser.parse_args().rooms
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        code = run_tests(rooms, report)
        if code != 0:
            return code
        shares = branch_shares(json.loads(report.read_text(encoding="utf-8")), rooms)
    print("\n".join(lines(shares)))
    return int(any(share < LIMIT_PERCENT for share in shares.values()))


def run_tests(rooms: Iterable[str], report: Path) -> int:
    """Run the unit tests and doctests of the rooms under coverage."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-m", "not long"]
    command += ["--doctest-modules"]
    command += ["--cov=edgewright", "--cov-branch", f"--cov-report=json:{report}", *paths(rooms)]
    own_data = {**os.environ, "COVERAGE_FILE": str(report.with_name("data"))}
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(command, cwd=ROOT, env=own_data, stdout=output, check=False)
        if done.returncode != 0:
            output.seek(0)
            print(output.read())
    return done.returncode


def paths(rooms: Iterable[str]) -> list[str]:
    """Where the tests of the rooms are, as pytest takes them."""
    found = []
    for room in rooms:
        tests = Path("tests/unit") / room
        found.append(
            tests if (ROOT / tests).is_dir() else tests.with_name(f"test_{room.lstrip('_')}.py")
        )
        code = SOURCE / room
        found.append(code if (ROOT / code).is_dir() else code.with_suffix(".py"))
    return [str(path) for path in found]


def branch_shares(
    report: Mapping[str, Mapping[str, dict[str, dict[str, int]]]], rooms: Iterable[str]
) -> dict[str, float]:
    """Percent of the branches of each room that were taken."""
    taken, all_branches = Counter[str](), Counter[str]()
    for file, found in report["files"].items():
        room = Path(file).relative_to(SOURCE).parts[0].removesuffix(".py")
        taken[room] += found["summary"]["covered_branches"]
        all_branches[room] += found["summary"]["num_branches"]
    return {
        room: 100.0 * taken[room] / all_branches[room] if all_branches[room] else 100.0
        for room in rooms
    }


def lines(shares: Mapping[str, float]) -> list[str]:
    """A room a line, and what is wrong with it."""
    return [
        f"{room:12} {share:5.1f} % of branches"
        + ("" if share >= LIMIT_PERCENT else f", the limit is {LIMIT_PERCENT:g} %")
        for room, share in shares.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
