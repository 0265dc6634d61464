"""Memory that a crowd left behind, given back to the system.

The C library keeps what was freed for the next one who asks. After thousands of peers have left
nobody asks for that much again, and the server would look as if it had leaked.
"""

import ctypes


def trim_heap() -> bool:
    """Give free memory back; False where the C library has no such call."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return False
    return bool(trim(0))
