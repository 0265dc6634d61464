"""Where a keeper's private key is: in a file, in a token that a `pkcs11:` URI names, or in this
machine's TPM (`tpm2:FILE`, a file that only this TPM can use).

A key is opened for one command and closed with it. A password or PIN comes from a file, from the
URI's `pin-source`, from the environment (by `cli`) or from the person; it is never an argument of a
command, and no `repr` or message shows it.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgewright import _fs
from edgewright.errors import InputError
from edgewright.keys.file import FileSigner, read_public_key, write_public_key
from edgewright.keys.pkcs11_uri import Pkcs11Uri, is_pkcs11
from edgewright.keys.tpm2 import Sealed, Tpm, TpmSigner
from edgewright.trust import PublicKey, Signer
from edgewright.trust.keys import Scheme

PASSWORD_LIMIT_BYTES = 4096
TPM_LIMIT_BYTES = 64 << 10
TPM2 = "tpm2:"


@dataclass(frozen=True)
class Access:
    """How the password or PIN of a key is had: from a file, given already, or by asking."""

    password_file: Path | None = None
    pin: str = field(default="", repr=False)
    ask: Callable[[str], str] | None = field(default=None, repr=False)

    def password(self, key: Path) -> str | None:
        """The password of a key file; None for one without."""
        if self.password_file is not None:
            return read_password(self.password_file)
        if not is_encrypted(key):
            return None
        return self._asked(f"Password of {key.name}")

    def token_pin(self, uri: Pkcs11Uri) -> str:
        """The PIN of a token."""
        source = self.password_file or _source(uri)
        if source is not None:
            return read_password(source) or ""
        return self.pin or self._asked(f"PIN of token {uri.token or uri.serial}")

    def _asked(self, what: str) -> str:
        if self.ask is None:
            raise InputError(f"{what} is needed", hint="give --password-file")
        return self.ask(what)


def make_key(path: Path, *, password: str | None) -> str:
    """A new key pair in files, `path` and its `.pub`; the key's id.

    Raises:
        InputError: there is a file already.
    """
    return FileSigner.create(path, password=password).public.key_id


def make_kept_key(name: str, access: Access, *, scheme: Scheme | None, public: Path) -> str:
    """A new key pair in a token or in this machine's TPM, its public half in a file; the key's id.

    Raises:
        InputError: the file or a key of that name is there already, or the PIN is wrong.
        UnavailableError: the token, its library or the TPM is absent, or knows no such keys.
    """
    if public.exists():
        raise InputError(f"{public} exists already", hint="choose another name")
    made = _made_in_tpm(name, scheme) if is_tpm2(name) else _made_in_token(name, access, scheme)
    write_public_key(public, made)
    return made.key_id


def is_kept_elsewhere(name: str) -> bool:
    """Whether a key's name means a token or a TPM rather than a file."""
    return is_pkcs11(name) or is_tpm2(name)


def is_tpm2(name: str) -> bool:
    """Whether a key's name means this machine's TPM."""
    return name.startswith(TPM2)


@contextlib.contextmanager
def opened(name: str, access: Access) -> Iterator[Signer]:
    """The private key that is meant, for as long as the block lasts.

    Raises:
        InputError: no such key, or the password or PIN is wrong.
        UnavailableError: the token or its library is absent.
    """
    if is_pkcs11(name):
        uri = Pkcs11Uri.parsed(name)
        tokens = _tokens()
        with tokens.opened_key(uri, access.token_pin(uri)) as signer:
            yield signer
    elif is_tpm2(name):
        yield TpmSigner(Tpm(), _tpm_key(name))
    else:
        path = Path(name)
        yield FileSigner.load(path, password=access.password(path))


def public_key(name: str | Path) -> PublicKey:
    """The public half that a `.pub` or PEM file, or a token, holds; no PIN is needed.

    Raises:
        InputError: no such key.
        UnavailableError: the token or its library is absent.
    """
    text = str(name)
    if is_pkcs11(text):
        found: PublicKey = _tokens().read_public_key(Pkcs11Uri.parsed(text))
        return found
    if is_tpm2(text):
        return Tpm().public(_tpm_key(text))
    return read_public_key(Path(name))


def save_public_key(name: str, out: Path) -> str:
    """A public half as a `.pub` file; the key's id.

    Raises:
        InputError: no such key, or the file exists.
        UnavailableError: the token or its library is absent.
    """
    if out.exists():
        raise InputError(f"{out} exists already", hint="choose another name")
    found = public_key(name)
    write_public_key(out, found)
    return found.key_id


def is_encrypted(key: Path) -> bool:
    """Whether a private key file needs a password."""
    return b"ENCRYPTED" in _fs.read_limited(key, limit_bytes=PASSWORD_LIMIT_BYTES)


def read_password(path: Path | None) -> str | None:
    """The password in a file's first line."""
    if path is None:
        return None
    text = _fs.read_limited(path, limit_bytes=PASSWORD_LIMIT_BYTES).decode(errors="replace")
    return text.splitlines()[0] if text else None


def _source(uri: Pkcs11Uri) -> Path | None:
    """The file that a URI names for its PIN; a program to run (`|...`) is not run."""
    if not uri.pin_source:
        return None
    path = uri.pin_source.removeprefix("file://").removeprefix("file:")
    if not path.startswith("/"):
        raise InputError("pin-source= is no absolute path", hint="write pin-source=file:/path")
    return Path(path)


def _made_in_token(name: str, access: Access, scheme: Scheme | None) -> PublicKey:
    uri = Pkcs11Uri.parsed(name)
    made: PublicKey = _tokens().make_key(uri, access.token_pin(uri), scheme=scheme or "ed25519")
    return made


def _made_in_tpm(name: str, scheme: Scheme | None) -> PublicKey:
    if scheme == "ed25519":
        raise InputError("a TPM knows no Ed25519", hint="leave --scheme out: its keys are P-256")
    path, tpm = Path(name.removeprefix(TPM2)), Tpm()
    if path.exists():
        raise InputError(f"{path} exists already", hint="choose another name")
    key = tpm.make_key()
    made = tpm.public(key)
    _fs.write_atomic(path, key.content, mode=0o600)
    return made


def _tpm_key(name: str) -> Sealed:
    content = _fs.read_limited(Path(name.removeprefix(TPM2)), limit_bytes=TPM_LIMIT_BYTES)
    return Sealed.read(content)


def _tokens() -> Any:
    from edgewright.keys import pkcs11  # noqa: PLC0415  # an extra of its own

    return pkcs11
