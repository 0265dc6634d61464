"""What is counted of simulated devices: a return is no repetition, a stop no step."""

from edgewright.device.agent import Progress, Release
from edgewright.device.agent.machine import State
from edgewright.device.agent.progress import STOPPED
from edgewright.device.sim import Tally

FIRST, SECOND = "a" * 64, "b" * 64


def step(bundle_id: str, state: State, event: str = "done") -> Progress:
    release = Release(model="tiny", bundle_id=bundle_id, version="1")
    return Progress(model="tiny", state=state, event=event, release=release)


def test_return_to_the_bundle_before_is_not_taken_twice() -> None:
    tally = Tally()
    for bundle_id in (FIRST, SECOND, FIRST):
        for state in (State.DOWNLOAD, State.COMMIT):
            tally.note("d1", step(bundle_id, state))
    assert (len(tally.commits), tally.twice, tally.begun_again) == (3, 0, 0)


def test_same_bundle_again_is_counted_when_nothing_came_between() -> None:
    tally = Tally()
    for state in (State.DOWNLOAD, State.DOWNLOAD, State.COMMIT, State.COMMIT):
        tally.note("d1", step(FIRST, state))
        tally.note("d2", step(SECOND, state))
    assert (tally.twice, tally.begun_again) == (2, 2)


def test_being_stopped_in_a_state_is_no_step() -> None:
    tally = Tally()
    tally.note("d1", step(FIRST, State.COMMIT))
    tally.note("d1", step(FIRST, State.COMMIT, STOPPED))
    assert (len(tally.commits), tally.twice) == (1, 0)
