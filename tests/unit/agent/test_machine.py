from collections.abc import Iterator

import pytest

from edgewright.device.agent.machine import TABLE, Event, State, next_state

BUSY = [state for state in State if state is not State.IDLE]
RESULTS = {Event.DONE, Event.PASSED, Event.SKIPPED, Event.OFFERED}


def walk(start: State, *, without: set[tuple[State, Event]] = frozenset()) -> set[State]:
    """The states that can be reached, by events and by cuts, without some of the edges."""
    found, waiting = set(), [start]
    while waiting:
        state = waiting.pop()
        if state in found:
            continue
        found.add(state)
        row = TABLE[state]
        after = [to for event, to in row.on.items() if (state, event) not in without]
        waiting += [*after, row.resumes_at, row.gives_up_to]
    return found


def edges() -> Iterator[tuple[State, Event, State]]:
    for state, row in TABLE.items():
        for event, after in row.on.items():
            yield state, event, after


def test_every_state_has_a_row_with_a_crash_rule_and_a_deadline() -> None:
    assert set(TABLE) == set(State)
    for row in TABLE.values():
        assert row.resumes_at in State
        assert row.gives_up_to in State
        assert row.deadline_s > 0


def test_every_state_but_idle_ends_in_time() -> None:
    assert {state for state in State if TABLE[state].deadline_s == float("inf")} == {State.IDLE}


@pytest.mark.parametrize("state", list(State))
def test_idle_is_reachable_from_every_state(state: State) -> None:
    assert State.IDLE in walk(state)


@pytest.mark.parametrize("state", list(State))
def test_every_state_is_reachable_from_idle(state: State) -> None:
    assert state in walk(State.IDLE)


@pytest.mark.parametrize("goal", [State.ACTIVATE, State.PROBATION, State.COMMIT])
@pytest.mark.parametrize(
    "start",
    [s for s in State if s not in {State.SHADOW, State.ACTIVATE, State.PROBATION, State.COMMIT}],
)
def test_only_a_passed_probe_leads_to_activation_and_commit(start: State, goal: State) -> None:
    assert goal not in walk(start, without={(State.PROBE, Event.PASSED)})


def test_only_a_passed_or_skipped_probation_leads_to_commit() -> None:
    into = {(state, event) for state, event, after in edges() if after is State.COMMIT}
    assert into == {(State.PROBATION, Event.PASSED), (State.PROBATION, Event.SKIPPED)}


@pytest.mark.parametrize("state", BUSY)
def test_every_busy_state_can_be_cancelled_and_times_out(state: State) -> None:
    assert {Event.CANCELLED, Event.TIMED_OUT} <= set(TABLE[state].on)


@pytest.mark.parametrize("state", BUSY)
def test_a_cancelled_update_never_commits(state: State) -> None:
    after = next_state(state, Event.CANCELLED)
    assert after in {State.IDLE, State.ROLLBACK}
    assert State.COMMIT not in {TABLE[after].on.get(event) for event in RESULTS}


@pytest.mark.parametrize("state", [State.ACTIVATE, State.PROBATION, State.COMMIT])
@pytest.mark.parametrize("event", [Event.REFUSED, Event.FAILED, Event.CANCELLED, Event.TIMED_OUT])
def test_a_candidate_that_may_be_active_is_left_by_rollback(state: State, event: Event) -> None:
    assert next_state(state, event) is State.ROLLBACK
    assert TABLE[state].gives_up_to is State.ROLLBACK


@pytest.mark.parametrize("state", BUSY)
def test_a_cut_never_moves_an_update_forward(state: State) -> None:
    order = list(State)
    row = TABLE[state]
    assert row.resumes_at in {state, State.IDLE}
    assert row.gives_up_to in {State.IDLE, State.ROLLBACK}
    assert order.index(row.resumes_at) <= order.index(state)


def test_a_probe_that_was_killed_can_only_run_again() -> None:
    killed = [(state, after) for state, event, after in edges() if event is Event.KILLED]
    assert killed == [(State.PROBE, State.PROBE)]


def test_an_event_that_cannot_be_is_a_defect() -> None:
    with pytest.raises(KeyError):
        next_state(State.IDLE, Event.PASSED)


def test_stored_words_do_not_change() -> None:
    assert " ".join(State) == (
        "idle check download verify stage probe shadow activate probation commit rollback"
    )
