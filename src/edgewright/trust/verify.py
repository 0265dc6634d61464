"""The one check that opens the door: enough distinct trusted keys signed exactly these bytes."""

from collections.abc import Iterable

from edgewright.errors import TrustError
from edgewright.trust.keys import Signature, TrustedKeys


def verify_payload(
    payload: bytes, signatures: Iterable[Signature], trusted: TrustedKeys
) -> tuple[str, ...]:
    """The ids of the trusted keys that signed, sorted.

    A signature by a key that nobody trusts is ignored; a wrong one by a trusted key is refused even
    when enough others are right, because it shows that somebody tampered.

    Raises:
        TrustError: fewer than `threshold` trusted keys signed, or a trusted key's signature is
        wrong.
    """
    keys = {key.key_id: key for key in trusted.keys}
    good: set[str] = set()
    seen = 0
    for signature in signatures:
        seen += 1
        key = keys.get(signature.key_id)
        if key is None:
            continue
        if not key.accepts(signature.signature_hex, payload):
            raise TrustError(
                f"the signature of key {signature.key_id[:12]} does not fit the content",
                hint="the content was changed after signing; fetch it again from its maker",
            )
        good.add(signature.key_id)
    if len(good) < trusted.threshold:
        raise TrustError(
            f"signed by {len(good)} trusted key(s) of {seen} signature(s), "
            f"{trusted.threshold} needed",
            hint=f"sign it with a trusted key ({', '.join(sorted(key[:12] for key in keys))})",
        )
    return tuple(sorted(good))
