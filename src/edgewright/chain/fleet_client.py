"""A fleet that runs elsewhere, as the command line reaches it: its token and whom it believes."""

import ssl
from pathlib import Path

from edgewright import _fs
from edgewright.errors import InputError
from edgewright.fleet.client import FleetClient

_TOKEN_LIMIT_BYTES = 4096


def connect(
    url: str, *, project: str, token: str = "", token_file: Path | None = None, ca: Path | None
) -> FleetClient:
    """The client of a project; a token in a file goes before the other one.

    Raises:
        InputError: no such file, or no certificates in it.
    """
    if token_file is not None:
        token = _fs.read_limited(token_file, limit_bytes=_TOKEN_LIMIT_BYTES).decode().strip()
    return FleetClient(url, token=token, project=project, tls=_context(ca) if ca else None)


def _context(ca: Path) -> ssl.SSLContext:
    content = _fs.read_limited(ca, limit_bytes=1 << 20).decode("ascii", "replace")
    try:
        return ssl.create_default_context(cadata=content)
    except ssl.SSLError as error:
        raise InputError(f"{ca}: no certificates: {error}", hint="give a PEM file") from error
