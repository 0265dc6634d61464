"""Unit tests of the rooms that a device runs, on arm64. Minutes of emulation: `make test-arm64`."""

from pathlib import Path

import pytest
from tests.arm64.conftest import Run

pytestmark = [pytest.mark.arm64, pytest.mark.timeout(3000)]

UNIT = Path("tests") / "unit"
ONE_TEST_S = 1200
"""Statistics over thousands of draws take minutes in there."""

ROOMS = ("bundle", "contract", "evidence", "runtimes", "steps", "trust")


@pytest.mark.parametrize("room", ROOMS)
def test_unit_tests_of_a_room_pass(python: Run, room: str) -> None:
    words = ("-m", "pytest", "-n0", "-p", "no:cacheprovider", f"--timeout={ONE_TEST_S}", "-q")
    done = python(*words, UNIT / room)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout.splitlines()[-1]
