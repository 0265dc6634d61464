"""What a fleet asks of a device that enrols: its TPM's word about what it started.

A challenge is the time and a checksum over it with a secret of the fleet, so that nothing is kept
and any of several processes can check it; it holds for some minutes. The quote must answer it, for
this name, this signing request and this recipient, so that what was quoted is whom the certificate
and encrypted bundles are for.

Where the policy names makers of TPMs, the device first shows its chip's certificate and gets a
secret that only that chip can open, while it holds the key that will quote. The secret is a
checksum again, over the challenge and that key, so that nothing is kept of this either.
"""

import hashlib
import hmac
import secrets
import struct
from datetime import UTC, datetime

from edgewright.clock import Clock
from edgewright.errors import TrustError
from edgewright.trust.endorsement import (
    AREA_LIMIT_BYTES,
    CERTIFICATE_LIMIT_BYTES,
    SECRET_BYTES,
    SEED_BYTES,
    attestation_key,
    endorsed_key,
    wrapped,
)
from edgewright.trust.quote import Credential, QuotePolicy, require_quote
from edgewright.wire.device_api import Challenge, Chip, Evidence, asked_of

LIFETIME_S = 300
_CHECKSUM_BYTES = 24
_DOMAIN = b"edgewright enrolment challenge\0"
_GENUINE = b"edgewright enrolment credential\0"


class Attestation:
    """The question, and the check of its answer."""

    def __init__(self, policy: QuotePolicy, secret: bytes, *, clock: Clock) -> None:
        self._policy = policy
        self._secret = secret
        self._clock = clock

    def challenge(self) -> Challenge:
        """A question that nobody was asked before, and the registers that the answer must cover."""
        begun = struct.pack(">Q", int(self._clock.wall_s()))
        return Challenge(
            nonce=(begun + self._checksum(begun)).hex(),
            pcrs=self._policy.numbers,
            is_genuine_asked=bool(self._policy.makers),
        )

    def credential(self, chip: Chip) -> Credential:
        """A secret that only the chip can open which a maker on the list certified.

        Raises:
            TrustError: the maker is not on it, or the key that is to quote may leave the chip.
        """
        self._require_own(chip.nonce)
        area = _bytes_of(chip.area_hex, AREA_LIMIT_BYTES)
        certificate = _bytes_of(chip.certificate_hex, CERTIFICATE_LIMIT_BYTES)
        attestation_key(area)
        now = datetime.fromtimestamp(self._clock.wall_s(), UTC)
        makers = [pem.encode() for pem in self._policy.makers]
        key = endorsed_key(certificate, makers, now=now)
        secret = self._secret_of(chip.nonce, area)
        return wrapped(secret, key=key, area=area, seed=secrets.token_bytes(SEED_BYTES))

    def require(
        self, evidence: Evidence | None, *, device: str, csr: str, recipient: str = ""
    ) -> None:
        """Pass when a device's evidence answers a question of this fleet and is as the policy
        wants.

        Raises:
            TrustError: there is none, or the first reason why it does not.
        """
        if evidence is None:
            raise TrustError(
                "this fleet asks for a TPM's quote",
                hint="enrol with: edgewright agent enroll --tpm",
            )
        self._require_own(evidence.nonce)
        if self._policy.makers:
            self._require_genuine(evidence)
        asked = asked_of(evidence.nonce, device=device, csr=csr, recipient=recipient)
        require_quote(evidence.quote, asked=asked, policy=self._policy)

    def _require_genuine(self, evidence: Evidence) -> None:
        area = _bytes_of(evidence.area_hex, AREA_LIMIT_BYTES)
        opened = _bytes_of(evidence.opened_hex, SECRET_BYTES)
        if not hmac.compare_digest(opened, self._secret_of(evidence.nonce, area)):
            raise TrustError(
                "the quote is by no TPM that a maker on this fleet's list certified",
                hint="enrol once more with: edgewright agent enroll --tpm",
            )
        if attestation_key(area) != evidence.quote.key:
            raise TrustError(
                "the quote is by another key than the one that the TPM showed",
                hint="enrol once more",
            )

    def _secret_of(self, nonce: str, area: bytes) -> bytes:
        """What only a TPM can know that opened its credential; never said before."""
        return hmac.digest(self._secret, _GENUINE + nonce.encode() + b"\0" + area, hashlib.sha256)

    def _require_own(self, nonce: str) -> None:
        try:
            begun, checksum = bytes.fromhex(nonce)[:8], bytes.fromhex(nonce)[8:]
        except ValueError:
            begun, checksum = b"", b""
        if not hmac.compare_digest(checksum, self._checksum(begun)):
            raise TrustError("the challenge is not of this fleet", hint="enrol once more")
        age_s = self._clock.wall_s() - struct.unpack(">Q", begun)[0]
        if not -1 <= age_s <= LIFETIME_S:
            raise TrustError(
                f"the challenge is {age_s:.0f} s old, expected at most {LIFETIME_S} s",
                hint="enrol once more",
            )

    def _checksum(self, begun: bytes) -> bytes:
        return hmac.digest(self._secret, _DOMAIN + begun, hashlib.sha256)[:_CHECKSUM_BYTES]


def _bytes_of(digits: str, limit_bytes: int) -> bytes:
    try:
        content = bytes.fromhex(digits)
    except ValueError as error:
        raise TrustError("the device's evidence: expected hex digits, got others") from error
    if len(content) > limit_bytes:
        raise TrustError(f"the device's evidence: {len(content)} bytes, at most {limit_bytes}")
    return content
