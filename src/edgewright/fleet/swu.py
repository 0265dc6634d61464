"""A release as an update of SWUpdate: a cpio archive whose script gives the bundle to our agent.

The bundle inside is the very file of the release, so its hash and signatures are those that the
fleet verified; the agent on the device checks them again.

The description, which names the hashes of everything, is made of a release and its places alone.
So whoever publishes from elsewhere makes the same one, signs it there, and sends the signature: the
key that SWUpdate trusts never comes to the fleet.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7

from edgewright._fs import file_errors, read_limited
from edgewright.errors import InputError

AGENT_HOME = "/var/lib/edgewright"
PROGRAM = "/opt/edgewright/bin/edgewright"

SIGNATURE_LIMIT_BYTES = 64 << 10

_CHUNK_BYTES = 1 << 20
_PLACE = re.compile(r"(?:/[A-Za-z0-9_+-][A-Za-z0-9._+-]*)+")
_PEM_LIMIT_BYTES = 64 << 10
_MODE = 0o100755


class SwuPlaces(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where things are on the device. They stand in a script that SWUpdate runs as root, so they
    are plain paths and nothing else.
    """

    incoming: str = f"{AGENT_HOME}/incoming"
    home: str = AGENT_HOME
    program: str = PROGRAM

    def __post_init__(self) -> None:
        for place in (self.incoming, self.home, self.program):
            if not _PLACE.fullmatch(place):
                raise ValueError(f"{place[:80]!r} is not a plain path like {AGENT_HOME}")


class SwuOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a release is to be wrapped. `signature` is of the description that the release and these
    places make, as DER.
    """

    places: SwuPlaces = SwuPlaces()
    signature: bytes = b""

    def __post_init__(self) -> None:
        if len(self.signature) > SIGNATURE_LIMIT_BYTES:
            raise ValueError(f"a signature of {len(self.signature)} bytes")


class SwuUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """An update of SWUpdate that a fleet keeps."""

    release: str
    file: str
    sha256: str
    size_bytes: int
    is_signed: bool


class SwuSigner(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate and its key as PEM files. SWUpdate wants it to be for e-mail protection or code
    signing, and knows the authority behind it by its own option -k.
    """

    certificate: Path
    key: Path

    def sign(self, content: bytes) -> bytes:
        """A detached CMS signature, as DER.

        Raises:
            InputError: the files are no such pair.
        """
        try:
            certificate = x509.load_pem_x509_certificate(
                read_limited(self.certificate, limit_bytes=_PEM_LIMIT_BYTES)
            )
            key = serialization.load_pem_private_key(
                read_limited(self.key, limit_bytes=_PEM_LIMIT_BYTES), password=None
            )
            if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
                raise InputError(f"{self.key}: not an RSA or elliptic curve key")
            builder = pkcs7.PKCS7SignatureBuilder().set_data(content)
            options = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary]
            return builder.add_signer(certificate, key, hashes.SHA256()).sign(
                serialization.Encoding.DER, options
            )
        except (ValueError, TypeError) as error:
            raise InputError(
                f"signing for SWUpdate with {self.certificate}: {error}",
                hint="give PEM files that belong together, the key without a password",
            ) from error


class Wrapped(msgspec.Struct, frozen=True, kw_only=True):
    """What is written of a release."""

    text: str
    version: str
    bundle_id: str
    file_sha256: str
    file_size_bytes: int


def description(release: Wrapped, places: SwuPlaces) -> bytes:
    """What SWUpdate reads first, and what is signed."""
    return _description(release, _script(release, places), places)


def swu_chunks(release: Wrapped, bundle: Path, order: SwuOrder) -> Iterator[bytes]:
    """The archive, piece by piece."""
    script = _script(release, order.places)
    described = description(release, order.places)
    yield from _member("sw-description", len(described), iter([described]))
    if signature := order.signature:
        yield from _member("sw-description.sig", len(signature), iter([signature]))
    yield from _member(script_name(), len(script), iter([script]))
    yield from _member(bundle_name(release), release.file_size_bytes, _read(bundle))
    yield from _member("TRAILER!!!", 0, iter(()))


def bundle_name(release: Wrapped) -> str:
    """What the bundle is called in the archive."""
    return f"{release.bundle_id[:32]}.ewb"


def script_name() -> str:
    """What the script is called in the archive."""
    return "apply.sh"


def _script(release: Wrapped, places: SwuPlaces) -> bytes:
    file = f"{places.incoming}/{bundle_name(release)}"
    return (
        "#!/bin/sh\n"
        "# Gives the bundle to the agent, which verifies and probes it; its refusal is ours.\n"
        f"file={_quoted(file)}\n"
        "trap 'rm -f \"$file\"' EXIT\n"
        f'{places.program} agent apply "$file" --home {_quoted(places.home)}\n'
    ).encode()


def _description(release: Wrapped, script: bytes, places: SwuPlaces) -> bytes:
    name = bundle_name(release)
    return (
        "software =\n{\n"
        f'  version = "{release.version}";\n'
        f'  description = "{release.text}, bundle {release.bundle_id}";\n'
        '  hardware-compatibility = [ "#RE:^.*$" ];\n'
        "  files: (\n    {\n"
        f'      filename = "{name}";\n'
        f'      path = "{places.incoming}/{name}";\n'
        f'      sha256 = "{release.file_sha256}";\n'
        '      properties = { create-destination = "true"; };\n'
        "    }\n  );\n"
        "  scripts: (\n    {\n"
        f'      filename = "{script_name()}";\n'
        '      type = "postinstall";\n'
        f'      sha256 = "{hashlib.sha256(script).hexdigest()}";\n'
        "    }\n  );\n}\n"
    ).encode()


def _member(name: str, size_bytes: int, content: Iterator[bytes]) -> Iterator[bytes]:
    """One file of a cpio archive in the "newc" format, padded to four bytes."""
    raw = name.encode() + b"\0"
    mode = _MODE if size_bytes else 0
    fields = (0, mode, 0, 0, 1, 0, size_bytes, 0, 0, 0, 0, len(raw), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + raw
    yield head + bytes(-len(head) % 4)
    yield from content
    yield bytes(-size_bytes % 4)


def _read(path: Path) -> Iterator[bytes]:
    with file_errors(path, doing="reading"), path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
