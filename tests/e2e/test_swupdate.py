"""Debian's SWUpdate installs a release of ours, by our agent: a file by hand, and as a device that
polls a fleet, with a line that is cut.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cut_line import cut_line
from tests.fleet_process import fleet_serving
from tests.swupdate_device import FILLER_BYTES, Place, swupdate_program

from edgewright.chain.fleet import open_fleet
from edgewright.fleet.registry import wrapped_of
from edgewright.fleet.rollout_plan import RolloutOrder
from edgewright.fleet.rollout_terms import Limits
from edgewright.fleet.swu import SwuOrder, description
from edgewright.testing.bundles import wrong_output

pytestmark = pytest.mark.timeout(240)


def publish(place: Place, version: str) -> Path:
    with open_fleet(place.home) as office:
        release = office.registry.publish(place.build(version), by="test")
        signature = place.signer.sign(description(wrapped_of(release), place.places))
        order = SwuOrder(places=place.places, signature=signature)
        office.registry.wrap(release.text, order, by="test")
        made = office.registry.swu_of(release.file_sha256)
    assert made is not None
    return made


def test_swupdate_installs_the_wrapped_bundle_by_our_agent(tmp_path: Path) -> None:
    swupdate, place = swupdate_program(), Place(tmp_path)
    swu = publish(place, "1")
    options = ("-v", "-M", "-m", "-H", "edge:1", "-k", str(place.signer.certificate))
    with tempfile.TemporaryDirectory(prefix="swu-") as sockets:
        done = subprocess.run(
            [swupdate, *options, "-i", str(swu)],
            env={**os.environ, "TMPDIR": sockets},
            capture_output=True,
            check=False,
            timeout=120,
            cwd=tmp_path,
            restore_signals=False,
        )
    said = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == 0, said[-2000:]
    assert "SWUpdate was successful" in said
    assert place.active == ["1"]
    assert list((place.device / "incoming").iterdir()) == []


class Daemon:
    """SWUpdate as a device keeps it running: it polls by itself.

    It is started and stopped as systemd does it: SIGPIPE ignored (its parts close connections to
    each other early on a busy machine), and SIGKILL for what does not heed SIGTERM.
    """

    def __init__(self, program: str, place: Place, url: str, secret: str) -> None:
        self._place, self._log = place, place.folder / "swupdate.log"
        config = place.folder / "swupdate.cfg"
        config.write_text(
            "globals : { verbose = true; };\n"
            'identify : ( { name = "board"; value = "edge 1"; } );\n'
        )
        self._command = [program, "-v", "-M", "-m", "-H", "edge:1", "-f", str(config)]
        self._command += ["-k", str(place.signer.certificate)]
        self._way = f"-t default -u {url} -i swu1 -k {secret} -p 1 -r 8 -w 1"

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @contextlib.contextmanager
    def running(self, confirms: str = "") -> Iterator[None]:
        with (
            tempfile.TemporaryDirectory(prefix="swu-") as sockets,
            self._log.open("ab") as log,
        ):
            process = subprocess.Popen(
                [*self._command, "-u", f"{self._way} {confirms}".strip()],
                env={**os.environ, "TMPDIR": sockets},
                stdout=log,
                stderr=log,
                cwd=self._place.folder,
                start_new_session=True,
                restore_signals=False,
            )
            try:
                self._process = process
                yield
            finally:
                _stop(process)

    def until(self, what: str, is_so: Callable[[], bool]) -> None:
        end_s = time.monotonic() + 90
        while not is_so():
            is_late = self._process.poll() is not None or time.monotonic() > end_s
            assert not is_late, f"never {what} ({self._process.returncode}):\n{self.said[-3000:]}"
            time.sleep(0.2)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    for asked in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, asked)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
            return
    raise AssertionError("SWUpdate could not be stopped")


def published_from_afar(place: Place, people: str, version: str) -> None:
    """By the command line over HTTP, signed here."""
    with open_fleet(place.home) as office:
        if not office.users.list():
            office.users.add("ada", "releaser", by="test")
        token = office.users.create_token("ada", lifetime_s=600, by="test").token
    done = subprocess.run(
        [
            *(sys.executable, "-m", "edgewright", "release", "publish", str(place.build(version))),
            *("--also", "swu", "--swu-home", place.places.home),
            *("--swu-program", place.places.program),
            *("--swu-signer", str(place.signer.certificate), str(place.signer.key)),
            *("--fleet", people, "--json"),
        ],
        env={**os.environ, "EDGEWRIGHT_FLEET_TOKEN": token},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"signed" in done.stderr


def ordered(place: Place, release: str) -> Callable[[], str]:
    """Order a release to the device; how the device stands from then on."""
    with open_fleet(place.home) as office:
        limits = Limits(soak_s=0, error_min_count=1, min_reached_percent=100)
        order = RolloutOrder(release=release, waves="100%", limits=limits)
        number = office.rollouts.start(order, by="test").number

    def standing() -> str:
        with open_fleet(place.home) as office:
            (member,) = office.rollouts.status(number).members
            return str(member.standing)

    return standing


@pytest.mark.long
def test_swupdate_as_a_device_polls_resumes_installs_and_reports(tmp_path: Path) -> None:
    program, place = swupdate_program(), Place(tmp_path)
    with open_fleet(place.home) as office:
        secret = office.devices.add("swu1", {"site": "berlin"}, by="test")
    with (
        fleet_serving(place.home) as fleet,
        cut_line(fleet.devices, after_bytes=FILLER_BYTES // 2) as line,
    ):
        published_from_afar(place, fleet.people, "1")
        standing, device = ordered(place, "tiny@1"), Daemon(program, place, line.url, secret)
        with device.running():
            device.until("installed", lambda: place.active == ["1"])
            assert standing() == "updating"  # it says so only after it was started again
        with device.running(confirms="-c 2"):
            device.until("reported", lambda: standing() == "succeeded")
    assert line.cuts == 1
    assert re.search(r"range: bytes=[1-9]\d{4,}-", line.asked.lower()), "it began anew"
    with open_fleet(place.home) as office:
        labels = office.devices.show("swu1").labels
        assert (labels["site"], labels["config.board"]) == ("berlin", "edge-1")
        assert office.rollouts.status(1).status == "done"
        assert office.devices.show("swu1").models[0].running_version == "1"


@pytest.mark.long
def test_swupdate_reports_a_release_that_our_agent_refuses(tmp_path: Path) -> None:
    program, place = swupdate_program(), Place(tmp_path)
    with open_fleet(place.home) as office:
        secret = office.devices.add("swu1", {}, by="test")
    with fleet_serving(place.home) as fleet:
        place.change = wrong_output
        published_from_afar(place, fleet.people, "1")
        standing, device = ordered(place, "tiny@1"), Daemon(program, place, fleet.devices, secret)
        with device.running():
            device.until("refused", lambda: standing() == "failed")
    assert place.active in ([], [""])
    with open_fleet(place.home) as office:
        assert office.rollouts.status(1).status == "aborted"
