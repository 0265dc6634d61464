"""HOST:PORT options."""

from edgewright.errors import InputError


def address(option: str, text: str) -> tuple[str, int]:
    """Host and port of an option's HOST:PORT."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InputError(f"{option} {text!r} is not HOST:PORT", hint="for example 127.0.0.1:8080")
    return host.strip("[]") or "127.0.0.1", int(port)
