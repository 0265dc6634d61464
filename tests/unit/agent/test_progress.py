import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.device.agent.machine import CRASH_LIMIT, TABLE, Event, State
from edgewright.device.agent.progress import (
    Outcome,
    Progress,
    Release,
    advanced,
    begun,
    damaged,
    ordered_back,
    resumed,
    stopped,
)
from edgewright.errors import InputError

A, B, C = "a" * 64, "b" * 64, "c" * 64
GOOD_PATH = [
    Event.OFFERED,
    Event.DONE,
    Event.DONE,
    Event.DONE,
    Event.PASSED,
    Event.SKIPPED,
    Event.DONE,
    Event.PASSED,
    Event.DONE,
]
BUSY = [state for state in State if state is not State.IDLE]


def release(bundle: str = B, **fields: str) -> Release:
    return Release(model="m", bundle_id=bundle, version="2", **fields)


def at(state: State, **fields: object) -> Progress:
    return Progress(model="m", state=state, release=release(), good=A, **fields)


def after(progress: Progress, *events: Event, reason: str = "why", landed: str = "") -> Progress:
    for event in events:
        outcome = Outcome(event=event, reason=reason, landed=landed)
        progress = advanced(progress, outcome, at_s=1.0)
    return progress


def test_a_good_release_is_committed_and_the_old_one_kept() -> None:
    progress = after(begun(Progress(model="m", good=A, factory=A), release(), at_s=0), *GOOD_PATH)
    assert (progress.state, progress.good, progress.previous) == (State.IDLE, B, A)
    assert progress.factory == A
    assert progress.committed == (B, A)


def test_the_first_committed_bundle_is_the_factory_one() -> None:
    progress = after(begun(Progress(model="m"), release(), at_s=0), *GOOD_PATH)
    assert (progress.good, progress.previous, progress.factory) == (B, "", B)


def test_committing_clears_the_bad_mark() -> None:
    marked = after(at(State.PROBE), Event.REFUSED)
    assert marked.why_bad(B) == "why"
    assert after(begun(marked, release(), at_s=0), *GOOD_PATH).why_bad(B) == ""


@pytest.mark.parametrize("state", [s for s in BUSY if Event.REFUSED in TABLE[s].on])
def test_a_refused_release_is_marked_bad_with_its_reason(state: State) -> None:
    progress = after(at(state), Event.REFUSED, reason="it is wrong")
    assert progress.why_bad(B) == "it is wrong"
    assert progress.good == A


@pytest.mark.parametrize("state", BUSY)
def test_a_failed_or_cancelled_release_is_not_blamed(state: State) -> None:
    for event in {Event.FAILED, Event.CANCELLED} & set(TABLE[state].on):
        assert after(at(state), event).bad == ()


@pytest.mark.parametrize("state", BUSY)
def test_three_cuts_without_progress_give_the_release_up(state: State) -> None:
    progress = at(state)
    for count in range(1, CRASH_LIMIT):
        progress = resumed(progress, at_s=count)
        if TABLE[state].resumes_at is State.IDLE:
            return
        assert (progress.state, progress.bad) == (state, ())
    progress = resumed(progress, at_s=3)
    assert progress.state is TABLE[state].gives_up_to
    assert "3 of 3" in progress.why_bad(B)


def test_the_last_good_bundle_is_never_marked_bad() -> None:
    progress = msgspec.structs.replace(at(State.PROBE), good=B, tries={State.PROBE: 2})
    assert resumed(progress, at_s=0).bad == ()
    assert after(progress, Event.REFUSED).bad == ()


def test_progress_resets_the_count_of_that_state() -> None:
    progress = resumed(at(State.VERIFY), at_s=0)
    assert progress.tries == {State.VERIFY: 1}
    assert after(progress, Event.DONE).tries == {}


def test_a_download_that_grew_is_progress() -> None:
    progress = resumed(at(State.DOWNLOAD), at_s=0, moved_bytes=10)
    for moved in (20, 30, 40, 50):
        progress = resumed(progress, at_s=0, moved_bytes=moved)
        assert progress.state is State.DOWNLOAD
    for _ in range(2):
        progress = resumed(progress, at_s=0, moved_bytes=50)
    assert progress.state is State.IDLE


def test_a_clean_stop_is_no_cut() -> None:
    progress = at(State.PROBATION)
    for _ in range(5):
        progress = resumed(stopped(progress, at_s=0), at_s=0)
        assert (progress.state, progress.tries.get(State.PROBATION, 0)) == (State.PROBATION, 0)


def test_counts_are_kept_when_the_same_release_comes_again() -> None:
    failed = after(resumed(at(State.STAGE), at_s=0), Event.FAILED)
    assert failed.tries == {State.STAGE: 1}
    assert begun(failed, release(), at_s=0).tries == {State.STAGE: 1}
    assert begun(failed, release(C), at_s=0).tries == {}


def test_three_time_outs_blame_the_release_except_for_slow_networks() -> None:
    for state, is_blamed in ((State.VERIFY, True), (State.DOWNLOAD, False)):
        progress = at(state)
        for _ in range(CRASH_LIMIT):
            idle = after(progress, Event.TIMED_OUT)
            progress = msgspec.structs.replace(idle, state=state)
        assert bool(progress.bad) is is_blamed


def test_going_back_swaps_and_marks_what_was_left() -> None:
    progress = Progress(model="m", good=B, previous=A, factory=A)
    ordered = ordered_back(progress, reason="too hot", at_s=0)
    done = after(ordered, Event.DONE, landed=A, reason="too hot")
    assert (done.state, done.good, done.previous) == (State.IDLE, A, "")
    assert done.why_bad(B) == "too hot"


def test_going_back_needs_an_earlier_bundle() -> None:
    with pytest.raises(InputError, match="no earlier bundle"):
        ordered_back(Progress(model="m", good=A, factory=A), reason="", at_s=0)


def test_a_damaged_slot_blames_nobody() -> None:
    progress = damaged(Progress(model="m", good=B, previous=A, factory=A), reason="bit", at_s=0)
    done = after(progress, Event.DONE, landed=A)
    assert (done.good, done.bad) == (A, ())


def test_a_rollback_that_stays_on_the_good_bundle_keeps_the_one_before() -> None:
    progress = msgspec.structs.replace(at(State.ROLLBACK), previous=C, factory=C)
    done = after(progress, Event.DONE, landed=A)
    assert (done.good, done.previous, done.factory) == (A, C, C)


def test_nothing_is_committed_when_a_rollback_found_no_slot() -> None:
    assert after(at(State.ROLLBACK), Event.DONE, landed="").committed == ()


def test_slots_in_use_are_needed() -> None:
    progress = msgspec.structs.replace(at(State.PROBE), previous=C)
    assert progress.needed == {A, B, C}
    assert after(progress, Event.REFUSED).needed == {A, C}


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 200])
def test_a_model_name_that_could_be_a_path_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="model name"):
        Release(model=name, bundle_id=A)


@pytest.mark.parametrize("bundle", ["", "..", "A" * 64, "a" * 63])
def test_a_bundle_id_that_is_no_hash_is_refused(bundle: str) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal"):
        Release(model="m", bundle_id=bundle)


STEPS = st.lists(
    st.one_of(st.sampled_from(list(Event)), st.sampled_from(["cut", "stop", "take", "back"])),
    max_size=60,
)


@given(STEPS)
def test_whatever_happens_the_way_back_stays(steps: list[object]) -> None:
    """Any order of events, cuts, stops and orders: the good bundle is never marked bad, is never
    collected, and changes by commit and rollback only.
    """
    progress = Progress(model="m", good=A, factory=A)
    for number, step in enumerate(steps):
        before = progress
        progress = _one_step(progress, step, number)
        assert progress.good in progress.needed or not progress.good
        assert not progress.why_bad(progress.good)
        if progress.good != before.good:
            assert before.state in {State.COMMIT, State.ROLLBACK}
        assert msgspec.json.decode(msgspec.json.encode(progress), type=Progress) == progress


def _one_step(progress: Progress, step: object, number: int) -> Progress:
    is_idle = progress.state is State.IDLE
    if step == "cut":
        return resumed(progress, at_s=number)
    if step == "stop" and not is_idle:
        return resumed(stopped(progress, at_s=number), at_s=number)
    if step == "take" and is_idle:
        return begun(progress, release(f"{number % 5:x}" * 64), at_s=number)
    if step == "back" and is_idle and len(progress.committed) > 1:
        return ordered_back(progress, reason="ordered", at_s=number)
    if isinstance(step, Event) and not is_idle and step in TABLE[progress.state].on:
        landed = progress.committed[-1] if progress.committed else ""
        return after(progress, step, landed=landed)
    return progress
