"""What the agent's own code counts as a life."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edgewright.chain.agent_run import _lived
from edgewright.device.agent import Home, Packages, PinnedKeys, Slots
from edgewright.device.agent.package import STARTS_MOST
from edgewright.errors import DeviceError
from edgewright.testing import MemorySigner
from edgewright.trust import TrustedKeys

ID = "a" * 64


class Ends:
    """A daemon that ends at once, in one way or another."""

    def __init__(self, failure: Exception | None = None, *, wants_restart: bool = False) -> None:
        self._failure, self.wants_restart = failure, wants_restart

    async def run(self) -> None:
        if self._failure:
            raise self._failure


@pytest.fixture
def packages(tmp_path: Path) -> Packages:
    home = Home(tmp_path)
    keys = PinnedKeys(TrustedKeys(threshold=1, keys=(MemorySigner.from_seed(1).public,)))
    return Packages(home, Slots(home.slots, keys, reserve_mb=0), home.packages / ID)


def started_often(packages: Packages, daemon: Any) -> bool:
    """Whether the package is given up after so many starts that ended like this."""
    for _ in range(STARTS_MOST):
        packages.note_start(ID)
        try:
            asyncio.run(_lived(daemon, packages))
        except DeviceError:
            continue
    return packages.is_given_up(ID)


def test_a_package_that_is_stopped_three_times_is_kept(packages: Packages) -> None:
    assert not started_often(packages, Ends())


def test_one_that_fails_or_starts_itself_anew_is_not(packages: Packages) -> None:
    assert started_often(packages, Ends(DeviceError("broken")))
    assert started_often(packages, Ends(wants_restart=True))
