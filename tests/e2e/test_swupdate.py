"""Debian's SWUpdate installs a release of ours, by our agent."""

import datetime as dt
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from edgewright.chain import agent, enrolment
from edgewright.chain.fleet import open_fleet, trust
from edgewright.fleet.swu import SwuPlaces, SwuSigner
from edgewright.testing.bundles import build_tiny
from edgewright.testing.fleet import SIGNER

pytestmark = pytest.mark.timeout(240)

EDGEWRIGHT = [sys.executable, "-m", "edgewright"]

FILLER_BYTES = 1 << 20
"""More than a socket holds. The part of SWUpdate that sends an update asks afterwards how the part
that installs it stands, and takes "idle" for the end: with an update that is sent before the other
part has begun, it says that it was successful, and ends with 1 in the middle of the installation.
"""


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


@pytest.fixture
def swupdate() -> str:
    found = shutil.which("swupdate")
    if found is None:
        pytest.skip("absent: swupdate (Debian package swupdate)")
    return found


class Place:
    """A fleet and a device's folder on one machine."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self.device = folder, folder / "fleet", folder / "device"
        (folder / "key.pub").write_text(SIGNER.public.public_hex)
        trust(self.home, [folder / "key.pub"], threshold=1, by="test")
        enrolment.enroll_offline(self.device, device="swu1", keys=[folder / "key.pub"])
        self.places = SwuPlaces(
            incoming=str(self.device / "incoming"),
            home=str(self.device),
            program=" ".join(EDGEWRIGHT),
        )
        self.signer = signer_pair(folder)

    def publish(self, version: str) -> Path:
        path = self.folder / f"{version}.ewb"
        build_tiny(path, version=version, signer=SIGNER, filler_bytes=FILLER_BYTES)
        with open_fleet(self.home) as office:
            return office.registry.wrap(
                office.registry.publish(path, by="test"), self.places, self.signer
            )

    @property
    def active(self) -> list[str]:
        return [model.version for model in agent.status(self.device).models]


def test_swupdate_installs_the_wrapped_bundle_by_our_agent(swupdate: str, tmp_path: Path) -> None:
    place = Place(tmp_path)
    swu = place.publish("1")
    options = ("-v", "-M", "-m", "-H", "edge:1", "-k", str(place.signer.certificate))
    with tempfile.TemporaryDirectory(prefix="swu-") as sockets:
        done = subprocess.run(
            [swupdate, *options, "-i", str(swu)],
            env={**os.environ, "TMPDIR": sockets},
            capture_output=True,
            check=False,
            timeout=120,
            cwd=tmp_path,
        )
    said = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == 0, said[-2000:]
    assert "SWUpdate was successful" in said
    assert place.active == ["1"]
    assert list((place.device / "incoming").iterdir()) == []
