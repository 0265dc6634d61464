"""Who may say what a device runs: bytes in, trusted values out.

Rules only: no file, no network, no clock. A key is named by the SHA-256 of its canonical public
part, as TUF names it, so that the keys of today's plain signatures can take TUF roles without being
renamed.

    >>> from edgewright.testing import MemorySigner
    >>> signer = MemorySigner.from_seed(1)
    >>> trusted = TrustedKeys(threshold=1, keys=(signer.public,))
    >>> signature = Signature.of(signer, b"payload")
    >>> verify_payload(b"payload", [signature], trusted) == (signer.public.key_id,)
    True
"""

from edgewright.trust.keys import PublicKey, Signature, Signer, TrustedKeys
from edgewright.trust.verify import verify_payload

__all__ = ["PublicKey", "Signature", "Signer", "TrustedKeys", "verify_payload"]
