"""HOST:PORT, as people write it."""

from edgewright.errors import InputError

_HIGHEST_PORT = 65535


def parse_address(text: str, *, what: str) -> tuple[str, int]:
    """Host and port; without a host the loopback one.

    >>> parse_address("[::1]:8080", what="--http")
    ('::1', 8080)

    Raises:
        InputError: it is none; the message begins with `what`.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > _HIGHEST_PORT:
        raise InputError(
            f"{what} {text!r} is not HOST:PORT with a port up to {_HIGHEST_PORT}",
            hint="for example 127.0.0.1:8080",
        )
    return host.strip("[]") or "127.0.0.1", int(port)
