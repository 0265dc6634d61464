"""The device API, version 1: what a device asks and what the fleet answers, as JSON over HTTP.

    GET  /device/v1/authority                -> the PEM of the authority behind the fleet's name
    GET  /device/v1/challenge                -> Challenge for a device's TPM; 404 when none is asked
    POST /device/v1/challenge                Chip -> Credential, where the challenge asks for it
    POST /device/v1/enroll                   EnrollRequest -> EnrollReply; 202 while it waits for
                                             a person, then the same request is repeated
    POST /device/v1/certificate              CertificateRequest -> CertificateReply
    GET  /device/v1/desired                  -> Desired, with an ETag; ?wait=SECONDS polls long
    GET  /device/v1/bundles/{bundle_id}      -> the .ewb, with Range and HEAD; ?base=BUNDLE_ID gives
                                             a patch from that bundle, or 404
    GET  /device/v1/repositories/image|director/{file} -> TUF metadata
    POST /device/v1/telemetry                a telemetry batch -> Accepted; 409 with an
                                             OutdatedProblem when it is older than what is there

Over TLS a device is who its client certificate says; it gets one by sending a signing request when
it enrols. On loopback without TLS it carries `Authorization: Bearer SECRET` instead, the secret
that enrolling gave to it. `authority`, `challenge`, `enroll`, and `certificate` with the key of the
certificate before need neither.
"""

import hashlib

import msgspec

from edgewright.trust.quote import Quote

AUTHORITY = "/device/v1/authority"
CHALLENGE = "/device/v1/challenge"
CERTIFICATE = "/device/v1/certificate"
ENROLL = "/device/v1/enroll"
DESIRED = "/device/v1/desired"
BUNDLES = "/device/v1/bundles"
REPOSITORIES = "/device/v1/repositories"
TELEMETRY = "/device/v1/telemetry"


class _Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class Key(_Message, frozen=True, kw_only=True):
    """A public key the device is to trust for bundles."""

    key_id: str
    scheme: str
    public_hex: str


class Challenge(_Message, frozen=True, kw_only=True):
    """What a device's TPM is asked before it enrols: about these registers, and for this nonce."""

    nonce: str
    pcrs: tuple[int, ...]
    is_genuine_asked: bool = False


class Chip(_Message, frozen=True, kw_only=True):
    """Who the TPM is that will answer a challenge: its maker's certificate (DER) and the public
    area of the key that will quote, as hex digits.
    """

    nonce: str
    certificate_hex: str
    area_hex: str


class Evidence(_Message, frozen=True, kw_only=True):
    """The TPM's answer to a challenge; where a genuine TPM is asked for, also the secret that only
    it could open, and the public area of the key that it was opened by.
    """

    nonce: str
    quote: Quote
    area_hex: str = ""
    opened_hex: str = ""


def asked_of(nonce: str, *, device: str, csr: str, recipient: str) -> bytes:
    """What a quote must answer: the challenge, for this name and these keys."""
    parts = ("edgewright enrolment", nonce, device, csr, recipient)
    return hashlib.sha256("\0".join(parts).encode()).digest()


class EnrollRequest(_Message, frozen=True, kw_only=True):
    """A device introduces itself with a token, or without one by a factory certificate. `csr` is a
    PKCS #10 request as PEM; `recipient` whom bundles for it may be encrypted to.
    """

    token: str = ""
    device: str
    labels: dict[str, str] = {}
    csr: str = ""
    timezone: str = "UTC"
    recipient: str = ""
    evidence: Evidence | None = None


class EnrollReply(_Message, frozen=True, kw_only=True):
    """The device's own secret or certificate, and whose word about bundles counts: the root
    metadata of the image repository and of the director, or the keys of a fleet without one.
    """

    device: str
    secret: str = ""
    keys: tuple[Key, ...] = ()
    threshold: int = 0
    image_root: str = ""
    director_root: str = ""
    poll_s: float = 30.0
    certificate: str = ""
    authority: str = ""


class CertificateRequest(_Message, frozen=True, kw_only=True):
    """A device wants its next certificate."""

    csr: str


class CertificateReply(_Message, frozen=True, kw_only=True):
    """The certificate, and the authority that the fleet's own name is behind."""

    certificate: str
    authority: str


class DesiredModel(_Message, frozen=True, kw_only=True):
    """The release a device is to run for one model."""

    model: str
    version: str
    bundle_id: str
    file_sha256: str
    file_size_bytes: int
    rollout: str = ""


class Desired(_Message, frozen=True, kw_only=True):
    """All that a device is to run. `command` is the newest remote command that waits for it
    (`wire.remote_commands`), 0 when none does.
    """

    models: tuple[DesiredModel, ...] = ()
    command: int = 0


class Accepted(_Message, frozen=True, kw_only=True):
    """How many records of a telemetry batch were new."""

    stored: int
    known: int
    unknown_kind: int = 0


class Problem(_Message, frozen=True, kw_only=True):
    """An error as a body: what, and what to do next."""

    error: str
    hint: str = ""


class OutdatedProblem(Problem, frozen=True, kw_only=True):
    """Why telemetry was refused (409): the fleet's newest record of the device has number `newest`.
    What was sent up to number `same` it has, just as it came.
    """

    newest: int
    same: int = 0
