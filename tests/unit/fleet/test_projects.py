"""Two projects with the same names in them: what is one's is not there for the other."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient
from sqlalchemy import select

from edgewright.errors import AbsentError, InputError, TrustError
from edgewright.fleet.audit import Deed, read_audit, verify_audit, write_down
from edgewright.fleet.desired import look_up
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.enrolment import Wish
from edgewright.fleet.office import Office
from edgewright.fleet.patches import Patches
from edgewright.fleet.people_api import House, build_app
from edgewright.fleet.roles import ROLES
from edgewright.fleet.rollout_plan import RolloutOrder
from edgewright.fleet.state import schema
from edgewright.fleet.telemetry import keep
from edgewright.telemetry import ServingRecord
from edgewright.testing.fleet import release_file
from edgewright.testing.projects import MARK, leaks, their_path, two_projects


@pytest.fixture
def theirs(office: Office, tmp_path: Path) -> Office:
    return two_projects(office, tmp_path)


def client_of(office: Office, *, is_local: bool) -> TestClient[Any]:
    house = House(names=() if is_local else ("fleet.example",), is_local=is_local)
    url = "http://127.0.0.1:8700" if is_local else "https://fleet.example"
    return TestClient(build_app(office, house=house), base_url=url)


@pytest.fixture
def client(office: Office, theirs: Office) -> Iterator[TestClient[Any]]:
    with client_of(office, is_local=False) as made:
        yield made


def bearer(office: Office, role: str) -> dict[str, str]:
    office.users.add(role, role, by="root")
    token = office.users.create_token(role, lifetime_s=60, by="root").token
    return {"authorization": f"Bearer {token}"}


BODIES: dict[str, Any] = {
    "/rollouts/plan": {"release": f"tiny-{MARK}@1"},
    "/rollouts": {"release": f"tiny-{MARK}@1"},
    "/rollouts/{number}/pause": {},
    "/rollouts/{number}/resume": None,
    "/rollouts/{number}/retry": {},
    "/rollouts/{number}/abort": {},
    "/releases": None,
    "/releases/{reference}/swu": {},
    "/devices": {"name": f"{MARK}-1"},
    "/enrolment-tokens": {},
    "/devices/{name}/commands": {"kind": "probe"},
    "/devices/{name}/commands/{number}/kit": None,
    "/devices/{name}/labels": {"labels": {"site": "stolen"}},
    "/devices/{name}/timezone": {"timezone": "Europe/Berlin"},
    "/devices/{name}/revoke": None,
    "/aliases/{alias}/propose": {"release": f"tiny-{MARK}@1"},
    "/aliases/{alias}/approve": {"release": f"tiny-{MARK}@1"},
    "/enrolments/{name}/decision": {"is_approved": True},
    "/notifiers": {"name": "ours", "url": "https://8.8.8.8/x"},
    "/notifiers/{name}/test": None,
    "/notifiers/{name}/remove": None,
    "/members/{name}": {"role": "viewer"},
    "/members/{name}/role": {"role": "releaser"},
    "/members/{name}/remove": None,
    "/members/{name}/tokens": {},
    "/members/{name}/revoke-tokens": None,
}
"""What to send to every command of a project."""
MAKES_OWN = {"/releases", "/devices", "/enrolment-tokens", "/notifiers", "/members/{name}"}
"""Commands that name nothing which must be there: they make something in the caller's project."""

PREFIX = "/api/v1/projects/{project}"


def routes(client: TestClient[Any], headers: dict[str, str]) -> list[tuple[str, str]]:
    """(method, path below the project) of all that the description knows."""
    paths = client.get("/api/v1/schema/openapi.json", headers=headers).json()["paths"]
    return [
        (method.upper(), path.removeprefix(PREFIX))
        for path, methods in paths.items()
        if path.startswith(PREFIX)
        for method in methods
    ]


def belongings(office: Office, project: str) -> dict[str, list[Any]]:
    """All rows of a project, to see whether somebody changed one."""
    with office.state.read() as connection:
        return {
            table.name: sorted(
                map(tuple, connection.execute(select(table).where(table.c.project == project)))
            )
            for table in schema.metadata.tables.values()
            if "project" in table.c
        }


def test_every_command_of_a_project_is_walked(client: TestClient[Any], office: Office) -> None:
    known = routes(client, bearer(office, "viewer"))
    assert {path for method, path in known if method == "POST"} == set(BODIES)
    assert len(known) > 30


@pytest.mark.parametrize("role", ROLES)
def test_another_projects_things_are_not_there_for_any_role_on_any_route(
    client: TestClient[Any], office: Office, theirs: Office, role: str
) -> None:
    headers = bearer(office, role)
    before = belongings(office, MARK)
    for method, path in routes(client, headers):
        body = BODIES.get(path) if method == "POST" else None
        names_theirs = "{" in path if method == "GET" else path not in MAKES_OWN
        inside = client.request(
            method, f"/api/v1/projects/{MARK}{their_path(path)}", json=body, headers=headers
        )
        assert inside.status_code == 404, (method, path, inside.text)
        for prefix in ("/api/v1", "/api/v1/projects/default"):
            answer = client.request(method, prefix + their_path(path), json=body, headers=headers)
            if names_theirs:
                assert answer.status_code in (403, 404), (method, path, answer.text)
            assert not leaks(answer.text, is_refused=answer.status_code >= 400), (path, answer.text)
    assert belongings(office, MARK) == before


def test_a_project_that_is_not_there_answers_like_one_that_is_closed(
    client: TestClient[Any], office: Office
) -> None:
    headers = bearer(office, "viewer")
    closed = client.get(f"/api/v1/projects/{MARK}/devices", headers=headers)
    absent = client.get("/api/v1/projects/nowhere/devices", headers=headers)
    assert (closed.status_code, absent.status_code) == (404, 404)
    assert closed.text.replace(MARK, "nowhere") == absent.text


def test_loopback_opens_the_first_project_only(office: Office, theirs: Office) -> None:
    with client_of(office, is_local=True) as client:
        assert client.get("/api/v1/devices").status_code == 200
        assert client.get(f"/api/v1/projects/{MARK}/devices").status_code == 401
        assert client.get("/").status_code == 200
        assert client.get(f"/projects/{MARK}").status_code == 401
        assert MARK not in client.get("/").text


def test_a_member_of_both_has_a_role_in_each_and_a_token_for_one(
    client: TestClient[Any], office: Office, theirs: Office
) -> None:
    office.users.add("rita", "viewer", by="root")
    theirs.users.add("rita", "device-admin", by="root")
    token = office.users.create_token("rita", lifetime_s=60, by="root").token
    mine = {"authorization": f"Bearer {token}"}
    assert client.get("/api/v1/devices", headers=mine).status_code == 200
    assert client.get(f"/api/v1/projects/{MARK}/devices", headers=mine).status_code == 404
    assert client.get("/api/v1/projects", headers=mine).json() == [
        {"project": "default", "role": "viewer"}
    ]
    office.users.set_password("rita", "correct horse battery", by="root")
    form = {"name": "rita", "password": "correct horse battery"}
    csrf = {"x-csrf-token": client.post("/api/v1/login", json=form).json()["csrf"]}
    assert {one["project"] for one in client.get("/api/v1/projects").json()} == {"default", MARK}
    revoked = client.post(f"/api/v1/projects/{MARK}/devices/{MARK}-1/revoke", headers=csrf)
    assert revoked.status_code == 200
    assert client.post("/api/v1/devices/ours-1/revoke", headers=csrf).status_code == 403
    page = client.get(f"/projects/{MARK}").text
    assert f"{MARK}-1" in page
    assert "ours-1" not in page
    theirs.users.remove("rita", by="root")
    assert client.get(f"/api/v1/projects/{MARK}/devices").status_code == 404


def test_who_is_in_one_project_only_is_led_to_it(office: Office, theirs: Office) -> None:
    theirs.users.add("otto", "viewer", by="root")
    theirs.users.set_password("otto", "correct horse battery", by="root")
    for is_local in (True, False):
        with client_of(office, is_local=is_local) as client:
            client.follow_redirects = False
            form = {"name": "otto", "password": "correct horse battery"}
            assert client.post("/login", data=form).status_code == 303
            led = client.get("/", headers={"accept": "text/html"})
            assert (led.status_code, led.headers["location"]) == (303, f"/projects/{MARK}")
            assert "otto, viewer" in client.get(f"/projects/{MARK}").text


def test_entries_of_no_project_are_for_who_audits_all(
    client: TestClient[Any], office: Office, theirs: Office
) -> None:
    headers = bearer(office, "qa")
    client.get("/api/v1/nowhere", headers=headers)
    own = client.get("/api/v1/audit", headers=headers).json()
    assert {entry["project"] for entry in own} == {"default"}
    office.users.add("all", "qa", by="root")
    theirs.users.add("all", "qa", by="root")
    office.users.set_password("all", "correct horse battery", by="root")
    client.post("/api/v1/login", json={"name": "all", "password": "correct horse battery"})
    seen = client.get(f"/api/v1/projects/{MARK}/audit").json()
    assert {entry["project"] for entry in seen} == {MARK, ""}
    assert "login" in {entry["what"] for entry in seen}


def test_the_same_bundle_and_the_same_version_may_be_in_two_projects(
    office: Office, theirs: Office, tmp_path: Path
) -> None:
    theirs.registry.publish(tmp_path / "ours.ewb", by="otto")
    release_file(tmp_path / "2.ewb", version="1", model=f"tiny-{MARK}")
    office.registry.publish(tmp_path / "2.ewb", by="ada")
    both = {release.text for release in office.registry.releases()}
    assert both == {"tiny-ours@1", f"tiny-{MARK}@1"}
    office.rollouts.tick(here=["ours-1", f"{MARK}-1"])
    assert len(office.rollouts.status(1).members) == 1
    with pytest.raises(AbsentError):
        office.rollouts.status(2)


def test_a_poll_is_answered_with_the_file_of_its_own_project(
    office: Office, theirs: Office, tmp_path: Path
) -> None:
    theirs.registry.publish(tmp_path / "ours.ewb", by="otto")
    token = theirs.devices.create_token(TokenOrder(), by="otto").token
    secret = theirs.devices.enrol(token, f"{MARK}-2", {})
    order = RolloutOrder(release="tiny-ours@1", query=f"device={MARK}-2", waves="100%")
    theirs.rollouts.start(order, by="otto")
    office.rollouts.tick(here=[f"{MARK}-2"])
    poll = look_up(office.state, secret)
    assert poll is not None
    assert poll.project == MARK
    assert len(json.loads(poll.body)["models"]) == 1


def test_a_device_cannot_be_taken_over_by_another_projects_token(
    office: Office, theirs: Office
) -> None:
    for order in (TokenOrder(), TokenOrder(device=f"{MARK}-1")):
        token = office.devices.create_token(order, by="ada").token
        with pytest.raises(InputError, match="enrolled already"):
            office.devices.enrol(token, f"{MARK}-1", {})
    theirs.devices.revoke(f"{MARK}-1", by="otto")
    token = office.devices.create_token(TokenOrder(), by="ada").token
    with pytest.raises(InputError, match="enrolled already"):
        office.devices.enrol(token, f"{MARK}-1", {})
    waiting = office.devices.create_token(TokenOrder(needs_approval=True), by="ada").token
    theirs.enrolments.decide(f"{MARK}-waiting", is_approved=True, by="otto")
    with pytest.raises(InputError, match="another device waits"):
        office.enrolments.enrol(Wish(device=f"{MARK}-waiting", token=waiting))


def test_a_patch_leads_from_releases_of_the_own_project_only(
    office: Office, theirs: Office, tmp_path: Path
) -> None:
    patches = Patches(office.registry, tmp_path / "patches")
    ours = office.registry.release("tiny-ours@1").bundle_id
    other = theirs.registry.release(f"tiny-{MARK}@1").bundle_id
    for base, wanted in ((other, ours), (ours, other)):
        assert patches.find(base, wanted, project="default") is None
    with pytest.raises(AbsentError):
        office.registry.file(other)


def test_what_devices_of_another_project_serve_counts_for_no_rollout_here(
    office: Office, theirs: Office, tmp_path: Path
) -> None:
    record = ServingRecord(
        device=f"{MARK}-1", sequence=9, at_s=0, model="tiny-ours", bundle="b" * 64, requests=100,
        errors=100, latency_p50_ms=1, latency_p95_ms=1,
    )  # fmt: skip
    keep(office.state, f"{MARK}-1", 1, [record], now_s=office.clock.wall_s() + 1)
    assert office.rollouts.compare(1).old.requests == 0


def test_an_account_is_one_for_the_fleet_and_a_name_is_no_secret(
    office: Office, theirs: Office
) -> None:
    made = office.users.add(f"{MARK}-person", "releaser", by="root")
    assert (made.project, made.role) == ("default", "releaser")
    assert {user.name: user.role for user in theirs.users.list()} == {f"{MARK}-person": "viewer"}
    with pytest.raises(AbsentError, match="no user"):
        theirs.users.create_token("ours-person", lifetime_s=60, by="otto")
    with pytest.raises(TrustError):
        office.users.projects_of("ewu_guess")


def test_projects_have_names(office: Office) -> None:
    with pytest.raises(InputError, match="expected 1 to 63"):
        office.projects.add("../x", by="root")
    office.projects.add("x", by="root")
    with pytest.raises(InputError, match="there already"):
        office.projects.add("x", by="root")
    with pytest.raises(AbsentError, match="no project 'y'"):
        office.projects.require("y")
    assert [one.name for one in office.projects.list()] == ["default", "x"]


def test_an_entry_cannot_be_moved_to_another_project(office: Office) -> None:
    for project in ("", "default", "x"):
        with office.state.write() as connection:
            write_down(
                connection, Deed(at_s=1.0, who="ada", what="w", subject=project, project=project)
            )
    verify_audit(office.state)
    for entry in read_audit(office.state):
        for project in {"", "default", "x"} - {entry.project}:
            with office.state.write() as connection:
                table = schema.audit
                mine = table.c.sequence == entry.sequence
                connection.execute(table.update().where(mine).values(project=project))
            with pytest.raises(TrustError, match=f"entry {entry.sequence} was changed"):
                verify_audit(office.state)
            with office.state.write() as connection:
                connection.execute(table.update().where(mine).values(project=entry.project))
    verify_audit(office.state)
