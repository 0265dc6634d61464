"""Where private keys live: one file per kind of place, all of them a `trust.Signer`.

Encrypted files (`file`), tokens (`pkcs11`, an extra, named by a `pkcs11_uri`), this machine's TPM
(`tpm2`). A private key never leaves its place, and no message or `repr` shows one.
"""

from edgewright.keys.file import FileSigner
from edgewright.keys.opener import FileOpener
from edgewright.keys.secret import read_or_make_secret

__all__ = ["FileOpener", "FileSigner", "read_or_make_secret"]
