"""Who may say what a device runs: bytes in, trusted values out.

Rules only: no file, no network, no clock. A key is named by the SHA-256 of its canonical public
part, as TUF names it, so that the keys of today's plain signatures can take TUF roles without being
renamed.

The TUF half lies beside today's plain signatures and is imported by name, because not every
process that reads a bundle needs it: `metadata` (what a client may believe), `target` (the check of
a file), `repository` (the keeper's side), `agreement` (image repository and director).

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
