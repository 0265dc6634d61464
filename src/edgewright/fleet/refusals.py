"""Refused requests in the audit log: an attack leaves a trace there and cannot fill the disk.

The first refusal of a kind is written before it is answered. Those of the same kind within a minute
are counted and become one entry when the minute is over; more than `KINDS` kinds at a time are
counted together. A kill of the process loses counts, never a first entry.
"""

import re
import threading
from collections.abc import Mapping

import msgspec

from edgewright.clock import Clock
from edgewright.fleet.audit import Deed, write_down
from edgewright.fleet.state import State

SPAN_S = 60.0
KINDS = 100

_NUMBERS = re.compile(r"/[0-9a-f]{8,}(?=/|$)")


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was refused: at which door, whose as far as known, with which answer."""

    door: str
    who: str
    request: str
    status: int

    @property
    def kind(self) -> "Refusal":
        """The same without what an attacker varies at will."""
        request = _NUMBERS.sub("/*", self.request)
        return msgspec.structs.replace(self, request="/".join(request.split("/")[:5])[:80])


_OTHERS = Refusal(door="any", who="several", request="requests of many kinds", status=0)


class Refusals:
    """Counts and writes refusals; from any thread."""

    def __init__(self, state: State, *, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._lock = threading.Lock()
        self._counted: dict[Refusal, int] = {}
        self._since_s = float("-inf")
        self._transport: dict[int, int] = {}

    def counts_only(self, refusal: Refusal) -> bool:
        """Count one of a known kind; False when it is the first and is to be written by `note`."""
        with self._lock:
            kind = self._kind_of(refusal)
            if kind not in self._counted:
                return False
            self._counted[kind] += 1
            return True

    def note(self, refusal: Refusal) -> None:
        """Write the first of a kind.

        Raises:
            ResourceError: the disk is full.
        """
        with self._lock:
            kind = self._kind_of(refusal)
            is_new = kind not in self._counted
            self._counted[kind] = self._counted.get(kind, 0) + (not is_new)
        if is_new:
            self._write([(kind, refusal.request[:200])])

    def settle(self, transport: Mapping[int, int] | None = None) -> None:
        """Write what was counted when its minute is over, and what the transport refused by itself
        since the last call (`transport` are its counts since its start).
        """
        told = []
        for status, count in (transport or {}).items():
            fresh = count - self._transport.get(status, 0)
            if fresh:
                refused = Refusal(door="devices", who="", request="not HTTP, or too large",
                                  status=status)  # fmt: skip
                told.append((refused, f"{fresh} times"))
                self._transport[status] = count
        now_s = self._clock.monotonic_s()
        with self._lock:
            if now_s - self._since_s >= SPAN_S:
                told += [(kind, f"{count} times more") for kind, count in self._counted.items()
                         if count]  # fmt: skip
                self._counted.clear()
                self._since_s = now_s
        if told:
            self._write(told)

    def _kind_of(self, refusal: Refusal) -> Refusal:
        kind = refusal.kind
        return kind if kind in self._counted or len(self._counted) < KINDS else _OTHERS

    def _write(self, told: list[tuple[Refusal, str]]) -> None:
        with self._state.write() as connection:
            for refusal, detail in told:
                deed = Deed(
                    at_s=self._clock.wall_s(),
                    who=refusal.who or "somebody",
                    what=f"request refused at the door for {refusal.door}",
                    subject=f"{refusal.status} {refusal.request}",
                    detail=detail,
                )
                write_down(connection, deed)
