"""Which devices are here: seen lately, holding a poll open, or having taken note of an order.

In memory only: what a kill loses comes back with the device's next poll.
"""

import asyncio
from collections.abc import Callable, Iterable


class Presence:
    """The devices of one server process; used on one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._turn = 0
        self._woken: dict[str, int] = {}
        self._all_woken = 0
        self._seen_s: dict[str, float] = {}
        self._pending: set[str] = set()
        self._acknowledged: set[str] = set()
        self._also: list[Callable[[list[str]], object]] = []

    @property
    def waiting(self) -> int:
        """How many polls are held open."""
        return sum(len(events) for events in self._waiting.values())

    @property
    def turn(self) -> int:
        """Grows with each waking; taken before a look that may take a while, for `wait`."""
        return self._turn

    @property
    def has_news(self) -> bool:
        """Whether a rollout should hear of somebody now."""
        return bool(self._pending or self._acknowledged)

    def tell_also(self, tell: Callable[[list[str]], object]) -> None:
        """Who else tells devices that are woken, for instance over a broker."""
        self._also.append(tell)

    def saw(self, device: str, *, at_s: float) -> None:
        """A device made a request."""
        self._seen_s[device] = at_s

    def pends(self, device: str) -> None:
        """A device is here that a rollout waits for."""
        self._pending.add(device)

    def acknowledged(self, device: str) -> None:
        """A device has taken note of its order."""
        self._acknowledged.add(device)

    async def wait(self, device: str, *, since: int, timeout_s: float) -> None:
        """Until somebody wakes this device, or the time is up; not at all when somebody did after
        turn `since`.
        """
        if max(self._all_woken, self._woken.get(device, 0)) > since:
            return
        event = asyncio.Event()
        self._waiting.setdefault(device, set()).add(event)
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            mine = self._waiting[device]
            mine.discard(event)
            if not mine:
                del self._waiting[device]

    def wake(self, devices: Iterable[str]) -> None:
        """Let the polls of these devices look again, and tell those that hold none open."""
        named = list(devices)
        self._turn += 1
        self._woken |= dict.fromkeys(named, self._turn)
        for tell in self._also:
            tell(named)
        self._release(named)

    def wake_all(self) -> None:
        """Let every poll end."""
        self._turn += 1
        self._all_woken = self._turn
        self._release(list(self._waiting))

    def _release(self, devices: Iterable[str]) -> None:
        for device in devices:
            for event in self._waiting.get(device, ()):
                event.set()

    def take_news(self) -> tuple[frozenset[str], frozenset[str]]:
        """The devices that are here, and those that acknowledged since the last call."""
        here = frozenset(self._pending | self._waiting.keys())
        acknowledged = frozenset(self._acknowledged)
        self._pending.clear()
        self._acknowledged.clear()
        return here, acknowledged

    def take_seen(self, *, now_s: float) -> dict[str, float]:
        """When devices were seen since the last call; who holds a poll open is seen now."""
        seen, self._seen_s = self._seen_s, {}
        return seen | dict.fromkeys(self._waiting, now_s)
