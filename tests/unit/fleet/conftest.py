from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewright.fleet.office import Office
from edgewright.testing import FakeClock
from edgewright.testing.fleet import fleet_office


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def office(tmp_path: Path, clock: FakeClock) -> Iterator[Office]:
    with fleet_office(tmp_path / "home", clock) as made:
        yield made
