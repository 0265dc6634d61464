"""The check of a TPM's quote, against structures written here byte by byte."""

import hashlib
import struct
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.errors import TrustError
from edgewright.testing import MemorySigner
from edgewright.trust.quote import Quote, QuotePolicy, require_quote

ALICE, EVE = MemorySigner.from_seed(1), MemorySigner.from_seed(2)
ASKED = b"the question"
VALUES = {0: "11" * 32, 7: "77" * 32, 16: "00" * 32}
POLICY = QuotePolicy(pcrs={0: (VALUES[0],), 7: ("ab" * 32, VALUES[7])})


def sized(content: bytes) -> bytes:
    return struct.pack(">H", len(content)) + content


def structure(
    *,
    magic: int = 0xFF544347,
    kind: int = 0x8018,
    asked: bytes = ASKED,
    banks: int = 1,
    bank: int = 0x000B,
    values: dict[int, str] = VALUES,
    tail: bytes = b"",
) -> bytes:
    """A TPMS_ATTEST of a quote."""
    chosen = sum(1 << number for number in values).to_bytes(3, "little")
    digest = hashlib.sha256(b"".join(bytes.fromhex(values[n]) for n in sorted(values))).digest()
    clock = struct.pack(">QIIBQ", 1, 2, 3, 1, 4)
    selection = struct.pack(">IHB", banks, bank, len(chosen)) + chosen
    return (
        struct.pack(">IH", magic, kind)
        + sized(b"\x00\x0b" + bytes(32))
        + sized(asked)
        + clock
        + selection
        + sized(digest)
        + tail
    )


def quote(content: bytes | None = None, **changed: Any) -> Quote:
    content = structure() if content is None else content
    return msgspec.structs.replace(
        Quote(
            key=ALICE.public,
            attested_hex=content.hex(),
            signature_hex=ALICE.sign(content).hex(),
            pcrs=VALUES,
        ),
        **changed,
    )


def test_a_quote_that_says_what_is_allowed_passes() -> None:
    require_quote(quote(), asked=ASKED, policy=POLICY)
    listed = msgspec.structs.replace(POLICY, keys=(ALICE.public.key_id,))
    require_quote(quote(), asked=ASKED, policy=listed)


REFUSED: dict[str, tuple[Callable[[], Quote], str]] = {
    "another key": (lambda: quote(key=EVE.public), "is not signed by key"),
    "no signature": (lambda: quote(signature_hex=""), "is not signed by key"),
    "signature of text": (lambda: quote(signature_hex="zz"), "is not signed by key"),
    "old": (lambda: quote(structure(asked=b"yesterday")), "answers another question"),
    "values swapped": (lambda: quote(pcrs={**VALUES, 16: "01" * 32}), "are not those"),
    "value left out": (lambda: quote(pcrs={0: VALUES[0], 7: VALUES[7]}), "are not those"),
    "no values": (lambda: quote(pcrs={}), "are not those"),
    "value of text": (lambda: quote(pcrs={**VALUES, 16: "zz"}), "register 16 is not 64"),
    "other structure": (lambda: quote(structure(kind=0x8017)), "got another structure"),
    "made outside": (lambda: quote(structure(magic=0)), "got another structure"),
    "SHA-1 registers": (lambda: quote(structure(bank=0x0004)), "SHA-256 registers"),
    "two banks": (lambda: quote(structure(banks=2)), "SHA-256 registers"),
    "something after it": (lambda: quote(structure(tail=b"x")), "goes on for 1 bytes"),
    "empty": (lambda: quote(b""), "ends early"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_quote_that_was_changed_or_is_old_is_refused(name: str) -> None:
    make, words = REFUSED[name]
    with pytest.raises(TrustError, match=words):
        require_quote(make(), asked=ASKED, policy=POLICY)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({**VALUES, 7: "78" * 32}, "register 7 is 7878.*, which is not allowed"),
        ({0: VALUES[0]}, "says nothing of register 7"),
    ],
)
def test_a_machine_that_started_something_else_is_refused(
    values: dict[int, str], words: str
) -> None:
    with pytest.raises(TrustError, match=words):
        require_quote(quote(structure(values=values), pcrs=values), asked=ASKED, policy=POLICY)


def test_a_key_that_is_not_on_the_list_is_refused() -> None:
    listed = msgspec.structs.replace(POLICY, keys=(EVE.public.key_id,))
    with pytest.raises(TrustError, match="which is not on the list"):
        require_quote(quote(), asked=ASKED, policy=listed)


@pytest.mark.parametrize("length", range(len(structure())))
def test_a_quote_that_ends_early_is_refused(length: int) -> None:
    with pytest.raises(TrustError, match=r"ends early|another structure"):
        require_quote(quote(structure()[:length]), asked=ASKED, policy=POLICY)


@given(content=st.binary(max_size=300))
def test_nothing_else_passes_as_a_quote(content: bytes) -> None:
    with pytest.raises(TrustError):
        require_quote(quote(content), asked=ASKED, policy=POLICY)


@pytest.mark.parametrize(
    ("pcrs", "words"),
    [
        ({}, "allows everything"),
        ({24: ("00" * 32,)}, "register 24"),
        ({7: ()}, "register 7"),
        ({7: ("AB" * 32,)}, "64 lower-case hex digits"),
    ],
)
def test_a_policy_that_means_nothing_is_refused(
    pcrs: dict[int, tuple[str, ...]], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        QuotePolicy(pcrs=pcrs)


def test_values_cannot_be_moved_from_one_register_to_another() -> None:
    """A bad register 7 hidden behind 1, and the good value, replayed into 16, shown for it."""
    bad = {0: VALUES[0], 1: "22" * 32, 7: "ee" * 32, 16: VALUES[7]}
    content = structure(values=bad)
    moved = {0: bad[0], 1: bad[1] + bad[7], 7: bad[16], 16: ""}
    with pytest.raises(TrustError, match="register 1 is not 64"):
        require_quote(quote(content, pcrs=moved), asked=ASKED, policy=POLICY)
