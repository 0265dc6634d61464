"""What holds after every step, over random fleets, clocks, failures and commands."""

from collections import Counter
from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewright.fleet.rollout import begin, step
from edgewright.fleet.rollout_terms import (
    FINAL,
    IN_FLIGHT,
    WATCHED,
    Abort,
    Acknowledged,
    Committed,
    Event,
    Failed,
    Left,
    Limits,
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

percents = st.sampled_from([0.0, 10.0, 34.0, 50.0, 95.0, 100.0])
limits = st.builds(
    Limits,
    success_percent=percents,
    error_percent=percents,
    error_min_count=st.integers(1, 4),
    min_reached_percent=percents,
    deadline_s=st.sampled_from([1.0, 5.0, 30.0]),
    soak_s=st.sampled_from([0.0, 3.0]),
    returns_on_abort=st.booleans(),
    starts_per_min=st.sampled_from([None, 6.0, 30.0, 600.0]),
    validated_min_count=st.sampled_from([0, 0, 1, 3]),
)
fleets = st.lists(st.integers(1, 6), min_size=1, max_size=5)
kinds = st.sampled_from(
    ["seen"] * 6
    + ["acknowledge"] * 5
    + ["commit"] * 4
    + ["pass"] * 3
    + ["doubt", "refuse", "fail", "left", "pause", "resume", "abort", "retry"]
)
moves = st.lists(
    st.tuples(
        st.floats(-20, 20, allow_nan=False),
        st.lists(st.tuples(kinds, st.integers(0, 29)), max_size=8),
    ),
    max_size=40,
)


def named(sizes: list[int]) -> list[list[str]]:
    names = iter(f"d{number:02}" for number in range(sum(sizes)))
    return [[next(names) for _ in range(size)] for size in sizes]


def possible(state: RolloutState, kind: str, number: int) -> Event | None:
    """What a device or a person can do in this state. A step may be told late, or of a file that
    was applied by hand, whatever the rollout thinks of the device.
    """
    device = f"d{number:02}"
    member = state.members.get(device)
    standing = member.standing if member else "stranger"
    needed = {
        "acknowledge": ("waiting", "pending", "ordered", "updating"),
        "commit": ("updating",),
        "fail": ("updating", "succeeded"),
        "pass": ("ordered", "updating", "succeeded"),
        "doubt": ("ordered", "updating", "succeeded"),
        "refuse": ("updating", "succeeded"),
    }
    if standing not in needed.get(kind, (standing,)):
        return None
    events: dict[str, Event] = {
        "seen": Seen(device),
        "acknowledge": Acknowledged(device),
        "commit": Committed(device),
        "fail": Failed(device, "probe failed"),
        "pass": Validated(device, "VALID-PASS"),
        "doubt": Validated(device, "INVALID", "a busy machine"),
        "refuse": Validated(device, "VALID-FAIL", "p95 120 ms, at most 50 ms"),
        "left": Left(device, "revoked"),
        "pause": Pause("somebody"),
        "resume": Resume(),
        "retry": Retry("somebody"),
        "abort": Abort("somebody", number % 2 == 0),
    }
    return events[kind]


def in_flight(state: RolloutState) -> int:
    return sum(member.standing in IN_FLIGHT for member in state.members.values())


def check_orders(before: RolloutState, outcome: Outcome) -> None:
    for action in outcome.actions:
        if isinstance(action, Order):
            assert outcome.state.status in ("running", "trailing")
            assert outcome.state.members[action.device].wave <= outcome.state.open_wave
            assert before.members[action.device].standing not in FINAL | {"updating"}


def check_blast_radius(before: RolloutState, state: RolloutState, sizes: list[int]) -> None:
    capacity = max(sizes[: state.open_wave + 1])
    assert in_flight(state) <= capacity
    count = Counter(member.standing for member in state.members.values())
    finished = count["failed"] + count["succeeded"]
    tolerated = max(state.limits.error_min_count, state.limits.error_percent * finished / 100)
    went_back = sum(
        member.standing == "failed" and before.members[device].standing == "succeeded"
        for device, member in state.members.items()
    )
    before_failed = sum(member.standing == "failed" for member in before.members.values())
    assert count["failed"] <= before_failed + in_flight(before) + went_back
    if before.status in WATCHED:
        assert count["failed"] <= tolerated + max(sizes[: before.open_wave + 1]) + went_back
    if state.status in WATCHED:
        crossed = count["failed"] >= state.limits.error_min_count
        assert not crossed or 100 * count["failed"] < state.limits.error_percent * finished


def check_waves(before: RolloutState, outcome: Outcome) -> None:
    """A wave opens only behind one that passed; with a soak, one at a time."""
    state = outcome.state
    assert state.open_wave >= before.open_wave
    if state.limits.soak_s and any(m.standing != "left" for m in state.members.values()):
        lived = [
            wave
            for wave in range(before.open_wave, state.open_wave)
            if any(m.wave == wave and m.standing != "left" for m in state.members.values())
        ]
        assert len(lived) <= 1
    for wave in range(before.open_wave, state.open_wave):
        members = [m for m in state.members.values() if m.wave == wave and m.standing != "left"]
        done = [m.standing for m in members if m.standing in ("succeeded", "failed")]
        assert 100 * done.count("succeeded") >= state.limits.success_percent * len(done)
        assert done or not members
        shown = [m for m in members if m.standing == "succeeded" and m.validation == "VALID-PASS"]
        assert len(shown) >= min(state.limits.validated_min_count, len(members))
    for member in state.members.values():
        assert (member.standing == "waiting") <= (member.wave > state.open_wave)


def check_finals(before: RolloutState, state: RolloutState) -> None:
    for device, member in before.members.items():
        if member.standing in ("failed", "left"):
            assert state.members[device] == member
        if member.standing == "succeeded":
            assert state.members[device].standing in ("succeeded", "failed")
    if before.status == "aborted":
        assert state.status == "aborted"
    assert state.elapsed_s >= before.elapsed_s


def check_return(before: RolloutState, outcome: Outcome) -> None:
    state = outcome.state
    if state.status != "aborted" or before.status == "aborted":
        return
    returned = {action.device for action in outcome.actions if isinstance(action, Recall)}
    exposed = {
        device
        for device, member in state.members.items()
        if member.standing in ("updating", "succeeded", "failed")
    }
    offered = {d for d, m in before.members.items() if m.standing == "ordered"}
    assert offered <= returned | exposed | {
        d for d, m in state.members.items() if m.standing == "left"
    }
    if state.limits.returns_on_abort and "finished devices failed" in state.reason:
        assert exposed <= returned


def check_all(before: RolloutState, outcome: Outcome, sizes: list[int]) -> None:
    check_orders(before, outcome)
    check_blast_radius(before, outcome.state, sizes)
    check_waves(before, outcome)
    check_finals(before, outcome.state)
    check_return(before, outcome)


@settings(max_examples=150, deadline=None)
@given(limits=limits, sizes=fleets, moves=moves)
def test_a_rollout_keeps_its_promises(
    limits: Limits, sizes: list[int], moves: list[tuple[float, list[tuple[str, int]]]]
) -> None:
    now_s = 0.0
    state = begin(named(sizes), limits, now_s=now_s)
    for passed_s, wishes in moves:
        now_s += passed_s
        heard: dict[str, Event] = {}
        for kind, number in wishes:
            event = possible(state, kind, number)
            if event is not None:
                heard.setdefault(f"d{number:02}" if hasattr(event, "device") else kind, event)
        again = [event for event in heard.values() if isinstance(event, Retry)]
        outcome = step(state, again or heard.values(), now_s=now_s)
        check_all(forgiven(state) if again else state, outcome, sizes)
        state = outcome.state


def forgiven(state: RolloutState) -> RolloutState:
    """The state as a retry sees it: who had failed is pending again."""
    if state.status == "aborted":
        return state
    members = {
        device: msgspec.structs.replace(member, standing="pending", reason="")
        if member.standing == "failed"
        else member
        for device, member in state.members.items()
    }
    return msgspec.structs.replace(state, members=members)


@settings(max_examples=60, deadline=None)
@given(
    rate=st.sampled_from([6.0, 30.0, 600.0]),
    size=st.integers(1, 60),
    passes=st.lists(st.floats(-5, 30), min_size=1, max_size=60),
)
def test_no_span_starts_more_devices_than_the_rate_allows(
    rate: float, size: int, passes: list[float]
) -> None:
    state = begin(named([size]), Limits(starts_per_min=rate), now_s=0.0)
    now_s, started = 0.0, list[tuple[float, int]]()
    for passed_s in passes:
        now_s += passed_s
        outcome = step(state, [Seen(device) for device in state.members], now_s=now_s)
        state = outcome.state
        orders = sum(isinstance(action, Order) for action in outcome.actions)
        started.append((state.elapsed_s, orders))
    for first in range(len(started)):
        for last in range(first, len(started)):
            span_s = started[last][0] - started[first][0]
            count = sum(orders for _, orders in started[first : last + 1])
            assert count <= max(1.0, rate / 60) + rate * span_s / 60 + 1e-6


def test_a_retry_gives_the_failed_another_try_and_an_aborted_rollout_none() -> None:
    state = begin([["a", "b"]], Limits(soak_s=0, error_min_count=2, success_percent=0), now_s=0.0)
    for device in ("a", "b"):
        state = step(state, [Seen("a"), Seen("b")], now_s=1.0).state
        state = step(state, [Acknowledged(device)], now_s=2.0).state
    state = step(state, [Failed("a", "no disk"), Committed("b")], now_s=3.0).state
    state = step(state, [], now_s=4.0).state
    assert (state.status, state.members["a"].standing) == ("done", "failed")
    outcome = step(state, [Retry("disk was freed")], now_s=5.0)
    assert outcome.state.status == "trailing"
    outcome = step(outcome.state, [Seen("a")], now_s=6.0)
    assert outcome.actions == (Order("a"),)
    state = step(outcome.state, [Acknowledged("a"), Committed("a")], now_s=7.0).state
    assert state.status == "done"
    gone = step(state, [Abort("enough", returns=True)], now_s=8.0).state
    assert step(gone, [Retry("please")], now_s=9.0).state.status == "aborted"


def next_event(state: RolloutState, device: str, luck: float) -> Event:
    """What a device that is here does next, one time in ten badly."""
    match state.members[device].standing:
        case "ordered":
            return Acknowledged(device)
        case "updating":
            return Committed(device) if luck > 0.1 else Failed(device, "probe failed")
        case "succeeded" if luck < 0.02:
            return Failed(device, "errors rose")
        case _:
            return Seen(device)


@settings(max_examples=100, deadline=None)
@given(limits=limits, sizes=fleets, rng=st.randoms(use_true_random=False), here=st.floats(0.1, 1))
def test_a_fleet_that_comes_and_goes_keeps_the_promises(
    limits: Limits, sizes: list[int], rng: Random, here: float
) -> None:
    now_s = 0.0
    state = begin(named(sizes), limits, now_s=now_s)
    for _ in range(40):
        now_s += rng.uniform(-1, 5)
        present = [device for device in state.members if rng.random() < here]
        events = [next_event(state, device, rng.random()) for device in present]
        outcome = step(state, events, now_s=now_s)
        check_all(state, outcome, sizes)
        state = outcome.state


@settings(max_examples=60, deadline=None)
@given(limits=limits, sizes=fleets)
def test_a_good_release_reaches_everybody(limits: Limits, sizes: list[int]) -> None:
    now_s = 0.0
    state = begin(named(sizes), limits, now_s=now_s)
    for _ in range(20 * len(sizes) + 20 + 12 * sum(sizes)):
        now_s += 1.0
        events: list[Event] = []
        for device, member in state.members.items():
            match member.standing:
                case "ordered":
                    events.append(Acknowledged(device))
                case "updating":
                    events += [Validated(device, "VALID-PASS"), Committed(device)]
                case _:
                    events.append(Seen(device))
        state = step(state, events, now_s=now_s).state
    assert state.status == "done"
    assert {member.standing for member in state.members.values()} == {"succeeded"}


@settings(max_examples=60, deadline=None)
@given(sizes=fleets, needed=st.integers(1, 7), verdicts=st.randoms(use_true_random=False))
def test_no_wave_opens_behind_one_that_was_not_validated(
    sizes: list[int], needed: int, verdicts: Random
) -> None:
    limits = Limits(soak_s=0, validated_min_count=needed, error_min_count=99)
    state = begin(named(sizes), limits, now_s=0.0)
    for now_s in range(1, 4 * sum(sizes)):
        events: list[Event] = []
        for device, member in state.members.items():
            if member.standing == "updating":
                events.append(Validated(device, verdicts.choice(["VALID-PASS", "INVALID"])))
                events.append(Committed(device))
            else:
                events.append(
                    Acknowledged(device) if member.standing == "ordered" else Seen(device)
                )
        state = step(state, events, now_s=float(now_s)).state
    passed = Counter(m.wave for m in state.members.values() if m.validation == "VALID-PASS")
    short = [wave for wave, size in enumerate(sizes) if passed[wave] < min(needed, size)]
    if short:
        assert (state.status, state.open_wave) == ("paused", short[0])
        assert "VALID-PASS" in state.reason
    else:
        assert state.status == "done"


@settings(max_examples=60, deadline=None)
@given(sizes=fleets, returns=st.booleans())
def test_a_bad_release_stops_in_its_first_wave(sizes: list[int], returns: bool) -> None:
    state = begin(named(sizes), Limits(soak_s=0, returns_on_abort=returns), now_s=0.0)
    for now_s in range(1, 40):
        events: list[Event] = [
            Acknowledged(device)
            if member.standing == "ordered"
            else Failed(device, "wrong output")
            if member.standing == "updating"
            else Seen(device)
            for device, member in state.members.items()
        ]
        state = step(state, events, now_s=float(now_s)).state
    count = Counter(member.standing for member in state.members.values())
    assert state.status == "aborted"
    assert count["failed"] <= sizes[0]
    assert count["succeeded"] == 0


@given(limits=limits, sizes=fleets, rounds=st.integers(1, 50))
def test_a_fleet_that_is_away_triggers_nothing(
    limits: Limits, sizes: list[int], rounds: int
) -> None:
    state = begin(named(sizes), limits, now_s=0.0)
    for now_s in range(rounds):
        outcome = step(state, [], now_s=now_s * 10.0)
        assert outcome.actions == ()
        state = outcome.state
    assert (state.status, state.open_wave) == ("running", 0)
