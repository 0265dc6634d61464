"""Signed statements: in-toto statements in DSSE envelopes, as supply chain tools exchange them.

The signature is over the pre-authentication encoding of the payload's type and bytes, so that
neither can be taken for something else. Who signs, and in which kind of key, is for the caller.
"""

import base64
import binascii
from typing import Any

import msgspec

from edgewright.errors import TrustError

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
LIMIT_BYTES = 4 << 20
SIGNATURE_LIMIT = 16


class EnvelopeSignature(msgspec.Struct, frozen=True, kw_only=True):
    """One signature, base64."""

    sig: str
    keyid: str = ""


class Envelope(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A payload, base64, and who signed it."""

    payload: str
    payload_type: str
    signatures: tuple[EnvelopeSignature, ...]

    def content(self) -> bytes:
        """The signed bytes.

        Raises:
            TrustError: not base64, of another type, or too many signatures.
        """
        if self.payload_type != PAYLOAD_TYPE:
            raise TrustError(
                f"statement: payload of type {self.payload_type[:80]!r}, expected {PAYLOAD_TYPE}"
            )
        if not 1 <= len(self.signatures) <= SIGNATURE_LIMIT:
            raise TrustError(f"statement: {len(self.signatures)} signatures, expected 1 to 16")
        return unbase64(self.payload)


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a statement is about."""

    name: str
    digest: dict[str, str]


class Statement(msgspec.Struct, frozen=True, kw_only=True, rename={"type": "_type"}):
    """What is said of which files; `predicate` is for those who know its type."""

    type: str = STATEMENT_TYPE
    subject: tuple[Subject, ...]
    predicate_type: str = msgspec.field(name="predicateType")
    predicate: Any

    @classmethod
    def parse(cls, content: bytes) -> "Statement":
        """A statement from an envelope's payload.

        Raises:
            TrustError: it is none.
        """
        try:
            statement = msgspec.json.decode(content, type=cls)
        except (msgspec.DecodeError, RecursionError) as error:
            raise TrustError(f"not an in-toto statement: {error}") from error
        if statement.type != STATEMENT_TYPE:
            raise TrustError(f"not an in-toto statement of version 1: {statement.type[:80]!r}")
        return statement


def pre_authentication(payload: bytes) -> bytes:
    """What is really signed (DSSE v1).

    >>> pre_authentication(b"{}")
    b'DSSEv1 28 application/vnd.in-toto+json 2 {}'
    """
    return b"DSSEv1 %d %s %d %s" % (
        len(PAYLOAD_TYPE),
        PAYLOAD_TYPE.encode(),
        len(payload),
        payload,
    )


def base64_text(content: bytes) -> str:
    """As envelopes write bytes."""
    return base64.b64encode(content).decode()


def unbase64(text: str) -> bytes:
    """The bytes that an envelope wrote.

    Raises:
        TrustError: not base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise TrustError("statement: expected base64", hint="fetch it again") from error
