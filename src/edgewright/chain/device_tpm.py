"""A device's TPM at work: its identity key, its word at enrolment, secrets sealed to its boot.

HOME/tpm/identity.json    the attestation key, as only this TPM can use it
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgewright import _fs
from edgewright.errors import InputError
from edgewright.keys.tpm2 import SECRET_LIMIT_BYTES, Sealed, Tpm
from edgewright.trust.quote import Credential
from edgewright.wire.device_api import Challenge, Chip, EnrollRequest, Evidence, asked_of

IDENTITY = "tpm/identity.json"
FILE_LIMIT_BYTES = 64 << 10


class TpmFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a device's TPM tells: who it is, and what was started."""

    pcrs: dict[int, str]
    key_id: str = ""


class DeviceTpm:
    """The TPM of one agent's home."""

    def __init__(self, home: Path, tpm: Tpm | None = None) -> None:
        self._path = home / IDENTITY
        self._tpm = tpm or Tpm()

    def facts(self, pcrs: Sequence[int]) -> TpmFacts:
        """The registers now, and the identity key's id; the key is made when there is none."""
        return TpmFacts(pcrs=self._tpm.pcrs(pcrs), key_id=self._tpm.public(self._identity()).key_id)

    def chip(self, challenge: Challenge) -> Chip:
        """Who will answer a challenge, where the fleet asks for a genuine TPM.

        Raises:
            UnavailableError: the TPM carries no certificate of its maker.
        """
        return Chip(
            nonce=challenge.nonce,
            certificate_hex=self._tpm.endorsement().hex(),
            area_hex=self._identity().area.hex(),
        )

    def evidence(
        self, challenge: Challenge, request: EnrollRequest, *, credential: Credential | None = None
    ) -> Evidence:
        """The answer to a fleet's challenge, for the name and the keys of a request; with what only
        this TPM can open, where the fleet sent something.

        Raises:
            TrustError: what the fleet sent is for another TPM.
        """
        identity = self._identity()
        opened = self._tpm.opened(identity, credential) if credential else b""
        asked = asked_of(
            challenge.nonce,
            device=request.device,
            csr=request.csr,
            recipient=request.recipient,
        )
        quote = self._tpm.quote(identity, asked=asked, pcrs=challenge.pcrs)
        return Evidence(
            nonce=challenge.nonce,
            quote=quote,
            area_hex=identity.area.hex() if credential else "",
            opened_hex=opened.hex(),
        )

    def _identity(self) -> Sealed:
        if self._path.exists():
            return read_sealed(self._path)
        made = self._tpm.make_key("attestation")
        _fs.write_atomic(self._path, made.content, mode=0o600)
        return made


def seal(secret: Path, out: Path, *, pcrs: Sequence[int]) -> None:
    """Seal a small file's content to what this machine started.

    Raises:
        InputError: it is empty or too long, or `out` exists.
        UnavailableError: no TPM, or tpm2-tools are absent.
    """
    if out.exists():
        raise InputError(f"{out} exists already", hint="choose another name")
    content = _fs.read_limited(secret, limit_bytes=SECRET_LIMIT_BYTES)
    _fs.write_atomic(out, Tpm().seal(content, pcrs=pcrs).content, mode=0o600)


def unseal(sealed: Path) -> bytes:
    """What was sealed.

    Raises:
        TrustError: this machine started something else.
        InputError: it is no sealed secret, or another TPM's.
    """
    return Tpm().unseal(read_sealed(sealed))


def read_sealed(path: Path) -> Sealed:
    """A key or a secret of this machine's TPM, from its file."""
    return Sealed.read(_fs.read_limited(path, limit_bytes=FILE_LIMIT_BYTES))
