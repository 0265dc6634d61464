"""What a fleet asks of a device that enrols: its TPM's word about what it started.

A challenge is the time and a checksum over it with a secret of the fleet, so that nothing is kept
and any of several processes can check it; it holds for some minutes. The quote must answer it, for
this name, this signing request and this recipient, so that what was quoted is whom the certificate
and encrypted bundles are for.
"""

import hashlib
import hmac
import struct

from edgewright.clock import Clock
from edgewright.errors import TrustError
from edgewright.trust.quote import QuotePolicy, require_quote
from edgewright.wire.device_api import Challenge, Evidence, asked_of

LIFETIME_S = 300
_CHECKSUM_BYTES = 24
_DOMAIN = b"edgewright enrolment challenge\0"


class Attestation:
    """The question, and the check of its answer."""

    def __init__(self, policy: QuotePolicy, secret: bytes, *, clock: Clock) -> None:
        self._policy = policy
        self._secret = secret
        self._clock = clock

    def challenge(self) -> Challenge:
        """A question that nobody was asked before, and the registers that the answer must cover."""
        begun = struct.pack(">Q", int(self._clock.wall_s()))
        return Challenge(nonce=(begun + self._checksum(begun)).hex(), pcrs=self._policy.numbers)

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
        asked = asked_of(evidence.nonce, device=device, csr=csr, recipient=recipient)
        require_quote(evidence.quote, asked=asked, policy=self._policy)

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
