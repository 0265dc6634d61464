"""This device's own key and certificate, and the authority it believes the fleet's name to.

HOME/tls/device.key       made here and never sent
HOME/tls/device.pem       the certificate that the fleet signed for it
HOME/tls/next.key         of a renewal under way: kept until its certificate has come
HOME/tls/authority.pem    who must have signed the fleet's certificate; the system's when absent
"""

import datetime as dt
import hashlib
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edgewright import _fs
from edgewright.errors import InputError, TrustError

FOLDER = "tls"
RENEW_AT = 2 / 3
"""How much of a certificate's life passes before the next one is asked for."""

_LIMIT_BYTES = 64 * 1024


class DeviceCertificate:
    """What lies in an agent's `tls` folder."""

    def __init__(self, home: Path) -> None:
        self.folder = home / FOLDER

    @property
    def exists(self) -> bool:
        """Whether a fleet has signed a certificate for this device."""
        return (self.folder / "device.pem").exists()

    def signing_request(self, name: str) -> str:
        """A request with this device's key, which is made when there is none."""
        return _request(self._key("device.key"), name)

    def next_request(self, name: str) -> str:
        """A request with the key that is to follow."""
        return _request(self._key("next.key"), name)

    def sign(self, content: bytes) -> tuple[bytes, bytes]:
        """This device's certificate (DER), and its signature under the content."""
        self.repair()
        pem = _fs.read_limited(self.folder / "device.pem", limit_bytes=_LIMIT_BYTES)
        found = x509.load_pem_x509_certificate(pem)
        signature = self._key("device.key").sign(content, ec.ECDSA(hashes.SHA256()))
        return found.public_bytes(serialization.Encoding.DER), signature

    def save(self, certificate: str, authority: str) -> None:
        """Keep what came of enrolling. The certificate comes last: with it this device is in.

        Raises:
            TrustError: the certificate is not for this device's key.
        """
        self._check(certificate, "device.key")
        if authority:
            _fs.write_atomic(self.folder / "authority.pem", authority.encode())
        _fs.write_atomic(self.folder / "device.pem", certificate.encode())

    def save_next(self, certificate: str, authority: str) -> None:
        """Go over to the next key and certificate. The two are swapped one after the other; a cut
        in between leaves a key that `repair` finds the certificate for.

        Raises:
            TrustError: the certificate is not for the next key.
        """
        self._check(certificate, "next.key")
        _fs.write_atomic(self.folder / "next.pem", certificate.encode())
        self.repair()
        if authority:
            _fs.write_atomic(self.folder / "authority.pem", authority.encode())

    def repair(self) -> None:
        """End a swap that a cut interrupted."""
        if not (self.folder / "next.pem").exists():
            return
        if (self.folder / "next.key").exists():
            _fs.move(self.folder / "next.key", self.folder / "device.key")
        _fs.move(self.folder / "next.pem", self.folder / "device.pem")

    def is_due(self, now_s: float) -> bool:
        """Whether it is time to ask for the next one."""
        begins_s, ends_s = self._span_s()
        return now_s >= begins_s + RENEW_AT * (ends_s - begins_s)

    def is_over(self, now_s: float) -> bool:
        """Whether the certificate opens nothing any more."""
        return now_s >= self._span_s()[1]

    def context(self, *, shows: bool = True) -> ssl.SSLContext:
        """TLS towards the fleet, showing this device's certificate if there is one."""
        path = self.folder / "authority.pem"
        context = _context(str(path) if path.exists() else None)
        if shows and self.exists:
            self.repair()
            context.load_cert_chain(self.folder / "device.pem", self.folder / "device.key")
        return context

    def trust_authority(self, pem: bytes, *, fingerprint: str = "") -> None:
        """Believe the fleet's name to this authority.

        Raises:
            TrustError: it is not the one that the token names.
        """
        try:
            der = x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
        except ValueError as error:
            raise TrustError(
                f"the fleet's authority is no certificate: {error}", hint="check the address"
            ) from error
        found = hashlib.sha256(der).hexdigest()
        if fingerprint and found != fingerprint:
            raise TrustError(
                f"the fleet's authority is {found[:16]}..., the token promised "
                f"{fingerprint[:16]}...: somebody may stand in between",
                hint="check the address; make a new token if the fleet's authority was changed",
            )
        _fs.make_dirs(self.folder)
        _fs.write_atomic(self.folder / "authority.pem", pem)

    def _key(self, name: str) -> ec.EllipticCurvePrivateKey:
        path = self.folder / name
        if path.exists():
            return _read_key(path)
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        _fs.make_dirs(self.folder)
        self.folder.chmod(0o700)
        _fs.write_atomic(path, pem, mode=0o600)
        return key

    def _check(self, certificate: str, key_name: str) -> None:
        key = self._key(key_name)
        try:
            found = x509.load_pem_x509_certificate(certificate.encode()).public_key()
        except ValueError as error:
            raise TrustError(f"the fleet sent no certificate: {error}") from error
        if found != key.public_key():
            raise TrustError("the fleet's certificate is for another key", hint="enrol again")

    def _span_s(self) -> tuple[float, float]:
        content = _fs.read_limited(self.folder / "device.pem", limit_bytes=_LIMIT_BYTES)
        found = x509.load_pem_x509_certificate(content)
        return _seconds(found.not_valid_before_utc), _seconds(found.not_valid_after_utc)


def unverified_context() -> ssl.SSLContext:
    """TLS that believes anybody: only to fetch an authority that is then compared with a token."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _context(cafile: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=cafile)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _request(key: ec.EllipticCurvePrivateKey, name: str) -> str:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    content = _fs.read_limited(path, limit_bytes=_LIMIT_BYTES)
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        raise InputError(f"device key {path}: {error}", hint="enrol the device again") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InputError(f"device key {path}: not a P-256 key", hint="enrol the device again")
    return key


def _seconds(at: dt.datetime) -> float:
    return at.timestamp()
