"""A release as an update of SWUpdate: a cpio archive whose script gives the bundle to our agent.

The bundle inside is the very file of the release, so its hash and signatures are those that the
fleet verified; the agent on the device checks them again.
"""

import hashlib
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

_CHUNK_BYTES = 1 << 20
_PEM_LIMIT_BYTES = 64 << 10
_MODE = 0o100755


class SwuPlaces(msgspec.Struct, frozen=True, kw_only=True):
    """Where things are on the device."""

    incoming: str = f"{AGENT_HOME}/incoming"
    home: str = AGENT_HOME
    program: str = PROGRAM


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


def swu_chunks(
    release: Wrapped, bundle: Path, places: SwuPlaces, signer: SwuSigner | None = None
) -> Iterator[bytes]:
    """The archive, piece by piece; its description is signed when there is a signer."""
    for place in (places.incoming, places.home, places.program):
        if '"' in place or "\n" in place or not place:
            raise InputError(f"{place!r} cannot be a place on a device", hint="give a plain path")
    script = _script(release, places)
    description = _description(release, script, places)
    yield from _member("sw-description", len(description), iter([description]))
    if signer is not None:
        signature = signer.sign(description)
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
