"""Signatures of webhooks, by the Standard Webhooks specification (HMAC-SHA256, `v1`).

What is signed is `id.timestamp.body`, so a receiver that compares the time (five minutes either way
is usual) refuses what somebody recorded, and one that remembers ids drops what comes twice.

>>> secret = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
>>> headers = signed_headers(secret, "f1-history-7", b"{}", at_s=1_700_000_000.0)
>>> sorted(headers)
['webhook-id', 'webhook-signature', 'webhook-timestamp']
>>> is_genuine(secret, headers, b"{}", now_s=1_700_000_100.0)
True
>>> is_genuine(secret, headers, b"{ }", now_s=1_700_000_100.0)
False
>>> is_genuine(secret, headers, b"{}", now_s=1_700_000_900.0)
False
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from edgewright.errors import InputError

PREFIX = "whsec_"
SECRET_BYTES = 32
TOLERANCE_S = 300.0

_LEAST_BYTES, _MOST_BYTES = 24, 64


def new_secret(content: bytes) -> str:
    """A secret as both sides write it, of bytes that were drawn for it."""
    return PREFIX + base64.b64encode(content).decode()


def check_secret(secret: str) -> str:
    """A secret that somebody brought.

    Raises:
        InputError: it is none; the message does not repeat it.
    """
    try:
        key = _key(secret)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
        raise InputError(
            f"a webhook's secret is {PREFIX} and {_LEAST_BYTES} to {_MOST_BYTES} bytes in base64",
            hint="leave it out: one is made",
        )
    return secret


def signed_headers(secret: str, message_id: str, body: bytes, *, at_s: float) -> dict[str, str]:
    """The three headers of a signed webhook."""
    timestamp = str(int(at_s))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{_signature(secret, message_id, timestamp, body)}",
    }


def is_genuine(secret: str, headers: Mapping[str, str], body: bytes, *, now_s: float) -> bool:
    """What a receiver asks: signed by who knows the secret, and lately."""
    timestamp = headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(now_s - int(timestamp)) > TOLERANCE_S:
        return False
    wanted = _signature(secret, headers.get("webhook-id", ""), timestamp, body)
    told = (part.partition(",") for part in headers.get("webhook-signature", "").split())
    return any(
        version == "v1" and hmac.compare_digest(signature, wanted) for version, _, signature in told
    )


def _signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    content = b".".join((message_id.encode(), timestamp.encode(), body))
    return base64.b64encode(hmac.digest(_key(secret), content, hashlib.sha256)).decode()


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
