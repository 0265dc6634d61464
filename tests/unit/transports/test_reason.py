"""The reason of a failed exchange names what happened, whatever library carried it."""

import errno
import os
import socket
import ssl

import pytest

from edgewright.transports._reason import reason_of

ASYNCIO_HIDES = OSError(errno.EHOSTUNREACH, "Connect call failed ('10.0.0.2', 22)")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ASYNCIO_HIDES, os.strerror(errno.EHOSTUNREACH)),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service"),
        (ssl.SSLError(1, "certificate verify failed"), "certificate verify failed"),
        (OSError("Multiple exceptions: no route, refused"), "Multiple exceptions"),
        (EOFError("the other side closed"), "the other side closed"),
        (EOFError(), "EOFError"),
    ],
)
def test_the_reason_says_what_happened(error: Exception, reason: str) -> None:
    assert reason_of(error).startswith(reason)
