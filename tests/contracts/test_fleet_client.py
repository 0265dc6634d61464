"""What both ways to a fleet hold: over its own folder, and over HTTP with a token."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from click.testing import CliRunner

from edgewright.cli._main import root
from edgewright.errors import AbsentError, ConflictError, InputError, TransportError, TrustError
from edgewright.fleet.client import Fleet, FleetClient, LocalFleet
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.office import Office
from edgewright.fleet.people_api import House, build_app
from edgewright.fleet.remote_commands import CommandOrder
from edgewright.fleet.rollout_plan import RolloutOrder
from edgewright.testing import FakeClock
from edgewright.testing.fleet import fleet_office, release_file
from edgewright.testing.keys import MemorySigner
from edgewright.testing.projects import MARK, two_projects

As = Callable[[str], Fleet]


@contextlib.contextmanager
def listening(office: Office) -> Iterator[str]:
    """The people's API of a fleet on a real port, for whoever has a token."""
    app = build_app(office, house=House(is_local=False))
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="people-api", daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Office, str]]:
    folder = tmp_path_factory.mktemp("fleet")
    with fleet_office(folder / "home", FakeClock()) as office:
        two_projects(office, folder)
        with listening(office) as url:
            yield office, url


def token_of(office: Office, role: str) -> str:
    if role not in {user.name for user in office.users.list()}:
        office.users.add(role, role, by="root")
    return office.users.create_token(role, lifetime_s=600, by="root").token


@pytest.fixture(params=["folder", "http"])
def fleet_as(request: pytest.FixtureRequest, served: tuple[Office, str]) -> Iterator[As]:
    office, url = served
    with contextlib.ExitStack() as stack:

        def made(role: str) -> Fleet:
            if request.param == "folder":
                return LocalFleet(office, by=role)
            return stack.enter_context(FleetClient(url, token=token_of(office, role)))

        yield made


def test_devices_are_let_in_labelled_listed_and_shut_out(
    fleet_as: As, request: pytest.FixtureRequest
) -> None:
    fleet, name = fleet_as("device-admin"), f"pi-{request.node.callspec.id}"
    assert fleet.create_enrolment_token(TokenOrder(uses=3)).uses == 3
    assert fleet.add_device(name, {"site": "berlin"}).startswith("ewd_")
    assert fleet.label_device(name, {"site": None, "ring": "canary"}).labels == {"ring": "canary"}
    assert fleet.set_timezone(name, "Europe/Berlin").timezone == "Europe/Berlin"
    assert [device.name for device in fleet.devices(f"device={name}")] == [name]
    assert fleet.device(name).is_revoked is False
    assert fleet.revoke_device(name).is_revoked is True
    assert "ours-waiting" in {device.device for device in fleet.waiting_devices()}
    with pytest.raises(AbsentError):
        fleet.decide_enrolment("nobody", is_approved=True)


def test_devices_are_told_to_do_something(fleet_as: As) -> None:
    fleet = fleet_as("device-admin")
    made = fleet.order_command("ours-1", CommandOrder(kind="probe"))
    assert fleet.command("ours-1", made.number) == made
    assert made in fleet.commands("ours-1")
    with pytest.raises(InputError, match="no remote command"):
        fleet.order_command("ours-1", CommandOrder(kind="shell"))
    with pytest.raises(AbsentError, match="has no file"):
        fleet.command_file("ours-1", made.number)


def test_a_kit_is_sent_in_parts(fleet_as: As) -> None:
    fleet = fleet_as("device-admin")
    made = fleet.order_command("ours-1", CommandOrder(kind="measure"))
    assert made.status == "preparing"
    assert fleet.add_to_kit("ours-1", made.number, b"\0\xff", at=0, is_last=False) == made
    with pytest.raises(ConflictError, match="expected from 2 on"):
        fleet.add_to_kit("ours-1", made.number, b"x", at=9, is_last=True)
    whole = fleet.add_to_kit("ours-1", made.number, b"x", at=2, is_last=True)
    assert whole.status == "ordered"
    with pytest.raises(AbsentError):
        fleet.add_to_kit("ours-1", 999, b"x", at=0, is_last=True)


def test_a_list_of_many_devices_is_whole(fleet_as: As, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("http", "local"):
        monkeypatch.setattr(f"edgewright.fleet.client.{module}.PAGE", 1)
    names = [device.name for device in fleet_as("device-admin").devices()]
    assert "ours-1" in names
    assert names == sorted(set(names))


def test_rollouts_are_planned_started_and_commanded(fleet_as: As) -> None:
    fleet = fleet_as("releaser")
    order = RolloutOrder(release="tiny-ours@1", query="device=ours-1")
    assert fleet.plan_rollout(order).busy == ("ours-1",)
    with pytest.raises(InputError, match="are in another active rollout"):
        fleet.start_rollout(order)
    assert fleet.pause_rollout(1, reason="lunch").reason.endswith("lunch")
    assert fleet.resume_rollout(1).status == "running"
    with pytest.raises(ConflictError, match="no device of rollout 1 has failed"):
        fleet.retry_rollout(1)
    assert fleet.rollout(1) in fleet.rollouts()
    assert fleet.compare_rollout(1).old.requests == 0
    with pytest.raises(AbsentError, match="no rollout 77"):
        fleet.abort_rollout(77)
    with pytest.raises(AbsentError, match="no rollout 2"):
        fleet.rollout(2)


def test_releases_lead_back_to_where_they_came_from(fleet_as: As) -> None:
    fleet = fleet_as("releaser")
    (release,) = [one for one in fleet.releases() if one.model == "tiny-ours"]
    assert fleet.release("tiny-ours@1") == release
    assert fleet.release_lineage(release.bundle_id).provenance == release.provenance
    alias = fleet.propose_alias("tiny-ours@1", "next")
    assert alias.proposed_bundle_id == release.bundle_id
    assert alias in fleet.aliases()
    with pytest.raises(TrustError, match="proposed"):
        fleet.approve_alias("tiny-ours@1", "next")
    with pytest.raises(AbsentError):
        fleet.device_lineage("nobody", model="tiny-ours", at_s=1.5)


def test_a_bundle_is_published_under_a_version_that_stays_its(
    fleet_as: As, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    fleet, model = fleet_as("data-scientist"), f"sent-{request.node.callspec.id}"
    bundle_id = release_file(tmp_path / "1.ewb", model=model, version="1")
    made = fleet.publish(tmp_path / "1.ewb")
    assert made.release == fleet.release(f"{model}@1")
    assert (made.release.bundle_id, made.release.published_by) == (bundle_id, "data-scientist")
    assert fleet.publish(tmp_path / "1.ewb") == made
    with pytest.raises(InputError, match="reading"):
        fleet.publish(tmp_path / "absent.ewb")
    (tmp_path / "empty.ewb").write_bytes(b"")
    with pytest.raises((InputError, TrustError)):
        fleet.publish(tmp_path / "empty.ewb")
    spoiled = bytearray((tmp_path / "1.ewb").read_bytes())
    spoiled[len(spoiled) // 2] ^= 1
    (tmp_path / "spoiled.ewb").write_bytes(spoiled)
    with pytest.raises(TrustError):
        fleet.publish(tmp_path / "spoiled.ewb")
    stranger = MemorySigner.from_seed(9)
    release_file(tmp_path / "2.ewb", model=model, version="2", signers=[stranger])
    with pytest.raises(TrustError, match="signature"):
        fleet.publish(tmp_path / "2.ewb")
    assert [r.version for r in fleet.releases() if r.model == model] == ["1"]


def test_a_large_bundle_arrives_whole_and_leaves_nothing(
    served: tuple[Office, str], tmp_path: Path
) -> None:
    office, url = served
    (tmp_path / "noise.ewb").write_bytes(bytes(range(256)) * 20_000)
    for role, wanted in (("data-scientist", "not a bundle"), ("viewer", "'publish'")):
        with (
            FleetClient(url, token=token_of(office, role)) as fleet,
            pytest.raises(TrustError, match=wanted),
        ):
            fleet.publish(tmp_path / "noise.ewb")
    with office.publishing.arriving(1, by="ada") as place:
        assert not list(place.parent.iterdir())


def test_members_are_let_in_and_out(fleet_as: As, request: pytest.FixtureRequest) -> None:
    fleet, name = fleet_as("security-admin"), f"eve-{request.node.callspec.id}"
    assert fleet.add_member(name, "viewer").role == "viewer"
    assert fleet.set_role(name, "qa").role == "qa"
    assert fleet.create_user_token(name, lifetime_s=60, scopes=["read"]).user == name
    assert fleet.revoke_user_tokens(name) == 1
    assert name in {user.name for user in fleet.members()}
    fleet.remove_member(name)
    with pytest.raises(AbsentError, match="no user"):
        fleet.set_role(name, "viewer")
    (newest,) = fleet.audit(newest=1)
    assert newest.project in ("default", "")


def test_a_token_beyond_its_role_or_project_is_refused(served: tuple[Office, str]) -> None:
    office, url = served
    viewer = token_of(office, "viewer")
    with FleetClient(url, token=viewer) as fleet:
        with pytest.raises(TrustError, match="does not include 'device'"):
            fleet.revoke_device("ours-1")
        assert [one.project for one in fleet.projects()] == ["default"]
        assert viewer not in repr(fleet)
    with FleetClient(url, token=viewer, project=MARK) as fleet, pytest.raises(AbsentError):
        list(fleet.devices())
    with FleetClient(url) as fleet, pytest.raises(TrustError, match="needs the token"):
        fleet.device("ours-1")


def test_a_token_does_not_leave_this_machine_in_clear_text() -> None:
    with pytest.raises(InputError, match="over TLS only"):
        FleetClient("http://fleet.example:8700", token="ewu_x")


def test_something_else_at_the_address_is_told(served: tuple[Office, str]) -> None:
    _, url = served
    with FleetClient(url) as fleet, pytest.raises(TransportError, match="not the expected answer"):
        fleet._asked("GET", "/style.css", int)
    with FleetClient("http://127.0.0.1:9") as fleet, pytest.raises(TransportError):
        fleet.releases()


def test_the_command_line_works_on_a_fleet_elsewhere(
    served: tuple[Office, str], tmp_path: Path
) -> None:
    office, url = served
    (tmp_path / "token").write_text(token_of(office, "viewer") + "\n")
    runner = CliRunner()
    by_file = runner.invoke(
        root, ["device", "list", "--fleet", url, "--token-file", str(tmp_path / "token"), "--json"]
    )
    assert by_file.exit_code == 0, by_file.output
    assert '"ours-1"' in by_file.output
    environment = {
        "EDGEWRIGHT_FLEET_URL": url,
        "EDGEWRIGHT_FLEET_TOKEN": token_of(office, "viewer"),
    }
    by_variable = runner.invoke(root, ["rollout", "status"], env=environment)
    assert "tiny-ours@1" in by_variable.output
    refused = runner.invoke(root, ["device", "revoke", "ours-1"], env=environment)
    assert isinstance(refused.exception, TrustError)
