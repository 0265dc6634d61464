"""The update of one model as a table: states, events, the next state, and what a crash means.

Pure. A row says how long a state may take, where each event leads, where a restarted agent resumes
when it was cut off in that state, and where it goes after the third cut without progress (the
release is marked bad then). Every state except `idle` takes CANCELLED and TIMED_OUT. A probe whose
process was killed from outside (memory ran short, an operator) runs again: KILLED leads back to it.

      idle -> check -> download -> verify -> stage -> probe -> shadow -> activate -> probation
                                                                           |            |
      idle <- rollback <---------------------------------------------------+------------+
      idle <- commit   <----------------------------------------------------------------+

    >>> next_state(State.PROBE, Event.PASSED)
    <State.SHADOW: 'shadow'>
    >>> next_state(State.PROBATION, Event.REFUSED)
    <State.ROLLBACK: 'rollback'>
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec

CRASH_LIMIT = 3


class State(StrEnum):
    """Where the update of a model stands. The words are stored and sent: they never change."""

    IDLE = "idle"
    CHECK = "check"
    DOWNLOAD = "download"
    VERIFY = "verify"
    STAGE = "stage"
    PROBE = "probe"
    SHADOW = "shadow"
    ACTIVATE = "activate"
    PROBATION = "probation"
    COMMIT = "commit"
    ROLLBACK = "rollback"


class Event(StrEnum):
    """What ended a state. REFUSED blames the release, FAILED blames the circumstances, KILLED
    cannot tell yet.
    """

    DUE = "due"
    ORDERED_BACK = "ordered_back"
    DAMAGED = "damaged"
    NOTHING = "nothing"
    OFFERED = "offered"
    DONE = "done"
    PASSED = "passed"
    SKIPPED = "skipped"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    KILLED = "killed"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """All that is true of one state."""

    deadline_s: float
    on: Mapping[Event, State]
    resumes_at: State
    gives_up_to: State


def _row(deadline_s: float, *, resumes: State, gives_up: State, **on: State) -> Row:
    events = {Event(name): state for name, state in on.items()}
    return Row(
        deadline_s=deadline_s,
        on=MappingProxyType(events),
        resumes_at=resumes,
        gives_up_to=gives_up,
    )


_S = State
TABLE: Mapping[State, Row] = MappingProxyType(
    {
        _S.IDLE: _row(
            float("inf"),
            due=_S.CHECK,
            ordered_back=_S.ROLLBACK,
            damaged=_S.ROLLBACK,
            resumes=_S.IDLE,
            gives_up=_S.IDLE,
        ),
        _S.CHECK: _row(
            60,
            offered=_S.DOWNLOAD,
            nothing=_S.IDLE,
            refused=_S.IDLE,
            failed=_S.IDLE,
            cancelled=_S.IDLE,
            timed_out=_S.IDLE,
            resumes=_S.IDLE,
            gives_up=_S.IDLE,
        ),
        _S.DOWNLOAD: _row(
            6 * 3600,
            done=_S.VERIFY,
            refused=_S.IDLE,
            failed=_S.IDLE,
            cancelled=_S.IDLE,
            timed_out=_S.IDLE,
            resumes=_S.DOWNLOAD,
            gives_up=_S.IDLE,
        ),
        _S.VERIFY: _row(
            600,
            done=_S.STAGE,
            refused=_S.IDLE,
            failed=_S.IDLE,
            cancelled=_S.IDLE,
            timed_out=_S.IDLE,
            resumes=_S.VERIFY,
            gives_up=_S.IDLE,
        ),
        _S.STAGE: _row(
            600,
            done=_S.PROBE,
            refused=_S.IDLE,
            failed=_S.IDLE,
            cancelled=_S.IDLE,
            timed_out=_S.IDLE,
            resumes=_S.STAGE,
            gives_up=_S.IDLE,
        ),
        _S.PROBE: _row(
            900,
            passed=_S.SHADOW,
            killed=_S.PROBE,
            refused=_S.IDLE,
            failed=_S.IDLE,
            cancelled=_S.IDLE,
            timed_out=_S.IDLE,
            resumes=_S.PROBE,
            gives_up=_S.IDLE,
        ),
        _S.SHADOW: _row(
            24 * 3600,
            passed=_S.ACTIVATE,
            skipped=_S.ACTIVATE,
            refused=_S.IDLE,
            failed=_S.IDLE,
            cancelled=_S.IDLE,
            timed_out=_S.IDLE,
            resumes=_S.SHADOW,
            gives_up=_S.IDLE,
        ),
        _S.ACTIVATE: _row(
            300,
            done=_S.PROBATION,
            refused=_S.ROLLBACK,
            failed=_S.ROLLBACK,
            cancelled=_S.ROLLBACK,
            timed_out=_S.ROLLBACK,
            resumes=_S.ACTIVATE,
            gives_up=_S.ROLLBACK,
        ),
        _S.PROBATION: _row(
            48 * 3600,
            passed=_S.COMMIT,
            skipped=_S.COMMIT,
            refused=_S.ROLLBACK,
            failed=_S.ROLLBACK,
            cancelled=_S.ROLLBACK,
            timed_out=_S.ROLLBACK,
            resumes=_S.PROBATION,
            gives_up=_S.ROLLBACK,
        ),
        _S.COMMIT: _row(
            60,
            done=_S.IDLE,
            refused=_S.ROLLBACK,
            failed=_S.ROLLBACK,
            cancelled=_S.ROLLBACK,
            timed_out=_S.ROLLBACK,
            resumes=_S.COMMIT,
            gives_up=_S.ROLLBACK,
        ),
        _S.ROLLBACK: _row(
            120,
            done=_S.IDLE,
            failed=_S.IDLE,
            cancelled=_S.ROLLBACK,
            timed_out=_S.IDLE,
            resumes=_S.ROLLBACK,
            gives_up=_S.IDLE,
        ),
    }
)


def next_state(state: State, event: Event) -> State:
    """Where an event leads.

    Raises:
        KeyError: the state cannot end like that; the table is the law, so this is a defect.
    """
    return TABLE[state].on[event]
