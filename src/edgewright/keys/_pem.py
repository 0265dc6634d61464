"""Private keys as PEM files (PKCS #8), for the kinds of key that lie in files."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from edgewright._fs import read_limited, write_atomic
from edgewright.errors import InputError

_LIMIT_BYTES = 16 * 1024


def write_pair(
    path: Path, private: PrivateKeyTypes, public_line: str, *, password: str | None
) -> None:
    """The private half to `path`, for its owner's eyes only; the line that is public beside it as
    `NAME.pub`. An existing file is never replaced.

    Raises:
        InputError: there is a file already.
    """
    if path.exists():
        raise InputError(
            f"key file {path} exists already", hint="choose another name, or load that key"
        )
    encryption = (
        serialization.BestAvailableEncryption(password.encode())
        if password
        else serialization.NoEncryption()
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    write_atomic(path, pem, mode=0o600)
    write_atomic(path.with_suffix(".pub"), public_line.encode() + b"\n")


def load_private(path: Path, *, password: str | None) -> PrivateKeyTypes:
    """The private key of a file, of whatever kind.

    Raises:
        InputError: none, or the password is missing or wrong.
    """
    pem = read_limited(path, limit_bytes=_LIMIT_BYTES)
    try:
        return serialization.load_pem_private_key(pem, password.encode() if password else None)
    except TypeError as error:
        wanted = "a password is needed" if password is None else "it has no password"
        raise InputError(f"key file {path}: {wanted}", hint="give it as it was made") from error
    except ValueError as error:
        raise InputError(
            f"key file {path}: not a private key, or the password is wrong",
            hint="check the file and the password",
        ) from error


def read_line(path: Path) -> str:
    """The line of a public file.

    Raises:
        InputError: no such file, or one that is much larger.
    """
    return read_limited(path, limit_bytes=_LIMIT_BYTES).decode(errors="replace").strip()
