"""Debian's SWUpdate as a device of ours: it polls, downloads, installs, and tells how it went."""

import contextlib
import datetime as dt
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from edgewright.chain import agent
from edgewright.chain.fleet import open_fleet, trust
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.rollout import Limits
from edgewright.fleet.rollout_facts import RolloutFacts
from edgewright.fleet.rollouts import RolloutOrder
from edgewright.fleet.swu import SwuPlaces, SwuSigner
from edgewright.testing.bundles import build_tiny, wrong_output
from edgewright.testing.fleet import SIGNER

pytestmark = pytest.mark.timeout(240)

EDGEWRIGHT = [sys.executable, "-m", "edgewright"]


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
        agent.enroll_offline(self.device, device="swu1", keys=[folder / "key.pub"])
        self.places = SwuPlaces(
            incoming=str(self.device / "incoming"),
            home=str(self.device),
            program=" ".join(EDGEWRIGHT),
        )
        self.signer = signer_pair(folder)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])

    def publish(self, version: str, **spoiled: Callable[[dict[str, bytes]], None]) -> Path:
        path = self.folder / f"{version}.ewb"
        build_tiny(path, version=version, signer=SIGNER, **spoiled)
        with open_fleet(self.home) as office:
            return office.registry.wrap(
                office.registry.publish(path, by="test"), self.places, self.signer
            )

    def enrol(self) -> str:
        with open_fleet(self.home) as office:
            token = office.devices.create_token(TokenOrder(), by="test").token
            return office.devices.enrol(token, "swu1", {})

    def start(self, reference: str) -> int:
        limits = Limits(soak_s=0, deadline_s=120, error_min_count=1)
        with open_fleet(self.home) as office:
            order = RolloutOrder(release=reference, waves="100%", limits=limits)
            return office.rollouts.start(order, by="test").number

    def ended(self, number: int) -> RolloutFacts:
        deadline_s = time.monotonic() + 120
        with open_fleet(self.home) as office:
            while time.monotonic() < deadline_s:
                facts = office.rollouts.status(number)
                if facts.status in ("done", "aborted"):
                    return facts
                time.sleep(0.2)
        pytest.fail(f"rollout {number} did not end: {facts.waves}")

    @contextlib.contextmanager
    def running(self, name: str, *command: str) -> Iterator[None]:
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder
            )
        try:
            yield
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            if process.poll() is None:
                process.kill()
                process.wait(10)

    @property
    def active(self) -> list[str]:
        return [model.version for model in agent.status(self.device).models]


def test_swupdate_installs_the_wrapped_bundle_by_our_agent(swupdate: str, tmp_path: Path) -> None:
    place = Place(tmp_path)
    swu = place.publish("1")
    command = [
        swupdate,
        "-v",
        "-M",
        "-m",
        "-H",
        "edge:1",
        "-k",
        str(place.signer.certificate),
        "-i",
        str(swu),
    ]
    done = subprocess.run(command, capture_output=True, check=False, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stdout.decode()[-2000:] + done.stderr.decode()[-2000:]
    assert place.active == ["1"]
    assert list((place.device / "incoming").iterdir()) == []


def test_swupdate_takes_part_in_a_rollout_and_tells_a_failure(
    swupdate: str, tmp_path: Path
) -> None:
    place = Place(tmp_path)
    place.publish("1")
    place.publish("2", change=wrong_output)
    secret = place.enrol()
    fleet = (*EDGEWRIGHT, "fleet", "serve", "--home", str(place.home), "--listen", "127.0.0.1:0")
    # SWUpdate asks at the pace that the server names; restarted, it asks at once.
    device = (
        *(swupdate, "-v", "-M", "-m", "-H", "edge:1", "-k", str(place.signer.certificate), "-u"),
        f"-t default -u http://127.0.0.1:{place.port} -i swu1 -k {secret} -p 1",
    )
    with place.running("fleet", *fleet, "--devices", f"127.0.0.1:{place.port}"):
        wait_for(place.port)
        number = place.start("tiny@1")
        with place.running("swupdate-1", *device):
            facts = place.ended(number)
        log = (tmp_path / "swupdate-1.log").read_text(errors="replace")
        assert facts.status == "done", log[-3000:]
        assert place.active == ["1"]
        number = place.start("tiny@2")
        with place.running("swupdate-2", *device):
            facts = place.ended(number)
        assert facts.status == "aborted"
        assert [member.standing for member in facts.members] == ["failed"]
        assert place.active == ["1"]


def wait_for(port: int) -> None:
    deadline_s = time.monotonic() + 40
    while time.monotonic() < deadline_s:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    pytest.fail("the fleet did not listen")
