"""The rule that decides the next wave of a rollout: (state, events, now) -> (state, actions).

Values in, values out: no disk, no network, no clock. The shell (`edgewright.fleet.rollouts`) turns
what devices and people do into events, calls `step`, and stores the new state and the actions in
one transaction.

What holds after every step, whatever happens (`tests/unit/fleet/test_rollout_properties.py`):

- A device gets an order only while the rollout is running or trailing and its wave is open.
- Never more devices hold an unfinished order than the largest opened wave has.
- When failures reach the threshold the rollout is aborted in the same step. So at most
  `error_percent` of the finished devices (or `error_min_count`) plus the devices in flight fail.
  (A device that goes back after it had succeeded counts as failed too: the soak is there for it.)
- A wave opens only after the one before it has passed: enough devices reached, none of those still
  updating, enough of them succeeded, enough of those with a validation that is VALID-PASS, and the
  soak is over. A wave that cannot get there any more is paused.
- Never more orders in any span of the rollout's clock than `starts_per_min` allows for it, and one
  second's worth (or one order) more.
- A device whose validation is VALID-FAIL has failed; INVALID is neither success nor failure.
- A device that acknowledged an order and then falls silent has failed at its deadline. One that was
  not heard of since its wave opened is pending: it counts in `min_reached` and triggers nothing.
- Word of a step counts only while the order is on offer: when a pause withdrew it in the meantime,
  the device goes back to what it ran, and its silence afterwards is no failure.

Time is the rollout's own clock: seconds in which the fleet watched. A step far away from the last
one, as after an outage of the fleet or a jump of its clock, counts `TICK_LIMIT_S` at most, so that
devices which could not report are not taken for silent.

    >>> state = begin([("a",), ("b",)], Limits(soak_s=0), now_s=0.0)
    >>> step(state, [Seen("a"), Seen("b")], now_s=1.0).actions
    (Order(device='a'),)
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from edgewright.fleet.rollout_terms import (
    FINAL,
    IN_FLIGHT,
    WATCHED,
    Abort,
    Acknowledged,
    Action,
    Command,
    Committed,
    Event,
    Failed,
    Left,
    Limits,
    Member,
    Note,
    Order,
    Outcome,
    Pause,
    Recall,
    Resume,
    Retry,
    RolloutState,
    Seen,
    Standing,
    Status,
    Told,
    Validated,
)

TICK_LIMIT_S = 10.0
SAVED_UP_S = 1.0


def begin(waves: Sequence[Sequence[str]], limits: Limits, *, now_s: float) -> RolloutState:
    """A rollout whose first wave is open."""
    members = {
        device: Member(wave=number, standing="waiting" if number else "pending")
        for number, devices in enumerate(waves)
        for device in devices
    }
    return RolloutState(limits=limits, members=members, ticked_at_s=now_s)


def step(state: RolloutState, events: Iterable[Event], *, now_s: float) -> Outcome:
    """Take events, watch deadlines, judge, and only then give orders."""
    turn = _Turn(state, now_s)
    seen = []
    for event in events:
        if isinstance(event, Seen):
            seen.append(event.device)
        else:
            turn.take(event)
    turn.watch_deadlines()
    turn.judge()
    turn.give_orders(seen)
    return turn.outcome()


_NEXT: dict[type[Event], Standing] = {
    Acknowledged: "updating",
    Committed: "succeeded",
    Failed: "failed",
    Left: "left",
}


class _Turn:
    """The working copy of one step."""

    def __init__(self, state: RolloutState, now_s: float) -> None:
        self.limits = state.limits
        self.members = dict(state.members)
        self.status: Status = state.status
        self.reason = state.reason
        self.open_wave = state.open_wave
        self.last_wave = state.waves - 1
        self.passed_at_s = state.passed_at_s
        passed_s = min(max(now_s - state.ticked_at_s, 0.0), TICK_LIMIT_S)
        self.elapsed_s = state.elapsed_s + passed_s
        self.allowance = self._allowed(state.allowance, passed_s)
        self.now_s = now_s
        self.actions: list[Action] = []

    def outcome(self) -> Outcome:
        state = RolloutState(
            limits=self.limits,
            members=self.members,
            ticked_at_s=self.now_s,
            status=self.status,
            reason=self.reason,
            open_wave=self.open_wave,
            passed_at_s=self.passed_at_s,
            elapsed_s=self.elapsed_s,
            allowance=self.allowance,
        )
        return Outcome(state, tuple(self.actions))

    def take(self, event: Told | Command) -> None:
        match event:
            case Pause(reason):
                self._pause(reason)
            case Resume():
                self._resume()
            case Retry(reason):
                self._retry(reason)
            case Abort(reason, returns):
                self._abort(reason, returns=returns)
            case _:
                self._hear(event)

    def watch_deadlines(self) -> None:
        """Silence after an acknowledgement is failure; an offer that nobody took lapses."""
        for device, member in list(self.members.items()):
            if self.elapsed_s - member.since_s < self.limits.deadline_s:
                continue
            if member.standing == "updating":
                self._fail(device, f"no result {self.limits.deadline_s:g} s after it acknowledged")
            elif member.standing == "ordered":
                self._set(device, "pending")
                self.actions.append(Recall(device))

    def judge(self) -> None:
        if self.status in WATCHED:
            self._abort_when_crossed()
        while self.status == "running" and self._is_wave_over():
            self._open_next()
        if self.status == "running":
            self._pause_when_hopeless()
        if self.status == "trailing" and self._are_all_final():
            self._change("done", "every device is settled")

    def give_orders(self, seen: Sequence[str]) -> None:
        if self.status not in ("running", "trailing"):
            return
        free = self._capacity() - sum(m.standing in IN_FLIGHT for m in self.members.values())
        for device in dict.fromkeys(seen):
            member = self.members.get(device)
            if free < 1 or (self.limits.starts_per_min is not None and self.allowance < 1):
                return
            if member is not None and member.standing == "pending":
                self._set(device, "ordered")
                self.actions.append(Order(device))
                free -= 1
                self.allowance -= self.limits.starts_per_min is not None

    def _allowed(self, saved: float, passed_s: float) -> float:
        """What the start rate allows now: what was saved, up to what one look may have missed."""
        rate = self.limits.starts_per_min
        if rate is None:
            return saved
        return min(saved + passed_s * rate / 60, max(1.0, rate * SAVED_UP_S / 60))

    def _hear(self, event: Told) -> None:
        member = self.members.get(event.device)
        if member is None or member.standing in ("failed", "left"):
            return
        match event:
            case Validated():
                self._take_verdict(event, member)
            case Failed(device, reason) if member.standing == "succeeded":
                self._fail(device, f"after it had succeeded: {reason}")
            case _ if member.standing == "succeeded":
                return
            case Failed(device, reason):
                self._fail(device, reason)
            case Acknowledged() if member.standing != "ordered":
                return  # its order was withdrawn before this word came, or it was never given
            case _:
                reason = event.reason if isinstance(event, Left) else ""
                self._set(event.device, _NEXT[type(event)], reason)

    def _take_verdict(self, event: Validated, member: Member) -> None:
        """Of the release as this rollout brought it; what an earlier try told says nothing."""
        if member.standing not in ("ordered", "updating", "succeeded"):
            return
        if event.verdict == "VALID-FAIL":
            came = "after it had succeeded: " if member.standing == "succeeded" else ""
            self._fail(event.device, f"{came}its validation is VALID-FAIL: {event.reason}")
            return
        self.members[event.device] = msgspec.structs.replace(member, validation=event.verdict)

    def _fail(self, device: str, reason: str) -> None:
        self._set(device, "failed", reason)
        self.actions.append(Recall(device))

    def _set(self, device: str, standing: Standing, reason: str = "") -> None:
        before = self.members[device]
        is_new_try = standing in ("pending", "ordered")
        self.members[device] = Member(
            wave=before.wave,
            standing=standing,
            since_s=self.elapsed_s,
            reason=reason,
            validation="" if is_new_try else before.validation,
        )

    def _change(self, status: Status, reason: str) -> None:
        self.status = status
        self.reason = reason
        self.actions.append(Note(f"{status}: {reason}" if reason else status))

    def _pause(self, reason: str) -> None:
        if self.status not in ("running", "trailing"):
            return
        self._withdraw_offers()
        self._change("paused", reason)

    def _resume(self) -> None:
        if self.status == "paused":
            self.passed_at_s = None
            self._change("running", "")

    def _retry(self, reason: str) -> None:
        if self.status == "aborted":
            return
        again = [d for d, member in self.members.items() if member.standing == "failed"]
        for device in again:
            is_open = self.members[device].wave <= self.open_wave
            self._set(device, "pending" if is_open else "waiting")
        if again:
            status: Status = "trailing" if self.status in ("trailing", "done") else "running"
            self.passed_at_s = None if status == "running" else self.passed_at_s
            self._change(status, f"{len(again)} failed device(s) try again: {reason}")

    def _abort(self, reason: str, *, returns: bool) -> None:
        if self.status == "aborted" and not returns:
            return
        self._withdraw_offers()
        if returns:
            self.actions += [
                Recall(device)
                for device, member in self.members.items()
                if member.standing in ("updating", "succeeded", "failed", "left")
            ]
        self._change("aborted", reason)

    def _withdraw_offers(self) -> None:
        for device, member in list(self.members.items()):
            if member.standing == "ordered":
                self._set(device, "pending")
                self.actions.append(Recall(device))

    def _count(self, *, in_open_wave: bool) -> Counter[Standing]:
        return Counter(
            member.standing
            for member in self.members.values()
            if not in_open_wave or member.wave == self.open_wave
        )

    def _capacity(self) -> int:
        sizes = Counter(member.wave for member in self.members.values())
        return max((sizes[wave] for wave in range(self.open_wave + 1)), default=0)

    def _abort_when_crossed(self) -> None:
        wave = self._count(in_open_wave=True)
        whole = self._count(in_open_wave=False)
        least = min(self.limits.error_min_count, max(1, _size(wave)))
        for name, count, least_failed in (
            (f"wave {self.open_wave + 1}", wave, least),
            ("the rollout", whole, self.limits.error_min_count),
        ):
            finished = count["failed"] + count["succeeded"]
            share = 100 * count["failed"]
            if count["failed"] >= least_failed and share >= self.limits.error_percent * finished:
                self._abort(
                    f"{count['failed']} of {finished} finished devices failed in {name}, the limit "
                    f"is {self.limits.error_percent:g} % and {least_failed}",
                    returns=self.limits.returns_on_abort,
                )
                return

    def _is_wave_over(self) -> bool:
        count = self._count(in_open_wave=True)
        finished = count["succeeded"] + count["failed"]
        enough = 100 * count["succeeded"] >= self.limits.success_percent * finished
        enough = enough and self._validated() >= self._validated_needed(count)
        if self.passed_at_s is None:
            reached = finished + count["updating"]
            needed = self.limits.min_reached_percent * _size(count)
            is_reached = 100 * reached >= needed and (reached > 0 or _size(count) == 0)
            if not (enough and is_reached and count["updating"] == 0):
                return False
            self.passed_at_s = self.elapsed_s
            self.actions.append(
                Note(f"wave {self.open_wave + 1} passed: {count['succeeded']} of {finished}")
            )
        if not enough:
            self.passed_at_s = None
            return False
        return self.elapsed_s - self.passed_at_s >= self.limits.soak_s

    def _open_next(self) -> None:
        if self.open_wave >= self.last_wave:
            self._change("trailing", "every wave has passed")
            return
        self.open_wave += 1
        self.passed_at_s = None
        for device, member in list(self.members.items()):
            if member.wave == self.open_wave and member.standing == "waiting":
                self._set(device, "pending")
        self.actions.append(Note(f"wave {self.open_wave + 1} of {self.last_wave + 1} opened"))

    def _pause_when_hopeless(self) -> None:
        count = self._count(in_open_wave=True)
        best = _size(count) - count["failed"]
        if 100 * best < self.limits.success_percent * _size(count):
            self._pause(
                f"wave {self.open_wave + 1} cannot pass: {count['failed']} of {_size(count)} "
                f"devices failed, {self.limits.success_percent:g} % must succeed"
            )
            return
        needed = self._validated_needed(count)
        if self._validated(or_may_be=True) < needed:
            invalid = sum(member.validation == "INVALID" for member in self._open_members())
            self._pause(
                f"wave {self.open_wave + 1} cannot pass: {self._validated()} device(s) succeeded "
                f"with a validation that is VALID-PASS, {needed} must; {invalid} told INVALID. "
                "The remote command probe has a device measure again"
            )

    def _open_members(self) -> list[Member]:
        return [member for member in self.members.values() if member.wave == self.open_wave]

    def _validated_needed(self, wave: Counter[Standing]) -> int:
        return min(self.limits.validated_min_count, _size(wave))

    def _validated(self, *, or_may_be: bool = False) -> int:
        """How many of the open wave succeeded with VALID-PASS, and maybe those that still can."""
        return sum(
            member.validation == "VALID-PASS"
            if member.standing == "succeeded"
            else or_may_be and member.standing not in FINAL and member.validation != "INVALID"
            for member in self._open_members()
        )

    def _are_all_final(self) -> bool:
        return all(member.standing in FINAL for member in self.members.values())


def _size(count: Counter[Standing]) -> int:
    return count.total() - count["left"]
