"""schemathesis over the whole OpenAPI of a fleet, once as every role and once as nobody: no answer
may be a server error.
"""

import argparse
import re
import subprocess
from pathlib import Path

from _fleet import prepare, serving
from _results import Recording
from edgewright.chain.fleet import open_fleet
from edgewright.fleet.roles import ROLES
from edgewright.fleet.rollout_plan import RolloutOrder

EXAMPLES = 8
LONGEST_S = 300


def schema(folder: Path, recording: Recording, options: argparse.Namespace) -> None:
    """Needs `--schemathesis VENV`, a virtual environment in which it is installed."""
    if options.schemathesis is None:
        raise SystemExit("schema: name a venv with schemathesis, --schemathesis VENV")
    place = prepare(folder, versions=2, uses=3)
    tokens = {"nobody": ""}
    with open_fleet(place.home) as office:
        for name in ("d1", "d2"):
            office.devices.enrol(place.token, name, {"site": "x"})
        office.rollouts.start(RolloutOrder(release="tiny@1", query="device=d1"), by="bench")
        for role in ROLES:
            office.users.add(role, role, by="bench")
            tokens[role] = office.users.create_token(role, lifetime_s=3600, by="bench").token
    cases = errors = operations = 0
    with serving(place.home) as process:
        for role, token in tokens.items():
            told = _run(options.schemathesis, process.people, token, options.seed)
            found = {key: _number(pattern, told) for key, pattern in PATTERNS.items()}
            recording.raw[role] = found
            cases += found["cases"]
            errors += found["server_errors"]
            operations = found["operations"]
    recording.raw["schemathesis"] = _version(options.schemathesis)
    recording.figures["roles"] = len(ROLES)
    recording.figures["operations"] = operations
    recording.figures["requests"] = cases
    recording.figures["server_errors"] = errors


PATTERNS = {
    "operations": r"Tested: (\d+)",
    "cases": r"(\d+) generated",
    "server_errors": r"Server error: (\d+)",
}


def _run(venv: Path, people: str, token: str, seed: int) -> str:
    header = ["--header", f"Authorization: Bearer {token}"] if token else []
    done = subprocess.run(
        [
            *(str(venv / "bin/schemathesis"), "run", f"{people}/api/v1/schema/openapi.json"),
            *(*header, "--checks", "not_a_server_error", "--max-examples", str(EXAMPLES)),
            *("--phases", "coverage,fuzzing", "--workers", "1", "--seed", str(seed)),
            *("--suppress-health-check", "all", "--no-color"),
        ],
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    if "Test cases:" not in done.stdout:
        raise SystemExit(f"schemathesis did not finish: {done.stdout[-500:]} {done.stderr[-500:]}")
    return done.stdout


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    return int(found[1]) if found else 0


def _version(venv: Path) -> str:
    command = [str(venv / "bin/schemathesis"), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()
