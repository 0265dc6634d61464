"""Where private keys live: one file per kind of place, all of them a `trust.Signer`.

Here: encrypted files. Tokens (PKCS#11) and chips (TPM 2.0) come as further files beside it. A
private key never leaves its place, and no message or `repr` shows one.
"""

from edgewright.keys.file import FileSigner
from edgewright.keys.opener import FileOpener
from edgewright.keys.secret import read_or_make_secret

__all__ = ["FileOpener", "FileSigner", "read_or_make_secret"]
