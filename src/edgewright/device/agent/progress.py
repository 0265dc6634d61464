"""Where one model's update stands, as a value: what every journal line holds whole.

Pure. `begun`, `advanced` and `resumed` turn one line into the next by the table of `machine`. The
newest line alone says everything (slots, counters, bad releases), so that a lost line costs one
step and never the way back.
"""

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from edgewright.device.agent.machine import CRASH_LIMIT, TABLE, Event, State, next_state
from edgewright.errors import InputError

SCHEMA_VERSION = 1
BAD_LIMIT = 32

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

CRASHED = "crashed"
STOPPED = "stopped"
WAITING = "waiting"
OPENED = "opened"
KEPT = "kept"


class Release(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A bundle that an update is about: offered by a fleet, a file or an air-gap
    parcel, left by order or repair.

    Values from outside come in here: names that could be paths are refused.
    """

    model: str
    bundle_id: str
    version: str = ""
    origin: Literal["fleet", "file", "parcel", "order", "repair"] = "fleet"
    path: str = ""
    file_sha256: str = ""
    file_size_bytes: int = 0
    rollout: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.model):
            raise ValueError(f"model name {self.model[:80]!r} is not a bundle's name")
        if not _SHA256.fullmatch(self.bundle_id):
            raise ValueError(f"bundle id {self.bundle_id[:80]!r} is not 64 hexadecimal digits")
        if self.file_sha256 and not _SHA256.fullmatch(self.file_sha256):
            raise ValueError(f"file hash {self.file_sha256[:80]!r} is not 64 hexadecimal digits")


class BadRelease(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle this device will not take from the fleet again, and why."""

    bundle_id: str
    reason: str
    at_s: float
    version: str = ""


class Baseline(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the old model did just before it was replaced: its traffic as the server counted it, and
    the times of its answers to golden requests. `overhead_ms` is what the way to a candidate in a
    process of its own adds to an answer.
    """

    requests: int = 0
    errors: int = 0
    answers: int = 0
    median_ms: float = 0.0
    p95_ms: float = 0.0
    overhead_ms: float = 0.0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a state ended. `landed` is the bundle that a rollback returned to ("" is none)."""

    event: Event
    reason: str = ""
    landed: str = ""
    baseline: Baseline | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One model's update at one moment. `good` is the last committed bundle, `previous` the one
    before it, `factory` the first; `event` and `reason` say how `state` was reached.
    """

    model: str
    state: State = State.IDLE
    event: str = ""
    reason: str = ""
    at_s: float = 0.0
    release: Release | None = None
    good: str = ""
    previous: str = ""
    factory: str = ""
    tries: Mapping[State, int] = {}
    moved_bytes: int = 0
    bad: tuple[BadRelease, ...] = ()
    baseline: Baseline | None = None
    schema_version: int = SCHEMA_VERSION

    @property
    def committed(self) -> tuple[str, ...]:
        """The bundles a device may return to by itself, best first."""
        return tuple(dict.fromkeys(b for b in (self.good, self.previous, self.factory) if b))

    @property
    def needed(self) -> frozenset[str]:
        """The bundles whose slots must stay."""
        in_work = {self.release.bundle_id} if self.release and self.state is not State.IDLE else ()
        return frozenset(self.committed).union(in_work)

    def why_bad(self, bundle_id: str) -> str:
        """The reason a bundle is marked bad, "" when it is not."""
        return next((bad.reason for bad in self.bad if bad.bundle_id == bundle_id), "")


def begun(progress: Progress, release: Release, *, at_s: float) -> Progress:
    """An idle model takes up a release."""
    is_same = progress.release is not None and progress.release.bundle_id == release.bundle_id
    return msgspec.structs.replace(
        progress,
        state=next_state(progress.state, Event.DUE),
        event=Event.DUE,
        reason="",
        at_s=at_s,
        release=release,
        tries=progress.tries if is_same else {},
        moved_bytes=progress.moved_bytes if is_same else 0,
        baseline=None,
    )


def is_settled(progress: Progress, release: Release) -> bool:
    """Whether nothing is left to do about a fleet's release: it runs here, or is marked bad."""
    return progress.good == release.bundle_id or bool(progress.why_bad(release.bundle_id))


def is_answered(progress: Progress, release: Release) -> bool:
    """Whether the newest line is about this very order already."""
    last = progress.release
    return last is not None and (last.origin, last.bundle_id, last.rollout) == (
        release.origin,
        release.bundle_id,
        release.rollout,
    )


def answered(progress: Progress, release: Release, *, at_s: float) -> Progress:
    """The line for an order of what is settled: without it the fleet waits for word until the
    order's deadline, and takes the silence for a failure.
    """
    runs = progress.good == release.bundle_id
    why_bad = progress.why_bad(release.bundle_id)
    return msgspec.structs.replace(
        progress,
        event=KEPT if runs else Event.REFUSED,
        reason="it runs here already" if runs else f"found bad here before: {why_bad}",
        at_s=at_s,
        release=release,
        tries={},
        moved_bytes=0,
    )


def ordered_back(progress: Progress, *, reason: str, at_s: float) -> Progress:
    """An idle model is told to return to the bundle before.

    Raises:
        InputError: there is none.
    """
    if len(progress.committed) < 2:
        raise InputError(
            f"model {progress.model!r} has no earlier bundle on this device",
            hint="apply the bundle file that you want: edgewright agent apply FILE",
        )
    return msgspec.structs.replace(
        progress,
        state=next_state(progress.state, Event.ORDERED_BACK),
        event=Event.ORDERED_BACK,
        reason=reason,
        at_s=at_s,
        release=Release(model=progress.model, bundle_id=progress.good, origin="order"),
        tries={},
    )


def damaged(progress: Progress, *, reason: str, at_s: float) -> Progress:
    """An idle model's committed slot does not verify: return to an older one. No release is blamed,
    so the fleet may heal the device by offering the same bundle again.
    """
    return msgspec.structs.replace(
        progress,
        state=next_state(progress.state, Event.DAMAGED),
        event=Event.DAMAGED,
        reason=reason,
        at_s=at_s,
        release=Release(model=progress.model, bundle_id=progress.good, origin="repair"),
        tries={},
    )


def advanced(progress: Progress, outcome: Outcome, *, at_s: float) -> Progress:
    """The state ended: the next line of the journal."""
    after = msgspec.structs.replace(
        progress,
        state=next_state(progress.state, outcome.event),
        event=outcome.event,
        reason=outcome.reason,
        at_s=at_s,
        tries=_tries_after(progress, outcome.event),
        baseline=outcome.baseline or progress.baseline,
    )
    if outcome.event is Event.REFUSED:
        after = _marked_bad(after, outcome.reason)
    if outcome.event is Event.TIMED_OUT and _is_third_timeout(progress):
        after = _marked_bad(after, outcome.reason)
    if progress.state is State.COMMIT and outcome.event is Event.DONE:
        after = _committed(after)
    if progress.state is State.ROLLBACK and outcome.event is Event.DONE:
        after = _returned(after, outcome.landed)
    return after


def resumed(progress: Progress, *, at_s: float, moved_bytes: int = 0) -> Progress:
    """An agent starts and finds a state that was never left: the line that says so.

    Counts the cut, unless the state had moved on (more bytes of a download), was left by a clean
    stop or only waited; the third one without progress gives the release up.
    """
    state = progress.state
    if state is State.IDLE:
        return progress
    row = TABLE[state]
    has_moved = moved_bytes > progress.moved_bytes
    before = 0 if has_moved else progress.tries.get(state, 0)
    count = before if progress.event in {STOPPED, WAITING} else before + 1
    gives_up = count >= CRASH_LIMIT
    reason = f"cut off in {state} ({count} of {CRASH_LIMIT} without progress)"
    after = msgspec.structs.replace(
        progress,
        state=row.gives_up_to if gives_up else row.resumes_at,
        event=CRASHED,
        reason=reason,
        at_s=at_s,
        tries={} if gives_up else {**progress.tries, state: count},
        moved_bytes=max(moved_bytes, progress.moved_bytes),
    )
    return _marked_bad(after, reason) if gives_up else after


def stopped(progress: Progress, *, at_s: float) -> Progress:
    """The agent was asked to end in this state: the next start does not count it as a cut."""
    return msgspec.structs.replace(
        progress, event=STOPPED, reason="the agent was stopped", at_s=at_s
    )


def waiting(progress: Progress, *, reason: str, at_s: float) -> Progress:
    """Nothing is done in this state before a maintenance window opens; a cut is not counted."""
    return msgspec.structs.replace(progress, event=WAITING, reason=reason, at_s=at_s)


def opened(progress: Progress, *, at_s: float) -> Progress:
    """The window is open: cuts count again."""
    return msgspec.structs.replace(progress, event=OPENED, reason="", at_s=at_s)


def _is_third_timeout(progress: Progress) -> bool:
    """A slow network blames nobody; any other state that never ends blames the release."""
    is_local = progress.state not in {State.CHECK, State.DOWNLOAD}
    return is_local and progress.tries.get(progress.state, 0) + 1 >= CRASH_LIMIT


def _tries_after(progress: Progress, event: Event) -> Mapping[State, int]:
    if progress.state is State.COMMIT and event is Event.DONE:
        return {}
    others = {state: n for state, n in progress.tries.items() if state is not progress.state}
    count = progress.tries.get(progress.state, 0)
    match event:
        case Event.TIMED_OUT | Event.KILLED:
            return others | {progress.state: count + 1}
        case Event.FAILED if count:
            return others | {progress.state: count}
        case _:
            return others


def _marked_bad(progress: Progress, reason: str) -> Progress:
    release = progress.release
    if release is None or release.bundle_id == progress.good:
        return progress
    mark = BadRelease(
        bundle_id=release.bundle_id, version=release.version, reason=reason, at_s=progress.at_s
    )
    others = tuple(bad for bad in progress.bad if bad.bundle_id != release.bundle_id)
    return msgspec.structs.replace(progress, bad=(*others, mark)[-BAD_LIMIT:])


def _committed(progress: Progress) -> Progress:
    release = progress.release
    if release is None or release.bundle_id == progress.good:
        return progress
    return msgspec.structs.replace(
        progress,
        good=release.bundle_id,
        previous=progress.good,
        factory=progress.factory or release.bundle_id,
        bad=tuple(bad for bad in progress.bad if bad.bundle_id != release.bundle_id),
    )


def _returned(progress: Progress, landed: str) -> Progress:
    release = progress.release
    if not landed:
        return msgspec.structs.replace(progress, good="", previous="", factory="")
    rest = [bundle for bundle in progress.committed if bundle not in {landed, progress.good}]
    stays = landed == progress.good
    moved = msgspec.structs.replace(
        progress, good=landed, previous=progress.previous if stays else next(iter(rest), "")
    )
    return _marked_bad(moved, progress.reason) if release and release.origin == "order" else moved
