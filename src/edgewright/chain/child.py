"""What the device's child processes have in common: they die with their parent, read frames, and
load a model's own steps only when told to.
"""

import ctypes
import signal
import socket

ALLOW_HOOKS = "--allow-hooks"

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Linux: a child must not outlive an agent that was killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def read_exactly(channel: socket.socket, size_bytes: int) -> bytes:
    """So many bytes; none when the other side has closed before."""
    content = bytearray()
    while len(content) < size_bytes and (chunk := channel.recv(size_bytes - len(content))):
        content += chunk
    return bytes(content) if len(content) == size_bytes else b""
