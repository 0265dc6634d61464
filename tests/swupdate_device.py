"""A device that Debian's SWUpdate keeps, for the tests that run it: where its agent lives, and who
signs updates for it.
"""

import datetime as dt
import shutil
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from edgewright.chain import agent, enrolment
from edgewright.chain.fleet import trust
from edgewright.fleet.swu import SwuPlaces, SwuSigner
from edgewright.testing.bundles import Change, build_tiny
from edgewright.testing.fleet import SIGNER

FILLER_BYTES = 1 << 20
"""More than a socket holds. The part of SWUpdate that sends an update asks afterwards how the part
that installs it stands, and takes "idle" for the end: with an update that is sent before the other
part has begun, it says that it was successful, and ends with 1 in the middle of the installation.
"""


def swupdate_program() -> str:
    """Where it is; the test skips when it is absent."""
    found = shutil.which("swupdate")
    if found is None:
        pytest.skip("absent: swupdate (Debian package swupdate)")
    return found


def signer_pair(folder: Path) -> SwuSigner:
    """A certificate for e-mail protection that signs itself, as SWUpdate wants it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "releases")])
    now = dt.datetime.now(dt.UTC)
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(purpose, critical=False)
        .sign(key, hashes.SHA256())
    )
    signer = SwuSigner(certificate=folder / "swu.pem", key=folder / "swu.key")
    signer.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    signer.key.write_bytes(pem)
    return signer


class Place:
    """A fleet and a device's folder on one machine."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self.device = folder, folder / "fleet", folder / "device"
        (folder / "key.pub").write_text(SIGNER.public.public_hex)
        trust(self.home, [folder / "key.pub"], threshold=1, by="test")
        enrolment.enroll_offline(self.device, device="swu1", keys=[folder / "key.pub"])
        program = folder / "edgewright"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m edgewright "$@"\n')
        program.chmod(0o755)
        self.places = SwuPlaces(
            incoming=str(self.device / "incoming"), home=str(self.device), program=str(program)
        )
        self.signer = signer_pair(folder)
        self.change: Change | None = None

    def build(self, version: str) -> Path:
        """A bundle's file."""
        path = self.folder / f"{version}.ewb"
        build_tiny(
            path,
            version=version,
            signer=SIGNER,
            filler_bytes=FILLER_BYTES,
            change=self.change,
        )
        return path

    @property
    def active(self) -> list[str]:
        """Versions that the device runs."""
        return [model.version for model in agent.status(self.device).models]
