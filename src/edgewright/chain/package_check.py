"""A package's health check: `python -m edgewright.chain.package_check HOME`, run by the new code.

It imports all that an agent needs, reads this device's settings, journal and trust, and verifies
the active slots; then it prints a `ProbeReport`. It changes nothing.
"""

import sys
from pathlib import Path

import msgspec

import edgewright
import edgewright.chain.agent_run  # all that an agent needs must be there
from edgewright.chain import agent as chain
from edgewright.chain.child import die_with_parent
from edgewright.errors import EdgewrightError
from edgewright.telemetry import ProbeReport


def check(home: Path) -> ProbeReport:
    """Whether this code can be the agent of that home."""
    try:
        status = chain.status(home)
    except EdgewrightError as error:
        return ProbeReport(passed=False, reason=str(error))
    active = [slot for model in status.models for slot in model.slots if "current" in slot.roles]
    damaged = [slot.damage for slot in active if slot.damage]
    if damaged:
        return ProbeReport(passed=False, reason=f"it would not run: {damaged[0]}")
    return ProbeReport(
        passed=True,
        reason=f"edgewright {edgewright.__version__} reads this home and its {len(active)} slots",
    )


def main() -> None:
    """Print the report on the home that the command line names."""
    die_with_parent()
    sys.stdout.buffer.write(msgspec.json.encode(check(Path(sys.argv[1]))) + b"\n")


if __name__ == "__main__":
    main()
