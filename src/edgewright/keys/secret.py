"""A secret key of 32 bytes in a file, readable by its owner only; made when it is absent."""

import os
from pathlib import Path

from edgewright._fs import read_limited, write_atomic
from edgewright.errors import InputError

SECRET_BYTES = 32


def read_or_make_secret(path: Path) -> bytes:
    """The key of a file.

    Raises:
        InputError: the file holds something else, or others may read it.
    """
    if not path.exists():
        write_atomic(path, os.urandom(SECRET_BYTES).hex().encode() + b"\n", mode=0o600)
    if path.stat().st_mode & 0o077:
        raise InputError(f"key file {path} may be read by others", hint=f"chmod 600 {path}")
    text = read_limited(path, limit_bytes=1024).decode(errors="replace").strip()
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise InputError(
            f"key file {path} is not {2 * SECRET_BYTES} hex digits", hint="openssl rand -hex 32"
        )
    return secret
