"""Why an exchange over a network failed, in words, and what to try."""

import datetime as dt
import os
import socket
import ssl

from edgewright.clock import SystemClock

_WRONG_DATE = frozenset({9, 10})
_UNKNOWN_ISSUER = frozenset({18, 19, 20, 21})
"""OpenSSL's numbers (X509_V_ERR_...) for what is wrong with a certificate."""


def reason_of(error: BaseException) -> str:
    """The system's own word for it: asyncio's `Connect call failed` hides which error it was.

    Where a certificate's dates are the matter, it also tells the date that they were held against.
    """
    match error:
        case ssl.SSLCertVerificationError() if error.verify_code in _WRONG_DATE:
            return f"{error.strerror or error}; this machine's clock says {_today()}"
        case ssl.SSLError() | socket.gaierror():  # their numbers are not the system's
            return error.strerror or str(error)
        case OSError(errno=int(number)) if number > 0:
            return os.strerror(number)
        case _:
            return str(error) or type(error).__name__


def hint_of(error: BaseException) -> str:
    """What to try: an error that the network made may pass, one of trust does not."""
    match error:
        case ssl.SSLCertVerificationError() if error.verify_code in _WRONG_DATE:
            return "set the clock if that is not today; else the certificate is to be renewed"
        case ssl.SSLCertVerificationError() if is_unknown_issuer(error):
            return "name the authority of that server, if it has one of its own"
        case ssl.SSLCertVerificationError():
            return "check the address, and the certificate that is shown there"
        case _:
            return "try again later"


def is_unknown_issuer(error: BaseException | None) -> bool:
    """Whether a certificate was refused because nobody that is believed here signed it."""
    is_refusal = isinstance(error, ssl.SSLCertVerificationError)
    return is_refusal and getattr(error, "verify_code", 0) in _UNKNOWN_ISSUER


def _today() -> str:
    return dt.datetime.fromtimestamp(SystemClock().wall_s(), dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
