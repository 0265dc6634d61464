"""Passwords as they are kept: scrypt with its own salt; how it was made stands in the text.

>>> kept = hash_password("correct horse battery", salt=bytes(16))
>>> kept[:16], is_password("correct horse battery", kept), is_password("wrong", kept)
('scrypt$14$8$1$00', True, False)
"""

import hashlib
import hmac

from edgewright.errors import InputError

LEAST_CHARACTERS = 12
MOST_CHARACTERS = 256

_LOG_N, _R, _P = 14, 8, 1
_SALT_BYTES = 16
NOBODYS = f"scrypt${_LOG_N}${_R}${_P}${'00' * _SALT_BYTES}${'00' * 32}"
"""Checked in the place of a user who does not exist, so that both take the same time."""


def hash_password(password: str, *, salt: bytes) -> str:
    """What is kept of a password.

    Raises:
        InputError: it is too short or too long.
    """
    if not LEAST_CHARACTERS <= len(password) <= MOST_CHARACTERS:
        raise InputError(
            f"a password of {len(password)} characters, expected {LEAST_CHARACTERS} to "
            f"{MOST_CHARACTERS}",
            hint="a few words in a row are easy to keep",
        )
    derived = _derived(password, salt, _LOG_N, _R, _P)
    return f"scrypt${_LOG_N}${_R}${_P}${salt.hex()}${derived.hex()}"


def is_password(password: str, kept: str) -> bool:
    """Whether it is the password that was kept; takes the same time whatever the answer."""
    _, log_n, r, p, salt, derived = (kept or NOBODYS).split("$")
    found = _derived(password, bytes.fromhex(salt), int(log_n), int(r), int(p))
    return hmac.compare_digest(found, bytes.fromhex(derived)) and bool(kept)


def _derived(password: str, salt: bytes, log_n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(
        password.encode(), salt=salt, n=1 << log_n, r=r, p=p, maxmem=64 << 20, dklen=32
    )
