from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edgewright.errors import TrustError
from edgewright.testing import MemorySigner
from edgewright.trust import PublicKey, Signature, TrustedKeys, verify_payload
from edgewright.trust.curves import loaded, public_key_of

ALICE, BOB, EVE = (MemorySigner.from_seed(seed) for seed in (1, 2, 3))
BOTH = TrustedKeys(threshold=2, keys=(ALICE.public, BOB.public))


def test_key_id_is_the_one_tuf_gives() -> None:
    from securesystemslib.signer import SSlibKey

    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(ALICE.public.public_hex))
    assert SSlibKey.from_crypto(key).keyid == ALICE.public.key_id


def test_enough_trusted_keys_open_the_door() -> None:
    signatures = [Signature.of(signer, b"x") for signer in (ALICE, BOB, EVE)]
    assert verify_payload(b"x", signatures, BOTH) == tuple(
        sorted((ALICE.public.key_id, BOB.public.key_id))
    )


@pytest.mark.parametrize(
    "signatures",
    [
        [],
        [Signature.of(ALICE, b"x")],
        [Signature.of(ALICE, b"x")] * 5,
        [Signature.of(EVE, b"x"), Signature.of(ALICE, b"x")],
    ],
    ids=["none", "one", "one-many-times", "one-and-a-stranger"],
)
def test_too_few_distinct_trusted_keys_are_refused(signatures: list[Signature]) -> None:
    with pytest.raises(TrustError, match="2 needed"):
        verify_payload(b"x", signatures, BOTH)


@pytest.mark.parametrize("wrong", ["00" * 64, "zz", ""])
def test_a_wrong_signature_is_refused_even_beside_enough_right_ones(wrong: str) -> None:
    one = TrustedKeys(threshold=1, keys=BOTH.keys)
    forged = Signature(key_id=BOB.public.key_id, signature_hex=wrong)
    with pytest.raises(TrustError, match="does not fit"):
        verify_payload(b"x", [Signature.of(ALICE, b"x"), forged], one)


def test_a_signature_over_other_bytes_is_refused() -> None:
    one = TrustedKeys(threshold=1, keys=(ALICE.public,))
    with pytest.raises(TrustError, match="does not fit"):
        verify_payload(b"y", [Signature.of(ALICE, b"x")], one)


@pytest.mark.parametrize("threshold", [0, 3])
def test_a_threshold_that_nobody_or_everybody_reaches_is_refused(threshold: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 2"):
        TrustedKeys(threshold=threshold, keys=BOTH.keys)


def test_a_key_counts_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        TrustedKeys(threshold=1, keys=(ALICE.public, ALICE.public))


@pytest.mark.parametrize("text", ["", "ab", "AB" * 32, "zz" * 32])
def test_public_key_text_is_checked(text: str) -> None:
    with pytest.raises(ValueError, match="64 lower-case hex"):
        PublicKey(public_hex=text)


# Keys on the curve P-256, which tokens and chips hold


class CurveSigner:
    """A P-256 key in memory."""

    def __init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())

    @property
    def public(self) -> PublicKey:
        return public_key_of(self._private.public_key())

    def sign(self, payload: bytes) -> bytes:
        return self._private.sign(payload, ec.ECDSA(hashes.SHA256()))


def test_a_p256_key_counts_beside_an_ed25519_one() -> None:
    carol = CurveSigner()
    both = TrustedKeys(threshold=2, keys=(ALICE.public, carol.public))
    signatures = [Signature.of(signer, b"x") for signer in (ALICE, carol)]
    assert len(verify_payload(b"x", signatures, both)) == 2
    with pytest.raises(TrustError, match="does not fit"):
        verify_payload(b"y", signatures, both)


def test_a_p256_key_has_the_id_and_the_form_that_tuf_gives_it() -> None:
    from securesystemslib.signer import SSlibKey

    carol = CurveSigner()
    key = SSlibKey.from_crypto(loaded(carol.public))
    assert key.keyid == carol.public.key_id
    assert key.to_dict() == carol.public.tuf_fields
    assert public_key_of(loaded(carol.public)) == carol.public


@pytest.mark.parametrize(
    ("public_hex", "scheme", "words"),
    [
        ("04" + "00" * 64, "ecdsa-sha2-nistp256", "a point of its curve"),
        ("00" * 32, "ecdsa-sha2-nistp256", "a public P-256 key is 130 lower-case hex digits"),
        ("AB" * 32, "ed25519", "a public Ed25519 key is 64 lower-case hex digits"),
        ("00" * 32, "rsa", "scheme 'rsa': expected one of ed25519, ecdsa-sha2-nistp256"),
    ],
    ids=["no-point", "too-short", "upper-case", "other-scheme"],
)
def test_what_is_no_key_is_refused(public_hex: str, scheme: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PublicKey(public_hex=public_hex, scheme=scheme)


def test_a_key_of_another_curve_is_refused() -> None:
    other = ec.generate_private_key(ec.SECP384R1()).public_key()
    with pytest.raises(ValueError, match="expected an Ed25519 or a P-256 key"):
        public_key_of(other)


@pytest.mark.parametrize("spelled", [str.upper, lambda text: f"{text[:2]} {text[2:]}"])
def test_a_signature_has_one_spelling(spelled: Callable[[str], str]) -> None:
    good = Signature.of(ALICE, b"x")
    other = Signature(key_id=good.key_id, signature_hex=spelled(good.signature_hex))
    with pytest.raises(TrustError, match="does not fit"):
        verify_payload(b"x", [other], TrustedKeys(threshold=1, keys=(ALICE.public,)))
