"""Who may ask: API keys, sent as `Authorization: Bearer KEY` or `X-Api-Key: KEY`.

Only the keys' hashes are kept. Health routes answer anybody, so that a supervisor needs no key.

>>> access = Access.of_keys(["a-long-enough-secret"])
>>> access.allows({"x-api-key": "a-long-enough-secret"}), access.allows({})
(True, False)
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Self

from edgewright.errors import InputError

SHORTEST_KEY = 16
OPEN_ACTIONS = frozenset({"live", "ready", "ping"})


class Access:
    """A set of keys."""

    def __init__(self, hashes: frozenset[bytes]) -> None:
        self._hashes = tuple(hashes)

    @classmethod
    def of_keys(cls, keys: Iterable[str]) -> Self:
        """The access that any of these gives.

        Raises:
            InputError: none, or one that can be guessed.
        """
        chosen = [key.strip() for key in keys if key.strip() and not key.startswith("#")]
        if not chosen or min(map(len, chosen)) < SHORTEST_KEY:
            raise InputError(
                "the list of API keys is empty or holds one that is too short",
                hint=f"one key a line, each of {SHORTEST_KEY} characters or more",
            )
        return cls(frozenset(map(_hash, chosen)))

    def allows(self, headers: Mapping[str, str]) -> bool:
        """Whether these headers carry a key; names are lower case."""
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        key = headers.get("x-api-key") or (bearer.strip() if scheme.lower() == "bearer" else "")
        found = _hash(key)
        return bool(key) and any(hmac.compare_digest(found, known) for known in self._hashes)


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
