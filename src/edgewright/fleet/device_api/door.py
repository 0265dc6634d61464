"""By what a request proves whose it is: a certificate, a trusted proxy's word for one, a secret."""

import base64
import binascii
import ipaddress

import msgspec

from edgewright.fleet.authority import fingerprint_of, is_issued_by, subject_of
from edgewright.fleet.listening import Network
from edgewright.transports.http1 import Request

CLIENT_CERT = "client-cert"
"""RFC 9440: how a proxy that ended TLS passes the certificate on, DER in base64 between colons."""


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two, or neither."""

    fingerprint: str = ""
    secret: str = ""


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """How this listener knows devices. Secrets count only where `takes_secrets`: on loopback."""

    takes_secrets: bool = True
    trusted_proxies: tuple[Network, ...] = ()
    authority_pem: str = ""
    factory_pem: str = ""

    def credential(self, request: Request) -> Credential:
        """What the request proves. A header that no trusted proxy sent proves nothing."""
        certificate = self._certificate(request)
        if certificate:
            return Credential(fingerprint=fingerprint_of(certificate))
        if not self.takes_secrets:
            return Credential()
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        return Credential(secret=secret) if scheme.lower() == "bearer" else Credential()

    def factory_name(self, request: Request) -> str:
        """The name in the factory certificate that the request proves; empty without one."""
        certificate = self._certificate(request)
        if not certificate or not self.factory_pem:
            return ""
        is_ours = is_issued_by(certificate, self.factory_pem.encode())
        return subject_of(certificate) if is_ours else ""

    def _certificate(self, request: Request) -> bytes:
        if request.client_certificate:
            return request.client_certificate
        text = request.headers.get(CLIENT_CERT, "")
        if not text or not self._is_from_proxy(request):
            return b""
        try:
            return base64.b64decode(text.strip().strip(":"), validate=True)
        except binascii.Error:
            return b""

    def _is_from_proxy(self, request: Request) -> bool:
        host = request.peer.rpartition(":")[0]
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self.trusted_proxies)
