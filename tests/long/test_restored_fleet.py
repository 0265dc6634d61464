"""A fleet that was made of an old backup, and a real agent that has seen newer metadata."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from edgewright.chain import agent, trust_repository
from edgewright.chain.demo.places import DEVICE, Fleet, listens, running_fleet
from edgewright.chain.enrolment import enroll
from edgewright.chain.fleet_backup import backup, restore
from edgewright.chain.processes import free_port, running
from edgewright.cli._main import root
from edgewright.errors import EdgewrightError
from edgewright.keys import FileSigner
from edgewright.testing.bundles import MODEL, build_tiny

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

PATIENCE_S = 90.0

T = TypeVar("T")


def test_devices_follow_a_restored_fleet_again_once_its_keepers_lifted_it(tmp_path: Path) -> None:
    keeper = FileSigner.create(tmp_path / "keeper.pem")
    old, new, device = (tmp_path / name for name in ("old", "new", "device"))
    old.mkdir()
    with running_fleet(old, keeper, tmp_path / "keeper.pub") as fleet:
        enroll(fleet.devices_url, token=fleet.token(), home=device, device=DEVICE, labels={})
        take(fleet, device, bundle(tmp_path, keeper, "1"))
        backup(old, tmp_path / "all.tar", by="ada")
        fleet.publish(bundle(tmp_path, keeper, "1.5"))
        take(fleet, device, bundle(tmp_path, keeper, "2"))
        seen = version(old, "targets")
    restore(tmp_path / "all.tar", new, by="ada")
    assert version(new, "timestamp") > version(old, "timestamp")
    assert version(new, "targets") < seen
    port = urlsplit(fleet.devices_url).port
    arguments = ["fleet", "serve", "--home", str(new), "--devices", f"127.0.0.1:{port}"]
    arguments += ["--listen", f"127.0.0.1:{free_port()}"]
    with running("the fleet", arguments, log=tmp_path / "new.log") as child:
        child.wait_for(lambda: listens(port or 0), timeout_s=PATIENCE_S)
        again = Fleet(home=new, devices_url=fleet.devices_url, keeper=keeper)
        again.roll_out(again.publish(bundle(tmp_path, keeper, "3")))
        until(lambda: f"targets: expected version {seen} or higher" in refusal(device))
        assert active(device) == "2"
        image = str(new / "image")
        call("trust", "renew", image, "targets", "--above", str(seen))
        trust_repository.sign(Path(image), keeper, wall_s=time.time())
        assert version(new, "targets") == seen + 1
        until(lambda: followed(device, "3"))


def bundle(folder: Path, keeper: FileSigner, version: str) -> Path:
    path = folder / f"{version}.ewb"
    build_tiny(path, version=version, signer=keeper)
    return path


def take(fleet: Fleet, device: Path, bundle: Path) -> None:
    rollout = fleet.roll_out(fleet.publish(bundle))
    until(lambda: followed(device, bundle.stem) and fleet.is_over(rollout))


def followed(device: Path, version: str) -> bool:
    """Ask the fleet once; whether that version is active then."""
    agent.run_once(device)
    return active(device) == version


def refusal(device: Path) -> str:
    try:
        agent.run_once(device)
    except EdgewrightError as error:
        return str(error)
    return ""


def active(device: Path) -> str:
    return "".join(one.version for one in agent.status(device).models if one.model == MODEL)


def version(home: Path, role: str) -> int:
    states = trust_repository.status(home / "image", wall_s=time.time()).roles
    return next(state.version or 0 for state in states if state.role == role)


def until(look: Callable[[], T]) -> T:
    deadline_s = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.2)
    return found


def call(*words: str) -> None:
    done = CliRunner().invoke(root, words)
    assert done.exit_code == 0, done.output
