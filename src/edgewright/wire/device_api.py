"""The device API, version 1: what a device asks and what the fleet answers, as JSON over HTTP.

    POST /device/v1/enroll                   EnrollRequest -> EnrollReply
    GET  /device/v1/desired                  -> Desired, with an ETag; ?wait=SECONDS polls long
    GET  /device/v1/bundles/{bundle_id}      -> the .ewb, with Range and HEAD
    POST /device/v1/telemetry                a telemetry batch -> Accepted

All but `enroll` carry `Authorization: Bearer SECRET`, the secret that enrolling gave to this
device. Until client certificates arrive with the fleet's own issue, the API listens on loopback
only.
"""

import msgspec

ENROLL = "/device/v1/enroll"
DESIRED = "/device/v1/desired"
BUNDLES = "/device/v1/bundles"
TELEMETRY = "/device/v1/telemetry"


class _Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class Key(_Message, frozen=True, kw_only=True):
    """A public key the device is to trust for bundles."""

    key_id: str
    scheme: str
    public_hex: str


class EnrollRequest(_Message, frozen=True, kw_only=True):
    """A device introduces itself with a one-time token."""

    token: str
    device: str
    labels: dict[str, str] = {}


class EnrollReply(_Message, frozen=True, kw_only=True):
    """The device's own secret and the keys of the bundles it may install."""

    device: str
    secret: str
    keys: tuple[Key, ...]
    threshold: int
    poll_s: float = 30.0


class DesiredModel(_Message, frozen=True, kw_only=True):
    """The release a device is to run for one model."""

    model: str
    version: str
    bundle_id: str
    file_sha256: str
    file_size_bytes: int
    rollout: str = ""


class Desired(_Message, frozen=True, kw_only=True):
    """All that a device is to run."""

    models: tuple[DesiredModel, ...] = ()


class Accepted(_Message, frozen=True, kw_only=True):
    """How many records of a telemetry batch were new."""

    stored: int
    known: int
    unknown_kind: int = 0


class Problem(_Message, frozen=True, kw_only=True):
    """An error as a body: what, and what to do next."""

    error: str
    hint: str = ""
