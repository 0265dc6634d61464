"""Turns on a core. On a busy machine a thread that wakes up where another one runs waits until that
one's turn is over: some milliseconds, also beside work of low priority. One that has asked for
short turns need not wait for one with longer ones (Linux 6.12 and newer). It gets no larger share
of the core, and anybody may ask.

The event loop asks, and threads that are started later have what the one has that starts them: the
loader's, since the event loop waits for it while it holds the interpreter's lock. Workers that run
long passes are started before.
"""

import contextlib
import ctypes
import os
import platform
import struct

SHORT_S = 100e-6

_SET_AND_GET = {
    "aarch64": (274, 275),
    "armv7l": (380, 381),
    "i686": (351, 352),
    "riscv64": (274, 275),
    "x86_64": (314, 315),
}
"""Numbers of the system calls sched_setattr and sched_getattr."""
_ATTRIBUTES = struct.Struct("=IIQiIQQQII")
"""size, policy, flags, nice, priority, runtime, deadline, period, util_min, util_max"""
_NORMAL = 0


def ask_for_short_turns() -> bool:
    """For the calling thread. False where the system has no such thing, or forbids it."""
    with contextlib.suppress(OSError):
        _, policy, _, nice, *_ = _attributes()
        if policy == _NORMAL:
            size, wanted_ns = _ATTRIBUTES.size, round(SHORT_S * 1e9)
            content = _ATTRIBUTES.pack(size, policy, 0, nice, 0, wanted_ns, 0, 0, 0, 0)
            _call(0, ctypes.create_string_buffer(content, size), 0)
            return turn_s() == SHORT_S
    return False


def turn_s() -> float:
    """How long the calling thread's turns are; 0 where the system does not tell.

    Raises:
        OSError: it has no such call, or forbids it.
    """
    return float(_attributes()[5]) / 1e9


def _attributes() -> tuple[int, ...]:
    content = ctypes.create_string_buffer(_ATTRIBUTES.size)
    _call(1, content, _ATTRIBUTES.size, 0)
    return _ATTRIBUTES.unpack(content.raw)


def _call(which: int, *arguments: object) -> None:
    numbers = _SET_AND_GET.get(platform.machine())
    if numbers is None or platform.system() != "Linux":
        raise OSError("no known way to ask this system for shorter turns")
    library = ctypes.CDLL(None, use_errno=True)
    if library.syscall(numbers[which], 0, *arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
