"""What a search's own folder remembers for a call that goes on where this one was stopped."""

from pathlib import Path

from edgewright.workbench.optimize.workspace import Workspace


def test_cpu_seconds_of_a_stopped_call_are_not_forgotten(tmp_path: Path) -> None:
    stopped = Workspace(tmp_path, "0" * 64)
    stopped.open()
    assert stopped.spent_s() == 0.0
    stopped.keep_spent(12.5)

    again = Workspace(tmp_path, "0" * 64)
    again.open()

    assert again.spent_s() == 12.5


def test_another_search_begins_at_nothing(tmp_path: Path) -> None:
    first = Workspace(tmp_path, "0" * 64)
    first.open()
    first.keep_spent(12.5)

    other = Workspace(tmp_path, "1" * 64)
    other.open()

    assert other.spent_s() == 0.0
