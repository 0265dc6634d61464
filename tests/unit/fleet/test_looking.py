import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from edgewright.errors import ResourceError
from edgewright.fleet import looking
from edgewright.fleet.looking import looked
from edgewright.fleet.state import SqliteState


class FarState(SqliteState):
    """Told to be far away."""

    @property
    def is_local(self) -> bool:
        return False


@pytest.mark.parametrize(("kind", "is_here"), [(SqliteState, True), (FarState, False)])
def test_a_file_is_looked_into_at_once_and_another_host_from_another_thread(
    tmp_path: Path, kind: Any, is_here: bool
) -> None:
    state = kind(tmp_path / "fleet.db")
    thread = asyncio.run(looked(state, threading.get_ident))
    assert (thread == threading.get_ident()) == is_here
    state.close()


def test_a_database_that_does_not_answer_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "LOOK_LIMIT_S", 0.05)
    state, answer = FarState(tmp_path / "fleet.db"), threading.Event()

    async def case() -> None:
        with pytest.raises(ResourceError, match="did not answer within"):
            await looked(state, answer.wait)
        answer.set()

    asyncio.run(case())
    state.close()
