"""Why an exchange over a network failed, in words."""

import os
import socket
import ssl


def reason_of(error: BaseException) -> str:
    """The system's own word for it: asyncio's `Connect call failed` hides which error it was."""
    match error:
        case ssl.SSLError() | socket.gaierror():  # their numbers are not the system's
            return error.strerror or str(error)
        case OSError(errno=int(number)) if number > 0:
            return os.strerror(number)
        case _:
            return str(error) or type(error).__name__
