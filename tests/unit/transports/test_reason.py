"""The reason of a failed exchange names what happened, whatever library carried it."""

import datetime as dt
import errno
import os
import socket
import ssl

import pytest

from edgewright.transports._reason import hint_of, is_unknown_issuer, reason_of

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


def refused(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    return error


@pytest.mark.parametrize("code", [9, 10])
def test_a_certificate_out_of_date_points_at_the_clock(code: int) -> None:
    today = dt.datetime.now(dt.UTC).strftime("%Y-%m-")
    assert f"this machine's clock says {today}" in reason_of(refused(code))
    assert "set the clock" in hint_of(refused(code))


def test_what_waiting_does_not_mend_is_not_waited_for() -> None:
    assert "authority" in hint_of(refused(19))
    assert is_unknown_issuer(refused(20))
    assert "address" in hint_of(refused(62))
    assert hint_of(EOFError()) == "try again later"
    assert not is_unknown_issuer(refused(10))
    assert not is_unknown_issuer(None)
