"""What shows that a key lies in a genuine TPM, and what does not. A real TPM in software opens such
a credential in `tests/e2e/test_attestation.py`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edgewright.errors import TrustError
from edgewright.trust.endorsement import attestation_key, endorsed_key, makers_in, name_of, wrapped

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
CHIP = rsa.generate_private_key(65537, 2048)
MAKER, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
CERTIFIES_CHIPS = x509.ObjectIdentifier("2.23.133.8.1")
# A key of `tpm2_create -G ecc256:ecdsa-sha256:null` with the attributes of an attestation key.
AREA = bytes.fromhex(
    "0023000b00050072000000100018000b0003001000205a3b3a087c473cbd8748114afa260c77177110f0521686"
    "36ef1716e1b4f96a150020fe17c3866df29386c46e3de98314430b6976b5b1f390006b5e8ab2cc51db326a"
)


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def maker(key: ec.EllipticCurvePrivateKey = MAKER, *, is_authority: bool = True) -> bytes:
    made = (
        x509.CertificateBuilder()
        .subject_name(named("maker"))
        .issuer_name(named("maker"))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def certificate(
    *,
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey = CHIP.public_key(),  # noqa: B008 - a constant
    purposes: Sequence[x509.ObjectIdentifier] = (CERTIFIES_CHIPS,),
) -> bytes:
    made = (
        x509.CertificateBuilder()
        .subject_name(named("chip"))
        .issuer_name(named("maker"))
        .public_key(key)
        .serial_number(2)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
    )
    if purposes:
        made = made.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return made.sign(MAKER, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("purposes", [(CERTIFIES_CHIPS,), ()])
def test_a_chip_that_a_listed_maker_certified_passes(
    purposes: tuple[x509.ObjectIdentifier, ...],
) -> None:
    found = endorsed_key(certificate(purposes=purposes), [maker(OTHER), maker()], now=NOW)
    assert found.public_numbers() == CHIP.public_key().public_numbers()


@pytest.mark.parametrize(
    ("content", "makers", "at", "why"),
    [
        (certificate(), [maker(OTHER)], NOW, "not on the list"),
        (certificate(), [], NOW, "not on the list"),
        (certificate(), [maker(is_authority=False)], NOW, "not on the list"),
        (certificate(), [maker()], NOW + 2 * DAY, "not valid now"),
        (certificate(), [maker()], NOW - 2 * DAY, "not valid now"),
        (certificate(purposes=[ExtendedKeyUsageOID.CLIENT_AUTH]), [maker()], NOW, "endorsement"),
        (certificate(key=OTHER.public_key()), [maker()], NOW, "not RSA"),
        (b"no certificate", [maker()], NOW, "is none"),
    ],
)
def test_other_certificates_are_refused(
    content: bytes, makers: list[bytes], at: datetime, why: str
) -> None:
    with pytest.raises(TrustError, match=why):
        endorsed_key(content, makers, now=at)


def test_a_list_of_makers_holds_authorities_only() -> None:
    assert makers_in(maker() + maker(OTHER)) == ("CN=maker", "CN=maker")
    with pytest.raises(TrustError, match="may certify nobody"):
        makers_in(maker(is_authority=False))
    with pytest.raises(TrustError, match="no certificates"):
        makers_in(b"nothing")


def test_an_attestation_key_is_read_from_its_area() -> None:
    assert attestation_key(AREA).public_hex == f"04{AREA[22:54].hex()}{AREA[56:].hex()}"


@pytest.mark.parametrize("bit", [1, 4, 5, 16, 17, 18])
def test_a_key_that_may_do_more_is_none(bit: int) -> None:
    attributes = int.from_bytes(AREA[4:8], "big") ^ 1 << bit
    with pytest.raises(TrustError, match="may do more"):
        attestation_key(AREA[:4] + attributes.to_bytes(4, "big") + AREA[8:])


@pytest.mark.parametrize(
    "area", [b"", AREA[:-1], AREA + b"\0", b"\0\1" + AREA[2:], AREA[:16] + b"\0\4" + AREA[18:]]
)
def test_another_area_is_refused(area: bytes) -> None:
    with pytest.raises(TrustError):
        attestation_key(area)


def test_a_point_beside_the_curve_is_refused() -> None:
    with pytest.raises(TrustError, match="no point"):
        attestation_key(AREA[:-1] + bytes([AREA[-1] ^ 1]))


def test_a_credential_shows_nothing_of_its_secret_and_is_of_the_right_size() -> None:
    made = wrapped(b"s" * 32, key=CHIP.public_key(), area=AREA, seed=bytes(32))
    again = wrapped(b"s" * 32, key=CHIP.public_key(), area=AREA, seed=bytes(32))
    assert made.blob_hex == again.blob_hex  # of the seed alone
    assert made.seed_hex != again.seed_hex  # the seed itself is hidden anew each time
    assert len(bytes.fromhex(made.blob_hex)) == 2 + 2 + 32 + 2 + 32
    assert (b"s" * 32).hex() not in made.blob_hex
    assert name_of(AREA)[:2] == b"\0\x0b"
