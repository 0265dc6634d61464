"""A TPM's quote: its signed word about what a machine started with (TPM 2.0 library, part 2).

A quote is a structure that the TPM itself wrote (`magic` says so, and a restricted key signs
nothing else that begins with it), with the digest of some platform configuration registers (PCR),
and with a word of the one who asked, so that an old quote cannot be shown again. Here it is
checked; making one is `edgewright.keys.tpm2`. That the key lies in a TPM at all is for the policy's
list of keys to say, or for whoever vouches for the enrolment.

    >>> policy = QuotePolicy(pcrs={7: ("00" * 32,)})
    >>> policy.numbers
    (7,)
"""

import hashlib

import msgspec

from edgewright.errors import TrustError
from edgewright.trust.keys import PublicKey

PCR_COUNT = 24

_MAGIC = 0xFF544347
_IS_QUOTE = 0x8018
_SHA256 = 0x000B
_CLOCK_AND_FIRMWARE_BYTES = 17 + 8
_SELECT_LIMIT_BYTES = 4
_VALUE_DIGITS = 64
_HEX_DIGITS = frozenset("0123456789abcdef")


class Quote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a TPM said: the structure, who signed it, and the values that its digest is of."""

    key: PublicKey
    attested_hex: str
    signature_hex: str
    pcrs: dict[int, str]


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A secret that only one TPM can open while it holds one key (`edgewright.trust.endorsement`):
    the two structures that TPM2_ActivateCredential takes, as hex digits.
    """

    blob_hex: str
    seed_hex: str


class QuotePolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which values each register may have, and whose quotes count: those of all keys, or of these
    key ids, and of keys in a TPM that one of these makers certified (PEM).
    """

    pcrs: dict[int, tuple[str, ...]]
    keys: tuple[str, ...] = ()
    makers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.pcrs:
            raise ValueError("a policy without registers allows everything")
        for number, values in self.pcrs.items():
            if not 0 <= number < PCR_COUNT or not values:
                raise ValueError(f"register {number}: expected 0 to {PCR_COUNT - 1}, and a value")
            for value in values:
                if not _is_sha256(value):
                    raise ValueError(f"register {number}: a value is 64 lower-case hex digits")

    @property
    def numbers(self) -> tuple[int, ...]:
        """The registers that a quote must speak of."""
        return tuple(sorted(self.pcrs))


def require_quote(quote: Quote, *, asked: bytes, policy: QuotePolicy) -> None:
    """Pass when the quote answers what was asked now and the machine started as the policy wants.

    Raises:
        TrustError: a signature, a value or a key is wrong; the first reason in this order.
    """
    attested = _hex(quote.attested_hex, "the quote")
    if not quote.key.accepts(quote.signature_hex, attested):
        raise TrustError(
            f"the quote is not signed by key {quote.key.key_id[:12]}",
            hint="it was changed on the way, or made up",
        )
    told, numbers, digest = _read(attested)
    if told != asked:
        raise TrustError(
            "the quote answers another question than the one asked now",
            hint="an old quote is shown again; enrol once more",
        )
    for number, value in quote.pcrs.items():
        # Values of other lengths could be cut and joined anew without changing the digest.
        if len(value) != _VALUE_DIGITS or not _HEX_DIGITS.issuperset(value):
            raise TrustError(
                f"register {number} is not {_VALUE_DIGITS} lower-case hex digits",
                hint="it was made up; enrol once more",
            )
    if numbers != tuple(sorted(quote.pcrs)) or digest != _digest(quote.pcrs):
        raise TrustError(
            "the register values beside the quote are not those that it was made of",
            hint="they were changed on the way, or a register changed meanwhile; enrol once more",
        )
    _require_allowed(quote, policy)


def _require_allowed(quote: Quote, policy: QuotePolicy) -> None:
    if policy.keys and quote.key.key_id not in policy.keys:
        raise TrustError(
            f"the quote is by key {quote.key.key_id[:12]}, which is not on the list",
            hint="the security admin runs: edgewright fleet attest allow --key KEY_ID",
        )
    for number in policy.numbers:
        if number not in quote.pcrs:
            raise TrustError(f"the quote says nothing of register {number}", hint="enrol once more")
        if quote.pcrs[number] not in policy.pcrs[number]:
            raise TrustError(
                f"register {number} is {quote.pcrs[number][:16]}..., which is not allowed",
                hint="it started something else; or allow it: edgewright fleet attest allow",
            )


def _read(attested: bytes) -> tuple[bytes, tuple[int, ...], bytes]:
    """What a TPMS_ATTEST structure tells: the asker's word, the registers, their digest."""
    reader = _Reader(attested)
    if reader.number(4) != _MAGIC or reader.number(2) != _IS_QUOTE:
        raise TrustError("expected a TPM's quote, got another structure", hint="enrol once more")
    reader.sized()  # the signer's qualified name
    told = reader.sized()
    reader.take(_CLOCK_AND_FIRMWARE_BYTES)
    if reader.number(4) != 1 or reader.number(2) != _SHA256:
        raise TrustError("expected a quote of the SHA-256 registers", hint="enrol once more")
    size = reader.number(1)
    if size > _SELECT_LIMIT_BYTES:
        raise TrustError(f"the quote selects among {8 * size} registers, expected {PCR_COUNT}")
    chosen = int.from_bytes(reader.take(size), "little")
    digest = reader.sized()
    if reader.left:
        raise TrustError(f"the quote goes on for {reader.left} bytes after its end")
    numbers = tuple(number for number in range(8 * size) if chosen >> number & 1)
    return told, numbers, digest


def _digest(pcrs: dict[int, str]) -> bytes:
    values = b"".join(_hex(pcrs[number], f"register {number}") for number in sorted(pcrs))
    return hashlib.sha256(values).digest()


class _Reader:
    """Numbers and sized pieces, one after the other, most significant byte first."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._content) - self._at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise TrustError(f"the quote ends early: {size} bytes are missing at {self._at}")
        piece = self._content[self._at : self._at + size]
        self._at += size
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def sized(self) -> bytes:
        return self.take(self.number(2))


def _hex(text: str, what: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise TrustError(f"{what}: expected hex digits, got others") from error


def _is_sha256(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")
