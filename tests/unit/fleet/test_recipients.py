"""Content keys of encrypted releases: one file for all, a key for each."""

from pathlib import Path

import pytest

from edgewright.bundle import Recipient, read_head, seal_bundle
from edgewright.errors import InputError, TrustError
from edgewright.fleet.audit import read_audit
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.enrolment import Wish
from edgewright.fleet.office import Office
from edgewright.fleet.patches import Patches
from edgewright.fleet.registry import Release
from edgewright.keys import FileOpener
from edgewright.testing.fleet import release_file


@pytest.fixture
def fleet(tmp_path: Path, office: Office) -> FileOpener:
    """The fleet's own key."""
    return FileOpener.load_or_create(tmp_path / "home" / "sealing.key")


def published(office: Office, folder: Path, fleet: FileOpener, version: str = "1") -> Release:
    release_file(folder / f"{version}.ewb", version=version)
    seal_bundle(folder / f"{version}.ewb", folder / "sealed.ewb", [fleet.recipient])
    return office.registry.publish(folder / "sealed.ewb", by="ada")


def enrol(office: Office, name: str, recipient: str = "") -> None:
    token = office.devices.create_token(TokenOrder(), by="ada").token
    assert office.enrolments.enrol(Wish(device=name, token=token, recipient=recipient)) is not None


def wrapped(office: Office, device: str, release: Release) -> str:
    with office.state.read() as connection:
        return office.recipients.wrapped_for(
            connection, device, bundle_id=release.bundle_id, file_sha256=release.file_sha256
        )


def test_each_device_gets_the_key_for_itself_alone(
    office: Office, tmp_path: Path, fleet: FileOpener
) -> None:
    release = published(office, tmp_path, fleet)
    head = read_head(tmp_path / "sealed.ewb")
    openers = {name: FileOpener.create(tmp_path / f"{name}.key") for name in ("d1", "d2")}
    for name, opener in openers.items():
        enrol(office, name, opener.recipient.text)
    given = {name: wrapped(office, name, release) for name in openers}
    for name, opener in openers.items():
        assert head.key_by(opener, wrapped_hex=given[name]) == head.key_by(fleet)
    with pytest.raises(TrustError):
        head.key_by(openers["d1"], wrapped_hex=given["d2"])


def test_no_key_is_given_where_there_is_none_to_give(
    office: Office, tmp_path: Path, fleet: FileOpener
) -> None:
    sealed = published(office, tmp_path, fleet)
    enrol(office, "old")
    assert wrapped(office, "old", sealed) == wrapped(office, "nobody", sealed) == ""
    release_file(tmp_path / "2.ewb", version="2")
    enrol(office, "new", FileOpener.create(tmp_path / "new.key").recipient.text)
    assert wrapped(office, "new", office.registry.publish(tmp_path / "2.ewb", by="ada")) == ""


def test_a_device_that_enrolled_before_is_told_of_by_a_person(
    office: Office, tmp_path: Path, fleet: FileOpener
) -> None:
    release = published(office, tmp_path, fleet)
    enrol(office, "d1")
    before = office.devices.newest_revision()
    opener = FileOpener.create(tmp_path / "d1.key")
    office.recipients.set("d1", opener.recipient, by="ada")
    key = read_head(tmp_path / "sealed.ewb").key_by(
        opener, wrapped_hex=wrapped(office, "d1", release)
    )
    assert key == read_head(tmp_path / "sealed.ewb").key_by(fleet)
    assert office.devices.changed_since(before) == ("d1",), "it looks again at once"
    assert (read_audit(office.state, newest=1)[0].what) == "recipient set"
    with pytest.raises(InputError, match="there is no device nobody"):
        office.recipients.set("nobody", opener.recipient, by="ada")


def test_a_device_that_is_replaced_takes_its_key_along(
    office: Office, tmp_path: Path, fleet: FileOpener
) -> None:
    release = published(office, tmp_path, fleet)
    old, new = (FileOpener.create(tmp_path / f"{name}.key") for name in ("old", "new"))
    enrol(office, "d1", old.recipient.text)
    token = office.devices.create_token(TokenOrder(device="d1"), by="ada").token
    office.enrolments.enrol(Wish(device="d1", token=token, recipient=new.recipient.text))
    head, given = read_head(tmp_path / "sealed.ewb"), wrapped(office, "d1", release)
    assert head.key_by(new, wrapped_hex=given) == head.key_by(fleet)
    with pytest.raises(TrustError):
        head.key_by(old, wrapped_hex=given)


def test_what_names_no_recipient_lets_no_device_in_and_spends_no_token(office: Office) -> None:
    token = office.devices.create_token(TokenOrder(), by="ada").token
    with pytest.raises(InputError, match="names no recipient"):
        office.enrolments.enrol(Wish(device="d1", token=token, recipient="ewr1:zz"))
    assert office.devices.find() == ()
    assert office.enrolments.enrol(Wish(device="d1", token=token)) is not None


def test_a_release_that_is_encrypted_to_others_is_refused_and_not_kept(
    office: Office, tmp_path: Path, fleet: FileOpener
) -> None:
    release_file(tmp_path / "1.ewb", version="1")
    stranger = FileOpener.create(tmp_path / "stranger.key").recipient
    seal_bundle(tmp_path / "1.ewb", tmp_path / "sealed.ewb", [stranger])
    with pytest.raises(
        TrustError, match=f"encrypt it to this fleet too: --to {fleet.recipient.text}"
    ):
        office.registry.publish(tmp_path / "sealed.ewb", by="ada")
    assert office.registry.releases() == ()
    assert [path for path in (tmp_path / "home" / "releases").rglob("*") if path.is_file()] == []


def test_no_patch_is_made_of_what_is_encrypted(
    office: Office, tmp_path: Path, fleet: FileOpener
) -> None:
    releases = [published(office, tmp_path, fleet, version) for version in ("1", "2")]
    patches = Patches(office.registry, tmp_path / "patches")
    assert patches.find(releases[0].bundle_id, releases[1].bundle_id, project="default") is None


def test_a_recipient_is_an_address_and_no_secret(fleet: FileOpener) -> None:
    assert Recipient.parse(fleet.recipient.text, source="here") == fleet.recipient
