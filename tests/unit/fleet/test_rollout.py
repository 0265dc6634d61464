import pytest

from edgewright.fleet.rollout import TICK_LIMIT_S, begin, step
from edgewright.fleet.rollout_terms import (
    Abort,
    Acknowledged,
    Committed,
    Event,
    Failed,
    Left,
    Limits,
    Note,
    Order,
    Outcome,
    Pause,
    Recall,
    Resume,
    Retry,
    RolloutState,
    Seen,
    Validated,
)

QUICK = Limits(soak_s=0, deadline_s=5)


class Story:
    """A rollout and its clock, told event by event."""

    def __init__(self, *sizes: int, limits: Limits = QUICK) -> None:
        names = iter(f"d{number:02}" for number in range(1, sum(sizes) + 1))
        waves = [[next(names) for _ in range(size)] for size in sizes]
        self.now_s = 1000.0
        self.state: RolloutState = begin(waves, limits, now_s=self.now_s)

    def tell(self, *events: Event, after_s: float = 0.0) -> Outcome:
        self.now_s += after_s
        outcome = step(self.state, events, now_s=self.now_s)
        self.state = outcome.state
        return outcome

    def update(self, *devices: str) -> Outcome:
        self.tell(*map(Seen, devices))
        return self.tell(*map(Acknowledged, devices))

    def succeed(self, *devices: str) -> Outcome:
        self.update(*devices)
        return self.tell(*map(Committed, devices))

    def standing(self, device: str) -> str:
        return self.state.members[device].standing


def ordered(outcome: Outcome) -> list[str]:
    return [action.device for action in outcome.actions if isinstance(action, Order)]


def recalled(outcome: Outcome) -> list[str]:
    return [action.device for action in outcome.actions if isinstance(action, Recall)]


def test_only_devices_of_the_open_wave_get_orders() -> None:
    story = Story(1, 2)
    assert ordered(story.tell(Seen("d01"), Seen("d02"), Seen("d03"))) == ["d01"]


def test_the_next_wave_opens_when_the_one_before_passed() -> None:
    story = Story(1, 2)
    story.succeed("d01")
    assert story.state.open_wave == 1
    assert ordered(story.tell(Seen("d02"), Seen("d03"))) == ["d02", "d03"]


def test_a_rollout_is_done_when_everybody_succeeded() -> None:
    story = Story(1, 1)
    story.succeed("d01")
    story.succeed("d02")
    assert story.state.status == "done"


def test_the_soak_holds_the_next_wave_back() -> None:
    story = Story(1, 1, limits=Limits(soak_s=8, deadline_s=100))
    story.succeed("d01")
    story.tell(after_s=7)
    assert story.state.open_wave == 0
    story.tell(after_s=1)
    assert story.state.open_wave == 1


def test_a_failing_canary_aborts_and_returns() -> None:
    story = Story(1, 9)
    story.update("d01")
    outcome = story.tell(Failed("d01", "probe: wrong output"))
    assert story.state.status == "aborted"
    assert "1 of 1 finished devices failed in wave 1" in story.state.reason
    assert set(recalled(outcome)) == {"d01"}
    assert ordered(story.tell(Seen("d02"))) == []


def test_an_abort_returns_every_device_that_was_reached() -> None:
    story = Story(2, 4)
    story.succeed("d01", "d02")
    story.update("d03", "d04", "d05")
    outcome = story.tell(Failed("d03", "crash"), Failed("d04", "crash"))
    assert story.state.status == "aborted"
    assert set(recalled(outcome)) == {"d01", "d02", "d03", "d04", "d05"}


def test_an_abort_without_return_leaves_the_good_ones_alone() -> None:
    story = Story(2, 2)
    story.succeed("d01", "d02")
    outcome = story.tell(Abort("enough", returns=False))
    assert recalled(outcome) == []
    assert recalled(story.tell(Abort("all back", returns=True))) == ["d01", "d02"]


def test_one_failure_below_the_least_count_pauses_instead_of_aborting() -> None:
    story = Story(2, 2)
    story.update("d01", "d02")
    story.tell(Failed("d01", "disk full"), Committed("d02"))
    assert story.state.status == "paused"
    assert "cannot pass: 1 of 2" in story.state.reason


def test_failures_below_the_percentage_do_not_abort() -> None:
    story = Story(40, 1, limits=Limits(soak_s=0, error_percent=10, success_percent=90))
    devices = [f"d{number:02}" for number in range(1, 41)]
    story.update(*devices)
    story.tell(*map(Committed, devices[3:]), *(Failed(name, "x") for name in devices[:3]))
    assert story.state.status == "running"
    assert story.state.open_wave == 1


def test_silence_after_an_acknowledgement_is_failure() -> None:
    story = Story(1, 1)
    story.update("d01")
    story.tell(after_s=4.9)
    assert story.standing("d01") == "updating"
    story.tell(after_s=0.1)
    assert story.standing("d01") == "failed"
    assert "no result 5 s after" in story.state.members["d01"].reason


def test_progress_does_not_move_the_deadline() -> None:
    story = Story(1, 1)
    story.update("d01")
    story.tell(Acknowledged("d01"), after_s=4)
    story.tell(Acknowledged("d01"), after_s=1)
    assert story.standing("d01") == "failed"


def test_a_device_that_was_never_seen_triggers_nothing() -> None:
    story = Story(2, 1, limits=Limits(soak_s=0, deadline_s=5, min_reached_percent=100))
    story.succeed("d01")
    for _ in range(100):
        assert story.tell(after_s=10).actions == ()
    assert (story.state.status, story.state.open_wave) == ("running", 0)


def test_a_pending_device_does_not_block_when_enough_are_reached() -> None:
    story = Story(2, 1, limits=Limits(soak_s=0, min_reached_percent=50))
    story.succeed("d01")
    assert story.state.open_wave == 1


def test_a_device_that_comes_late_still_gets_its_order() -> None:
    story = Story(2, 1, limits=Limits(soak_s=0, min_reached_percent=50))
    story.succeed("d01")
    story.succeed("d03")
    assert story.state.status == "trailing"
    story.succeed("d02")
    assert story.state.status == "done"


def test_late_failures_abort_a_trailing_rollout() -> None:
    story = Story(4, limits=Limits(soak_s=0, min_reached_percent=25))
    story.succeed("d01")
    assert story.state.status == "trailing"
    story.update("d02", "d03")
    story.tell(Failed("d02", "crash"), Failed("d03", "crash"))
    assert story.state.status == "aborted"


def test_an_offer_that_nobody_takes_lapses_without_a_failure() -> None:
    story = Story(1)
    story.tell(Seen("d01"))
    outcome = story.tell(after_s=5)
    assert recalled(outcome) == ["d01"]
    assert story.standing("d01") == "pending"
    assert ordered(story.tell(Seen("d01"))) == ["d01"]


def test_an_outage_of_the_fleet_is_not_taken_for_silence() -> None:
    story = Story(1, limits=Limits(deadline_s=TICK_LIMIT_S * 2))
    story.update("d01")
    story.tell(after_s=3600)
    assert story.standing("d01") == "updating"


def test_a_clock_that_jumps_back_stops_no_deadline() -> None:
    story = Story(1)
    story.update("d01")
    story.tell(after_s=-5000)
    story.tell(after_s=5)
    assert story.standing("d01") == "failed"


def test_pause_withdraws_offers_and_lets_updates_finish() -> None:
    story = Story(3)
    story.update("d01")
    story.tell(Seen("d02"))
    outcome = story.tell(Pause("lunch"))
    assert recalled(outcome) == ["d02"]
    assert ordered(story.tell(Seen("d02"), Seen("d03"))) == []
    story.tell(Committed("d01"))
    assert story.standing("d01") == "succeeded"
    story.tell(Resume())
    assert ordered(story.tell(Seen("d02"))) == ["d02"]


def test_failures_abort_a_paused_rollout() -> None:
    story = Story(3)
    story.update("d01", "d02", "d03")
    story.tell(Pause("lunch"))
    story.tell(Failed("d01", "x"), Failed("d02", "x"))
    assert story.state.status == "aborted"


def test_resume_judges_again() -> None:
    story = Story(2)
    story.update("d01", "d02")
    story.tell(Failed("d01", "x"))
    assert story.state.status == "paused"
    outcome = story.tell(Resume())
    assert story.state.status == "paused"
    assert [type(action) for action in outcome.actions] == [Note, Note]


def test_a_device_that_left_counts_no_more() -> None:
    story = Story(2, 1, limits=Limits(soak_s=0, min_reached_percent=100))
    story.succeed("d01")
    story.tell(Left("d02", "revoked"))
    assert story.state.open_wave == 1


def test_going_back_after_success_is_failure() -> None:
    story = Story(2, 1, limits=Limits(soak_s=60))
    story.succeed("d01", "d02")
    outcome = story.tell(Failed("d01", "rollback: errors rose"))
    assert story.standing("d01") == "failed"
    assert story.state.members["d01"].reason.startswith("after it had succeeded")
    assert recalled(outcome) == ["d01"]
    assert story.state.status == "paused"


def test_a_failure_stays() -> None:
    story = Story(1, 1)
    story.update("d01")
    story.tell(Failed("d01", "probe"))
    story.tell(Committed("d01"))
    assert story.standing("d01") == "failed"


def test_events_of_strangers_are_ignored() -> None:
    story = Story(1)
    before = story.state.members
    story.tell(Committed("stranger"), Seen("stranger"), Failed("stranger", "x"))
    assert story.state.members == before


def test_no_more_devices_are_in_flight_than_the_largest_wave_has() -> None:
    story = Story(2, 2, limits=Limits(soak_s=0, min_reached_percent=50))
    story.succeed("d01")
    assert story.state.open_wave == 1
    assert ordered(story.tell(Seen("d02"), Seen("d03"), Seen("d04"))) == ["d02", "d03"]
    assert ordered(story.tell(Seen("d04"))) == []
    story.tell(Acknowledged("d02"), Committed("d02"))
    assert ordered(story.tell(Seen("d04"))) == ["d04"]


def test_each_change_is_noted() -> None:
    story = Story(1, 1)
    outcome = story.succeed("d01")
    notes = [action.text for action in outcome.actions if isinstance(action, Note)]
    assert notes == ["wave 1 passed: 1 of 1", "wave 2 of 2 opened"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"success_percent": 101},
        {"error_percent": -1},
        {"error_min_count": 0},
        {"deadline_s": 0},
        {"soak_s": -1},
    ],
)
def test_limits_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Limits(**wrong)


SHOWN = Limits(soak_s=0, deadline_s=5, validated_min_count=1, success_percent=50)


def test_a_wave_passes_when_enough_of_it_was_validated() -> None:
    story = Story(2, 1, limits=SHOWN)
    story.update("d01", "d02")
    story.tell(Validated("d01", "INVALID", "a busy machine"), Committed("d01"))
    assert story.state.open_wave == 0
    story.tell(Validated("d02", "VALID-PASS"), Committed("d02"))
    assert (story.state.status, story.state.open_wave) == ("running", 1)


def test_a_wave_that_nobody_validated_is_paused_until_a_device_measured_again() -> None:
    story = Story(1, 1, limits=SHOWN)
    story.update("d01")
    story.tell(Validated("d01", "INVALID", "a busy machine"), Committed("d01"))
    assert story.state.status == "paused"
    assert (
        "0 device(s) succeeded with a validation that is VALID-PASS, 1 must" in story.state.reason
    )
    assert "1 told INVALID" in story.state.reason
    story.tell(Resume())
    assert story.state.status == "paused"
    story.tell(Validated("d01", "VALID-PASS"))
    story.tell(Resume())
    assert (story.state.status, story.state.open_wave) == ("running", 1)


def test_devices_that_tell_no_verdict_pause_a_wave_that_needs_one() -> None:
    story = Story(1, 1, limits=SHOWN)
    story.succeed("d01")
    assert (story.state.status, story.state.open_wave) == ("paused", 0)


def test_a_verdict_of_fail_is_the_devices_failure_whether_or_not_it_is_asked_for() -> None:
    story = Story(3, limits=QUICK)
    story.update("d01", "d02", "d03")
    story.tell(Committed("d02"))
    outcome = story.tell(
        Validated("d01", "VALID-FAIL", "p95 9 ms, at most 5"),
        Validated("d02", "VALID-FAIL", "late"),
    )
    assert recalled(outcome)[:2] == ["d01", "d02"]
    member = story.state.members["d01"]
    assert member.reason == "its validation is VALID-FAIL: p95 9 ms, at most 5"
    assert story.state.members["d02"].reason.startswith("after it had succeeded")
    assert story.state.status == "aborted"


def test_a_verdict_of_an_earlier_try_counts_for_nothing() -> None:
    story = Story(3, limits=SHOWN)
    story.update("d01")
    story.tell(Validated("d01", "VALID-PASS"), Failed("d01", "errors rose"))
    story.tell(Retry("once more"), Validated("d01", "VALID-PASS"))
    assert (story.standing("d01"), story.state.members["d01"].validation) == ("pending", "")
    story.succeed("d01")
    assert story.state.members["d01"].validation == ""


def test_limits_below_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="validated_min_count is -1"):
        Limits(validated_min_count=-1)


def test_a_step_told_of_an_order_that_a_pause_withdrew_is_not_waited_for() -> None:
    story = Story(2)
    story.tell(Seen("d01"), Seen("d02"))
    story.tell(Pause("ada"))
    story.tell(Acknowledged("d01"), Acknowledged("d02"))
    assert story.standing("d01") == "pending"
    for _ in range(10):
        story.tell(after_s=QUICK.deadline_s)
    assert (story.state.status, story.standing("d01")) == ("paused", "pending")
    story.tell(Resume())
    assert ordered(story.tell(Seen("d01"), Seen("d02"))) == ["d01", "d02"]


def test_a_retry_opens_no_wave_for_a_device_that_failed_before_its_turn() -> None:
    story = Story(1, 2)
    story.tell(Failed("d03", "refused by hand"))
    story.tell(Retry("ada"))
    assert story.standing("d03") == "waiting"
    assert ordered(story.tell(Seen("d03"))) == []
