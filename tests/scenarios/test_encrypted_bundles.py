"""Encrypted bundles on their way to a device: by hand, by two repositories, as people type it."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.scenarios.conftest import Device
from tests.scenarios.test_agent_cuts import Cut, cut_at
from tests.scenarios.test_release_trust import Desk
from tests.scenarios.test_two_repositories import DAY_S, OFFLINE, Office, run_once

from edgewright.bundle import Recipient, open_bundle, read_head, seal_bundle
from edgewright.bundle.recipients import wrap_key
from edgewright.clock import BUILT_S
from edgewright.device.agent import Identity, Roots
from edgewright.errors import InputError, TrustError
from edgewright.keys import FileOpener
from edgewright.testing.bundles import build_tiny
from edgewright.trust.director import DirectorOrder
from edgewright.trust.release import Words, target_name


def sealed(device: Device, version: str, *recipients: Recipient) -> Path:
    plain = device.bundle(version)
    out = device.folder / f"sealed-{version}.ewb"
    seal_bundle(plain, out, recipients)
    return out


def test_a_bundle_that_was_encrypted_to_the_device_is_taken(device: Device, play: Any) -> None:
    path = sealed(device, "1", device.home.recipient())
    progress = play(device.agent.apply(path))
    assert progress.good == device.current == read_head(path).bundle_id
    slot = device.home.slots / "tiny" / device.current
    assert open_bundle(slot).id == device.current


def refused(device: Device, play: Any, path: Path, match: str) -> None:
    before = device.files()
    with pytest.raises(TrustError, match=match):
        play(device.agent.apply(path))
    assert (device.current, device.slots(), device.files()) == ("", set(), before)
    assert match in device.agent.recorder.journal.lines[-1].progress.reason


def test_one_for_somebody_else_is_refused(device: Device, play: Any, tmp_path: Path) -> None:
    device.home.recipient()
    stranger = FileOpener.create(tmp_path / "stranger.key").recipient
    refused(device, play, sealed(device, "1", stranger), "not to this key")


def test_a_device_without_a_key_says_how_to_make_one(
    device: Device, play: Any, tmp_path: Path
) -> None:
    stranger = FileOpener.create(tmp_path / "stranger.key").recipient
    refused(device, play, sealed(device, "1", stranger), "agent recipient")


@pytest.mark.parametrize("at", [0, 30, 300, 0.5, 0.99])
def test_a_flipped_bit_leaves_nothing(device: Device, play: Any, at: float) -> None:
    path = sealed(device, "1", device.home.recipient())
    content = bytearray(path.read_bytes())
    content[at if isinstance(at, int) else int(at * len(content))] ^= 1
    path.write_bytes(content)
    before = device.files()
    with pytest.raises(TrustError):
        play(device.agent.apply(path))
    assert (device.current, device.slots(), device.files()) == ("", set(), before)


def test_a_cut_file_leaves_nothing(device: Device, play: Any) -> None:
    path = sealed(device, "1", device.home.recipient())
    path.write_bytes(path.read_bytes()[:-1000])
    refused(device, play, path, "its head promises")


def test_a_signature_that_does_not_count_is_found_inside(device: Device, play: Any) -> None:
    plain = device.bundle("1", signer=OFFLINE)
    path = device.folder / "sealed.ewb"
    seal_bundle(plain, path, [device.home.recipient()])
    refused(device, play, path, "signed by 0 trusted key")


@pytest.mark.parametrize("is_kept", [True, False], ids=["after the line", "before the line"])
@pytest.mark.parametrize("state", ["download", "verify", "stage", "probe", "activate"])
def test_a_cut_is_resumed_to_the_new_bundle(
    device: Device, play: Any, state: str, is_kept: bool
) -> None:
    path = sealed(device, "1", device.home.recipient())
    device.fleet.offer(path)
    cut_at(device, state, is_kept=is_kept)
    with pytest.raises(Cut):
        play(device.agent.follow_once())
    device.start()
    play(device.agent.settle())
    play(device.agent.follow_once())
    assert device.served == device.current == read_head(path).bundle_id
    assert list(device.home.downloads.glob("*")) == []


class SealedOffice(Office):
    """A director that gives each device the content key in its own words."""

    def __init__(self, device: Device, fleet: FileOpener) -> None:
        super().__init__(device)
        self.fleet = fleet

    def release(self, path: Path) -> None:
        head = read_head(path)
        self.repository = self.repository.with_target(
            target_name(head.name, head.version),
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            length_bytes=path.stat().st_size,
            now=self.now,
            custom={"bundle_id": head.bundle_id},
        )
        self.publish(OFFLINE)

    def order_for(self, path: Path, recipient: Recipient | None) -> None:
        head = read_head(path)
        name = target_name(head.name, head.version)
        key = head.key_by(self.fleet)
        wrapped = wrap_key(key, recipient, head.bundle_id).hex() if recipient else ""
        words = Words(bundle_id=head.bundle_id, wrapped_key=wrapped)
        order = DirectorOrder(
            name=name,
            length_bytes=path.stat().st_size,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            words=msgspec.json.encode(words),
        )
        self.orders = {name: order}
        self.say()
        self.device.fleet.offer(path)


@pytest.fixture
def office(device: Device) -> SealedOffice:
    device.clock.set_wall(BUILT_S + DAY_S)
    office = SealedOffice(device, FileOpener.create(device.folder / "fleet.key"))
    device.home.trust_path.unlink()
    image = office.repository.published["root"]
    roots = Roots(image=image, director=office.director.files["1.root.json"])
    device.home.save_enrolment(Identity(device="d1"), roots)
    device.fleet.repositories = {"image": office.image, "director": office.director}
    device.start()
    return office


def test_the_directors_words_open_it(device: Device, office: SealedOffice, play: Any) -> None:
    path = sealed(device, "1", office.fleet.recipient)
    office.release(path)
    office.order_for(path, device.home.recipient())
    (progress,) = play(run_once(device))
    assert progress.good == device.current == read_head(path).bundle_id
    assert list(device.home.downloads.glob("*")) == []


def test_a_device_that_was_given_no_key_takes_it_when_it_was(
    device: Device, office: SealedOffice, play: Any, tmp_path: Path
) -> None:
    path = sealed(device, "1", office.fleet.recipient)
    office.release(path)
    device.home.recipient()
    stranger = FileOpener.create(tmp_path / "stranger.key").recipient
    for wrong, match in ((None, "not to this key"), (stranger, "does not open with this key")):
        office.order_for(path, wrong)
        with pytest.raises(TrustError, match=match):
            play(run_once(device))
        assert device.slots() == set()
        assert device.progress().bad == (), "no release is to blame"
    office.order_for(path, device.home.recipient())
    play(run_once(device))
    assert device.current == read_head(path).bundle_id


def test_from_the_builder_to_the_device(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Build, sign, encrypt to the fleet, publish, carry by air-gap file, take: as typed."""
    caplog.set_level("DEBUG")
    desk = Desk(tmp_path)
    desk.keygen("root")
    desk.run(
        "trust", "init", "F/image", "--fleet", "F", "--root", "root.pub", "--targets", "root.pub"
    )
    desk.run("trust", "sign", "F/image", "--key", "root.pem")
    build_tiny(tmp_path / "1.ewb")
    stranger = FileOpener.create(tmp_path / "stranger.key").recipient.text
    desk.run("bundle", "encrypt", "1.ewb", "--to", stranger, "--out", "stranger.ewb")
    fleet = desk.run("fleet", "recipient", "--home", "F")["recipient"]
    with pytest.raises(TrustError, match=f"encrypt it to this fleet too: --to {fleet}"):
        desk.run("release", "publish", "stranger.ewb", "--home", "F", "--key", "root.pem")
    head = desk.run("bundle", "encrypt", "1.ewb", "--to", fleet, "--out", "sealed.ewb")
    made = desk.run("release", "publish", "sealed.ewb", "--home", "F", "--key", "root.pem")
    assert made["bundle_id"] == head["bundle_id"]

    from edgewright.chain.fleet import open_fleet
    from edgewright.fleet.audit import read_audit

    with open_fleet(tmp_path / "F") as office:
        office.devices.enrol(office.devices.create_token(_token(), by="test").token, "d1", {})
    roots = ("--image-root", "F/image/metadata/1.root.json")
    director = ("--director-root", "F/director/1.root.json")
    export = ("release", "export", "tiny@1", "--home", "F", "--device", "d1", "--out", "1.ewx")
    desk.run(*export)
    desk.run("agent", "enroll", *roots, *director, "--home", "D", "--device", "d1")
    device = desk.run("agent", "recipient", "--home", "D")["recipient"]
    with pytest.raises(TrustError, match="not to this key"):
        desk.run("agent", "apply", "1.ewx", "--home", "D")
    with open_fleet(tmp_path / "F") as office:
        office.recipients.set("d1", Recipient.parse(device, source="d1"), by="test")
    desk.run(*export)
    assert desk.run("agent", "apply", "1.ewx", "--home", "D")["good"] == head["bundle_id"]
    slots = desk.run("agent", "status", "--home", "D")["models"][0]["slots"]
    assert [slot["bundle_id"] for slot in slots] == [head["bundle_id"]]
    with open_fleet(tmp_path / "F") as office:
        orders = [e for e in read_audit(office.state) if e.what == "release exported"]
    assert [(e.subject, e.detail) for e in orders] == [("d1", "tiny@1 for 30 days")] * 2
    _require_no_secret(caplog.text, tmp_path)


def _token() -> Any:
    from edgewright.fleet.devices import TokenOrder

    return TokenOrder(device="d1")


def _require_no_secret(text: str, folder: Path) -> None:
    key = read_head(folder / "sealed.ewb").key_by(FileOpener.load(folder / "F" / "sealing.key"))
    assert key.hex() not in text
    assert "PRIVATE KEY" not in text


def test_commands_show_and_open_what_their_key_may(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    build_tiny(tmp_path / "1.ewb")
    desk.run("bundle", "keygen", "me.pem")
    desk.run("bundle", "encrypt", "1.ewb", "--to", "me.pub", "--out", "sealed.ewb")
    shown = desk.run("bundle", "show", "sealed.ewb")
    assert (shown["kind"], shown["name"], len(shown["recipients"])) == (
        "encrypted-bundle",
        "tiny",
        1,
    )
    full = desk.run("bundle", "show", "sealed.ewb", "--identity", "me.pem")
    assert (
        full["bundle_id"] == shown["bundle_id"] == desk.run("bundle", "show", "1.ewb")["bundle_id"]
    )
    verified = desk.run("bundle", "verify", "sealed.ewb", "--identity", "me.pem")
    assert verified["bundle_id"] == shown["bundle_id"]
    with pytest.raises(InputError, match="is encrypted"):
        desk.run("bundle", "verify", "sealed.ewb")
