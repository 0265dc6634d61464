"""A wake-up call for an event loop at a moment, to a few microseconds.

Event loops count in milliseconds, which would send Poisson arrivals in lumps. Linux has a file that
becomes readable at a moment (timerfd); elsewhere the loop's own timer must do.
"""

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable
from typing import Protocol

_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK_CLOEXEC = os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)
_TFD_TIMER_ABSTIME = 1


class Timer(Protocol):
    """Calls back once, at or soon after the moment it was last armed for."""

    def arm(self, at_s: float) -> None:
        """`at_s` is on the clock of `time.perf_counter`; a moment that has passed is now."""

    def close(self) -> None:
        """Call back no more."""


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class FileTimer:
    """Linux's timerfd. Arming anew also clears what was readable, so it is never read."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._handle = int(self._libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK_CLOEXEC))
        if self._handle < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._settime = self._libc.timerfd_settime
        self._spec = _Itimerspec()
        self._pointer = ctypes.byref(self._spec)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._handle, callback)

    def arm(self, at_s: float) -> None:
        seconds = int(at_s)
        value = self._spec.value
        value.seconds = seconds
        value.nanoseconds = max(int((at_s - seconds) * 1e9), 1)
        self._settime(self._handle, _TFD_TIMER_ABSTIME, self._pointer, None)

    def close(self) -> None:
        if self._handle >= 0:
            self._loop.remove_reader(self._handle)
            os.close(self._handle)
            self._handle = -1


class LoopTimer:
    """The loop's own timer, a millisecond coarse."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._callback = callback
        self._armed: asyncio.TimerHandle | None = None

    def arm(self, at_s: float) -> None:
        self.close()
        self._armed = self._loop.call_later(max(at_s - time.perf_counter(), 0.0), self._callback)

    def close(self) -> None:
        if self._armed is not None:
            self._armed.cancel()
            self._armed = None


def make_timer(callback: Callable[[], None]) -> Timer:
    """The most exact timer of this system, for the running loop."""
    return FileTimer(callback) if sys.platform == "linux" else LoopTimer(callback)
