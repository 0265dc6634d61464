"""The device API over a broker, version 1: a hint to ask at once, and telemetry with its answer.

    edgewright/v1/devices/NAME/wake        fleet -> device   something changed: ask now
    edgewright/v1/devices/NAME/telemetry   device -> fleet   SignedBatch
    edgewright/v1/devices/NAME/answer      fleet -> device   BatchAnswer

The broker needs no trust. A wake says nothing but that asking is worth its while, and what is asked
goes over HTTP. A batch is signed with the key of the device's certificate, under its device's name
and its own number, so that nobody on the way can make one, change one or say it is another's. The
newest one repeated changes nothing, since records are kept once; an older one is refused.

>>> device_of(telemetry_topic("d1"))
'd1'
>>> device_of("edgewright/v1/devices/d1/d2/telemetry")
''
"""

import msgspec

ROOT = "edgewright/v1/devices"
EXCHANGE = "edgewright.v1"
"""Where these topics are routed in AMQP."""
EVERY_TELEMETRY = f"{ROOT}/+/telemetry"

_PURPOSE = b"edgewright telemetry batch v1"


class SignedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A telemetry batch with what proves whose it is: a certificate (DER) and a signature by its
    key (ECDSA, SHA-256) over `signed_content`. Bytes are base64.
    """

    id: str
    certificate: bytes
    signature: bytes
    batch: bytes


class BatchAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of a batch, in HTTP's words: 200 when every record is kept, 409 for an old one."""

    id: str
    status: int
    stored: int = 0
    known: int = 0
    error: str = ""


def wake_topic(device: str) -> str:
    """Where a device listens for the hint to ask."""
    return f"{ROOT}/{device}/wake"


def telemetry_topic(device: str) -> str:
    """Where a device tells."""
    return f"{ROOT}/{device}/telemetry"


def answer_topic(device: str) -> str:
    """Where a device hears what came of it."""
    return f"{ROOT}/{device}/answer"


def device_of(topic: str) -> str:
    """The device of a telemetry topic; empty when it is none."""
    device = topic.removeprefix(f"{ROOT}/").removesuffix("/telemetry")
    return device if "/" not in device and topic == telemetry_topic(device) else ""


def signed_content(device: str, message_id: str, batch: bytes) -> bytes:
    """What a device signs."""
    return b"\0".join((_PURPOSE, device.encode(), message_id.encode(), batch))
