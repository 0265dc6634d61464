"""Sessions of EdgeInfer's clients: the newest samples of a sensor and what was found in them.

All sizes are bounded: sessions, samples kept, windows that wait, findings. A session that was
silent for long is forgotten.
"""

import contextlib
import secrets
from collections import deque
from collections.abc import Callable

import msgspec
import numpy as np

from edgewright.contract import Contract
from edgewright.device.serve.ports import Array
from edgewright.device.serve.refusal import RefusalError
from edgewright.device.streams.base import Samples
from edgewright.device.streams.plan import Plan, Wishes, plan_stream
from edgewright.device.streams.resampler import Resampler
from edgewright.device.streams.ring import Ring, Window
from edgewright.errors import InputError
from edgewright.steps.units import canonical

MOST_SESSIONS = 64
MOST_WAITING = 256
_KEPT_FINDINGS = 2048
_KEPT_SECONDS = 60.0
_IDLE_S = 900.0
_KINDS = {"g": 0, "rad/s": 1, "uT": 2}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The motif of one window (None: of no motif), and its distance from the nearest prototype."""

    start_s: float
    end_s: float
    motif: int | None
    distance: float


def _canonical(unit: str) -> str:
    with contextlib.suppress(InputError):
        return canonical(unit)[0]
    return ""


def plan_of(contract: Contract) -> Plan:
    """How samples become windows of a model: its rate, length and overlap.

    Raises:
        InputError: it takes no windows of samples.
    """
    return plan_stream(contract, Wishes())


class Session:
    """One sensor's samples, windows and findings. Touched by the event loop alone."""

    def __init__(self, contract: Contract, now_s: float) -> None:
        self.id = secrets.token_hex(16)
        self.contract = contract
        self.plan = plan_of(contract)
        self.is_stopped = False
        self.last_s = now_s
        self.windows = 0
        self.samples = 0
        self.waiting = 0
        self.fault: RefusalError | None = None
        self.findings: deque[Finding] = deque(maxlen=_KEPT_FINDINGS)
        self._resampler = Resampler(rate_hz=self.plan.rate_hz, max_gap_s=self.plan.max_gap_s)
        self._ring = Ring(
            length=self.plan.length,
            hop=self.plan.hop,
            channels=len(self.plan.channels),
            rate_hz=self.plan.rate_hz,
        )
        self._start_s = 0.0
        self._recent: deque[Array] = deque(maxlen=round(_KEPT_SECONDS * self.plan.rate_hz))
        self._when_idle: list[Callable[[], None]] = []

    def push(self, samples: Samples) -> list[Window]:
        """Take samples; returns the windows that are full now."""
        windows: list[Window] = []
        for stretch in self._resampler.push(samples):
            if stretch.is_new:
                self._recent.clear()
            self._recent.extend(stretch.samples)
            end_s = stretch.start_s + len(stretch.samples) / self.plan.rate_hz
            self._start_s = end_s - len(self._recent) / self.plan.rate_hz
            windows += self._ring.push(stretch)
        self.samples += len(samples.time_s)
        self.windows += len(windows)
        return windows

    @property
    def kinds(self) -> list[int]:
        """Which of EdgeInfer's sensors each three channels are (acceleration, rotation, magnetic
        field), by their units; where those do not say it, in that order.
        """
        units = self.plan.units[::3]
        kinds = [_KINDS.get(unit, -1) for unit in map(_canonical, units)]
        is_told = min(kinds, default=-1) >= 0 and len(set(kinds)) == len(kinds)
        return kinds if is_told else list(range(len(units)))

    def recent(self) -> tuple[Array, Array]:
        """Times and values of the newest even samples without a gap."""
        values = np.array(self._recent).reshape(-1, len(self.plan.channels))
        return self._start_s + np.arange(len(values)) / self.plan.rate_hz, values

    def add(self, count: int, findings: list[Finding], fault: RefusalError | None) -> None:
        """So many windows were looked at."""
        self.waiting -= count
        self.findings.extend(findings)
        self.fault = fault or self.fault
        if not self.waiting:
            waiting, self._when_idle = self._when_idle, []
            for act in waiting:
                act()

    def when_idle(self, act: Callable[[], None]) -> None:
        """Act when no window waits."""
        if self.waiting:
            self._when_idle.append(act)
        else:
            act()


class Sessions:
    """All sessions, by their id."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self.expired = 0

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def active(self) -> int:
        """Sessions that were not stopped."""
        return sum(not session.is_stopped for session in self._sessions.values())

    def start(self, contract: Contract, now_s: float) -> Session:
        """A new session.

        Raises:
            RefusalError: there are as many as there may be.
            InputError: the model takes no windows of samples.
        """
        self._forget(now_s)
        if len(self._sessions) >= MOST_SESSIONS:
            raise RefusalError(
                429, f"there are {MOST_SESSIONS} sessions already", reason="sessions",
                retry_after_s=60,
            )  # fmt: skip
        session = Session(contract, now_s)
        self._sessions[session.id] = session
        return session

    def find(self, name: object, now_s: float) -> Session:
        """A session that is still known.

        Raises:
            RefusalError: it is not.
        """
        self._forget(now_s)
        session = self._sessions.get(name) if isinstance(name, str) else None
        if session is None:
            raise RefusalError(404, f"session {str(name)[:64]!r} is unknown", reason="session")
        session.last_s = now_s
        return session

    def _forget(self, now_s: float) -> None:
        old = [each for each in self._sessions.values() if now_s - each.last_s > _IDLE_S]
        stopped = [each for each in self._sessions.values() if each.is_stopped]
        if len(self._sessions) >= MOST_SESSIONS and stopped:
            old.append(min(stopped, key=lambda each: each.last_s))
        for session in old:
            self.expired += self._sessions.pop(session.id, None) is not None
