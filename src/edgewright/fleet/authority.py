"""Who signs the certificates of devices and of the fleet's own listeners: a small certificate
authority that the fleet makes for itself, or one that was brought.

Only the public key of a request is taken; the name comes from the enrolment. Identity lives in the
database (a certificate is known there by its fingerprint), so revoking needs no list of revoked
certificates and acts at the next request.
"""

import datetime as dt
import hashlib
import ipaddress
from collections.abc import Sequence

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from edgewright.errors import InputError

AUTHORITY_LIFETIME_S = 3650 * 86_400.0
SERVER_LIFETIME_S = 397 * 86_400.0
CSR_LIMIT_BYTES = 8192

_BACKDATED_S = 3600.0
"""Devices wake up with clocks that are behind."""
_RSA_BITS = 2048
_Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
_PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate that was signed now."""

    pem: str
    fingerprint: str
    key_hash: str
    not_after_s: float


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What counts of a certificate signing request: the key that signed it."""

    public_der: bytes
    key_hash: str


class Authority:
    """A certificate that may sign others, with its key."""

    def __init__(self, certificate: x509.Certificate, key: _Key) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def create(cls, *, now_s: float) -> "Authority":
        """A new authority with a new key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("edgewright fleet authority")
        builder = _draft(name, key.public_key(), now_s=now_s, lifetime_s=AUTHORITY_LIFETIME_S)
        usage = _usage(key_cert_sign=True, crl_sign=True)
        made = (
            builder.issuer_name(name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(made, key)

    @classmethod
    def load(cls, certificate_pem: bytes, key_pem: bytes) -> "Authority":
        """An authority from its PEM files.

        Raises:
            InputError: not such files, or they do not belong together.
        """
        try:
            certificate = x509.load_pem_x509_certificate(certificate_pem)
            key = serialization.load_pem_private_key(key_pem, password=None)
        except (ValueError, TypeError) as error:
            raise InputError(
                f"certificate authority: {error}", hint="give PEM files, the key without a password"
            ) from error
        if not isinstance(key, _Key) or _der(key.public_key()) != _der(certificate.public_key()):
            raise InputError(
                "certificate authority: the key is not the certificate's",
                hint="give the two files that belong together",
            )
        if not _may_sign(certificate):
            raise InputError(
                "certificate authority: this certificate may not sign others",
                hint="give one with the basic constraint CA:TRUE",
            )
        return cls(certificate, key)

    @property
    def certificate_pem(self) -> bytes:
        """The public half, to be trusted by devices."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private half; only for the owner's own file."""
        return _private_pem(self._key)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate."""
        return fingerprint_of(self._certificate.public_bytes(serialization.Encoding.DER))

    def issue_device(
        self, request: Request, *, device: str, now_s: float, lifetime_s: float
    ) -> Issued:
        """A client certificate for a device's key."""
        public = serialization.load_der_public_key(request.public_der)
        builder = _draft(_name(device), public, now_s=now_s, lifetime_s=lifetime_s)
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        made = self._signed(builder.add_extension(purpose, critical=False))
        return Issued(
            pem=made.public_bytes(serialization.Encoding.PEM).decode(),
            fingerprint=fingerprint_of(made.public_bytes(serialization.Encoding.DER)),
            key_hash=request.key_hash,
            not_after_s=made.not_valid_after_utc.timestamp(),
        )

    def issue_server(self, names: Sequence[str], *, now_s: float) -> tuple[bytes, bytes]:
        """A certificate for listeners under these host names and addresses, and its key, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _draft(
            _name("edgewright fleet"), key.public_key(), now_s=now_s, lifetime_s=SERVER_LIFETIME_S
        )
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
        made = self._signed(
            builder.add_extension(purpose, critical=False).add_extension(
                alternatives, critical=False
            )
        )
        return made.public_bytes(serialization.Encoding.PEM), _private_pem(key)

    def has_signed(self, certificate_pem: bytes) -> bool:
        """Whether a certificate comes from here."""
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        try:
            certificate.verify_directly_issued_by(self._certificate)
        except (InvalidSignature, ValueError, TypeError):
            return False
        return True

    def _signed(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        own = self._certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)
        algorithm = None if isinstance(self._key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        return (
            builder.issuer_name(self._certificate.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(authority, critical=False)
            .sign(self._key, algorithm)
        )


def read_request(pem: str) -> Request:
    """The key of a certificate signing request, after its proof of possession was checked.

    Raises:
        InputError: not a request, not signed by its own key, or with a key that is too weak.
    """
    if len(pem) > CSR_LIMIT_BYTES:
        raise InputError(f"the signing request is larger than {CSR_LIMIT_BYTES} bytes")
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        public = request.public_key()
        is_signed = request.is_signature_valid
    except (ValueError, TypeError) as error:
        raise InputError(
            f"the signing request is none: {error}", hint="send PKCS #10 as PEM"
        ) from (error)
    if not is_signed:
        raise InputError("the signing request is not signed by its own key")
    if not isinstance(public, _PublicKey) or (
        isinstance(public, rsa.RSAPublicKey) and public.key_size < _RSA_BITS
    ):
        raise InputError(
            "the signing request's key is of no kind that is taken",
            hint=f"use P-256, Ed25519, or RSA with {_RSA_BITS} bits or more",
        )
    der = _der(public)
    return Request(public_der=der, key_hash=hashlib.sha256(der).hexdigest())


def fingerprint_of(certificate_der: bytes) -> str:
    """By what a certificate is known: the SHA-256 of its DER."""
    return hashlib.sha256(certificate_der).hexdigest()


def has_signed(certificate_der: bytes, signature: bytes, content: bytes) -> bool:
    """Whether the key of a certificate signed this content (ECDSA, SHA-256)."""
    try:
        key = x509.load_der_x509_certificate(certificate_der).public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            return False
        key.verify(signature, content, ec.ECDSA(hashes.SHA256()))
    except (ValueError, InvalidSignature):
        return False
    return True


def subject_of(certificate_der: bytes) -> str:
    """The common name of a certificate; empty when it has none."""
    certificate = x509.load_der_x509_certificate(certificate_der)
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def is_issued_by(certificate_der: bytes, authority_pem: bytes) -> bool:
    """Whether one certificate was signed by another."""
    authority = x509.load_pem_x509_certificate(authority_pem)
    try:
        x509.load_der_x509_certificate(certificate_der).verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def not_after_s(certificate_pem: bytes) -> float:
    """When a certificate ends."""
    return x509.load_pem_x509_certificate(certificate_pem).not_valid_after_utc.timestamp()


def names_in(certificate_pem: bytes) -> tuple[str, ...]:
    """The host names and addresses that a certificate is for."""
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    hosts = found.get_values_for_type(x509.DNSName)
    addresses = found.get_values_for_type(x509.IPAddress)
    return (*hosts, *map(str, addresses))


def _draft(
    name: x509.Name, public: object, *, now_s: float, lifetime_s: float
) -> x509.CertificateBuilder:
    if not isinstance(public, _PublicKey):
        raise InputError("a key of no kind that is taken")
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_time(now_s - _BACKDATED_S))
        .not_valid_after(_time(now_s + lifetime_s))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(**true: bool) -> x509.KeyUsage:
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
        "key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**(dict.fromkeys(names.split(), False) | true))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass
    try:
        return x509.DNSName(text)
    except ValueError as error:
        raise InputError(f"{text!r} is no host name", hint="like fleet.example.org") from error


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return False
    return found.value.ca


def _der(public: object) -> bytes:
    if not isinstance(public, _PublicKey):
        raise InputError("a key of no kind that is taken")
    return public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _private_pem(key: _Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _time(at_s: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(int(at_s), dt.UTC)
