"""Secrets that the fleet hands out: drawn long and at random, kept as a hash, shown once."""

import hashlib
import secrets

TOKEN_PREFIX = "ewt_"  # noqa: S105 - how an enrolment token begins, so that leaks are found
DEVICE_PREFIX = "ewd_"
USER_PREFIX = "ewu_"
SESSION_PREFIX = "ews_"


def draw(prefix: str) -> str:
    """A new secret of 256 random bits; the prefix tells people and scanners what it is."""
    return prefix + secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """What is stored. Plain SHA-256 suffices for 256 random bits: there is nothing to guess."""
    return hashlib.sha256(secret.encode()).hexdigest()
