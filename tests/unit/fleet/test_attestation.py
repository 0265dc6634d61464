import hashlib
import struct

import msgspec
import pytest

from edgewright.errors import TrustError
from edgewright.fleet.attestation import LIFETIME_S, Attestation
from edgewright.testing import FakeClock, MemorySigner
from edgewright.trust.quote import Quote, QuotePolicy
from edgewright.wire.device_api import Challenge, Chip, Evidence, asked_of

ALICE = MemorySigner.from_seed(1)
VALUE = "77" * 32
POLICY = QuotePolicy(pcrs={7: (VALUE,)})


def answer(challenge: Challenge, *, device: str = "d1", csr: str = "csr") -> Evidence:
    """What a TPM with that register would say."""
    asked = asked_of(challenge.nonce, device=device, csr=csr, recipient="r")
    content = b"".join(
        (
            struct.pack(">IHH", 0xFF544347, 0x8018, 0),
            struct.pack(">H", len(asked)) + asked,
            bytes(25),
            struct.pack(">IHB", 1, 0x000B, 3) + (1 << 7).to_bytes(3, "little"),
            struct.pack(">H", 32) + hashlib.sha256(bytes.fromhex(VALUE)).digest(),
        )
    )
    quote = Quote(
        key=ALICE.public,
        attested_hex=content.hex(),
        signature_hex=ALICE.sign(content).hex(),
        pcrs={7: VALUE},
    )
    return Evidence(nonce=challenge.nonce, quote=quote)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def attestation(clock: FakeClock) -> Attestation:
    return Attestation(POLICY, b"secret", clock=clock)


def test_an_answer_to_the_fleets_own_question_passes(
    attestation: Attestation, clock: FakeClock
) -> None:
    challenge = attestation.challenge()
    assert challenge.pcrs == (7,)
    attestation.require(answer(challenge), device="d1", csr="csr", recipient="r")
    other_process = Attestation(POLICY, b"secret", clock=clock)
    other_process.require(answer(challenge), device="d1", csr="csr", recipient="r")


def test_no_answer_is_refused_with_what_to_do(attestation: Attestation) -> None:
    with pytest.raises(TrustError, match=r"asks for a TPM's quote; .*--tpm"):
        attestation.require(None, device="d1", csr="csr", recipient="r")


@pytest.mark.parametrize(
    ("device", "csr", "recipient"),
    [("d2", "csr", "r"), ("d1", "another key", "r"), ("d1", "", "r"), ("d1", "csr", "another")],
)
def test_an_answer_for_another_device_or_key_is_refused(
    attestation: Attestation, device: str, csr: str, recipient: str
) -> None:
    evidence = answer(attestation.challenge())
    with pytest.raises(TrustError, match="answers another question"):
        attestation.require(evidence, device=device, csr=csr, recipient=recipient)


def test_an_old_answer_is_refused(attestation: Attestation, clock: FakeClock) -> None:
    evidence = answer(attestation.challenge())
    clock.advance(LIFETIME_S)
    attestation.require(evidence, device="d1", csr="csr", recipient="r")
    clock.advance(1)
    with pytest.raises(TrustError, match="the challenge is 301 s old, expected at most 300 s"):
        attestation.require(evidence, device="d1", csr="csr", recipient="r")


@pytest.mark.parametrize("nonce", ["", "00", "zz", "00" * 32])
def test_a_question_of_somebody_else_is_refused(attestation: Attestation, nonce: str) -> None:
    evidence = answer(Challenge(nonce=nonce, pcrs=(7,)))
    with pytest.raises(TrustError, match="the challenge is not of this fleet"):
        attestation.require(evidence, device="d1", csr="csr", recipient="r")


def test_a_challenge_that_was_made_younger_is_refused(attestation: Attestation) -> None:
    challenge = attestation.challenge()
    later = struct.pack(">Q", int(challenge.nonce[:16], 16) + 1).hex() + challenge.nonce[16:]
    evidence = answer(msgspec.structs.replace(challenge, nonce=later))
    with pytest.raises(TrustError, match="the challenge is not of this fleet"):
        attestation.require(evidence, device="d1", csr="csr", recipient="r")


def test_a_fleet_that_lists_makers_lets_no_quote_in_that_opened_nothing(clock: FakeClock) -> None:
    policy = QuotePolicy(pcrs={7: (VALUE,)}, makers=("a maker's certificate",))
    attestation = Attestation(policy, b"secret", clock=clock)
    challenge = attestation.challenge()
    assert challenge.is_genuine_asked
    bare = answer(challenge)
    for evidence in (bare, msgspec.structs.replace(bare, area_hex="00", opened_hex="00" * 32)):
        with pytest.raises(TrustError, match="no TPM that a maker"):
            attestation.require(evidence, device="d1", csr="csr", recipient="r")


@pytest.mark.parametrize(("digits", "why"), [("zz", "hex digits"), ("00" * 600, "600 bytes")])
def test_a_chip_that_shows_nonsense_is_refused(clock: FakeClock, digits: str, why: str) -> None:
    policy = QuotePolicy(pcrs={7: (VALUE,)}, makers=("a maker's certificate",))
    attestation = Attestation(policy, b"secret", clock=clock)
    nonce = attestation.challenge().nonce
    with pytest.raises(TrustError, match=why):
        attestation.credential(Chip(nonce=nonce, certificate_hex="", area_hex=digits))
