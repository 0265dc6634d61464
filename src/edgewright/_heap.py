"""Memory that a crowd or an update left behind, given back to the system.

The C library keeps what was freed for the next one who asks, by default in a heap for each thread.
After thousands of peers have left, or an update has ended, nobody asks for that much again, and the
process would look as if it had leaked.
"""

import contextlib
import ctypes

_M_ARENA_MAX = -8


def trim_heap() -> bool:
    """Give free memory back; False where the C library has no such call."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return False
    return bool(trim(0))


def keep_one_heap() -> None:
    """Let all threads of this process share one heap, where the C library can. Children are not
    touched, so a server's threads keep theirs.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
