import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from litestar.testing import TestClient

from edgewright.errors import ResourceError, TransportError
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.office import Office
from edgewright.fleet.people_api import House, build_app
from edgewright.fleet.people_api.publishing import LEAST_BYTES_PER_S, SILENCE_S, require_pace
from edgewright.fleet.publishing import ARRIVING_AT_ONCE, SPARED_BYTES
from edgewright.fleet.roles import ROLES, Permission, may
from edgewright.testing.fleet import release_file

Command = tuple[str, str, Any, Permission]

COMMANDS: list[Command] = [
    ("POST", "/api/v1/rollouts/plan", {"release": "tiny@1"}, "rollout"),
    ("POST", "/api/v1/rollouts", {"release": "tiny@1"}, "rollout"),
    ("POST", "/api/v1/rollouts/1/pause", {}, "rollout"),
    ("POST", "/api/v1/rollouts/1/resume", {}, "rollout"),
    ("POST", "/api/v1/rollouts/1/retry", {}, "rollout"),
    ("POST", "/api/v1/rollouts/1/abort", {}, "rollout"),
    ("POST", "/api/v1/enrolment-tokens", {}, "device"),
    ("POST", "/api/v1/devices/d1/labels", {"labels": {"a": "b"}}, "device"),
    ("POST", "/api/v1/devices/d1/revoke", {}, "device"),
    ("POST", "/api/v1/devices/d1/timezone", {"timezone": "Europe/Berlin"}, "device"),
    ("POST", "/api/v1/devices", {"name": "d2"}, "device"),
    ("POST", "/api/v1/devices/d1/commands", {"kind": "probe"}, "device"),
    ("GET", "/api/v1/devices/d1/commands/1/file", None, "device"),
    ("POST", "/api/v1/devices/d1/commands/1/kit", None, "device"),
    ("POST", "/api/v1/members/eve", {"role": "viewer"}, "user"),
    ("POST", "/api/v1/members/eve/role", {"role": "qa"}, "user"),
    ("POST", "/api/v1/members/eve/tokens", {}, "user"),
    ("POST", "/api/v1/members/eve/revoke-tokens", {}, "user"),
    ("POST", "/api/v1/members/eve/remove", {}, "user"),
    ("GET", "/api/v1/members", None, "user"),
    ("POST", "/api/v1/releases", None, "publish"),
    ("POST", "/api/v1/releases/tiny@1/swu", {}, "publish"),
    ("POST", "/api/v1/aliases/production/propose", {"release": "tiny@1"}, "publish"),
    ("POST", "/api/v1/aliases/production/approve", {"release": "tiny@1"}, "approve"),
    ("POST", "/api/v1/enrolments/d1/decision", {"is_approved": True}, "device"),
    ("POST", "/api/v1/notifiers", {"name": "n", "url": "https://93.184.216.34/"}, "notify"),
    ("POST", "/api/v1/notifiers/d1/test", {}, "notify"),
    ("POST", "/api/v1/notifiers/d1/remove", {}, "notify"),
    ("GET", "/api/v1/notifiers", None, "notify"),
    ("GET", "/api/v1/notifiers/d1/deliveries", None, "notify"),
    ("GET", "/api/v1/enrolments", None, "device"),
    ("GET", "/api/v1/audit", None, "audit"),
]
OPEN_COMMANDS = {"/api/v1/login", "/api/v1/logout"}
READING = [
    "/", "/style.css", "/api/v1/health", "/api/v1/releases", "/api/v1/releases/tiny@1",
    "/api/v1/devices", "/api/v1/devices/d1", "/api/v1/rollouts", "/api/v1/alerts",
    "/api/v1/schema/openapi.json",
]  # fmt: skip


@pytest.fixture
def fleet(office: Office, tmp_path: Path) -> Office:
    release_file(tmp_path / "1.ewb", version="1")
    office.registry.publish(tmp_path / "1.ewb", by="ada")
    token = office.devices.create_token(TokenOrder(), by="ada").token
    office.devices.enrol(token, "d1", {"site": "berlin"})
    return office


@pytest.fixture
def client(fleet: Office) -> Iterator[TestClient[Any]]:
    with TestClient(build_app(fleet), base_url="http://127.0.0.1:8700") as made:
        yield made


def bearer(office: Office, role: str) -> dict[str, str]:
    office.users.add(role, role, by="root")
    token = office.users.create_token(role, lifetime_s=60, by="root").token
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", READING)
def test_reading_is_open_on_loopback(client: TestClient[Any], path: str) -> None:
    assert client.get(path).status_code == 200


FORWARDED = [
    {"x-forwarded-for": "203.0.113.9"}, {"X-Forwarded-Proto": "https"}, {"via": "1.1 proxy"},
    {"forwarded": "for=203.0.113.9"}, {"x-real-ip": "203.0.113.9"}, {"x-forwarded-new": ""},
]  # fmt: skip


@pytest.mark.parametrize("headers", FORWARDED, ids=str)
def test_reading_through_a_proxy_is_not_open(
    client: TestClient[Any], headers: dict[str, str]
) -> None:
    for path in ("/api/v1/releases", "/"):
        assert client.get(path, headers=headers).status_code == 401, path


@pytest.mark.parametrize("names", [("fleet.example",), ("127.0.0.1", "fleet.example")])
def test_reading_is_not_open_in_a_fleet_that_has_a_name(
    fleet: Office, names: tuple[str, ...]
) -> None:
    app = build_app(fleet, house=House(names=names))
    for url in ("http://127.0.0.1:8700", "http://fleet.example"):
        with TestClient(app, base_url=url) as client:
            assert client.get("/api/v1/releases").status_code == 401, url


def test_names_of_this_machine_are_no_names(fleet: Office) -> None:
    app = build_app(fleet, house=House(names=("localhost", "::1", "127.0.0.1")))
    with TestClient(app, base_url="http://127.0.0.1:8700") as client:
        for host in ("localhost:8700", "[::1]:8700", "[::1]", "LOCALHOST"):
            answer = client.get("/api/v1/releases", headers={"host": host})
            assert answer.status_code == 200, host


def test_a_session_that_began_through_a_proxy_never_travels_in_the_clear(
    fleet: Office, client: TestClient[Any]
) -> None:
    fleet.users.add("rita", "releaser", by="root")
    fleet.users.set_password("rita", FORM["password"], by="root")
    through = client.post("/api/v1/login", json=FORM, headers=FORWARDED[0])
    here = client.post("/api/v1/login", json=FORM)
    assert "secure" in through.headers["set-cookie"].lower()
    assert "secure" not in here.headers["set-cookie"].lower()


@pytest.mark.parametrize("path", ["/api/v1/rollouts", "/api/v1/logout", "/logout"])
def test_a_token_beside_the_cookie_may_be_any_bytes(client: TestClient[Any], path: str) -> None:
    client.cookies.set("edgewright_session", "ews_x")
    headers = {b"x-csrf-token": b"\xe9"}
    sent = client.post(path, headers=headers, data={"csrf": "é"})  # type: ignore[arg-type]
    assert sent.status_code == 403


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[1])
def test_a_command_needs_a_token_that_holds_its_permission(
    fleet: Office, client: TestClient[Any], command: Command
) -> None:
    method, path, body, permission = command
    assert client.request(method, path, json=body).status_code == 401
    wrong = {"authorization": "Bearer ewu_guess"}
    assert client.request(method, path, json=body, headers=wrong).status_code == 403
    for role in ROLES:
        status = client.request(method, path, json=body, headers=bearer(fleet, role)).status_code
        assert (status in (200, 201, 400, 404)) == may(role, permission), (role, status)
        assert status != 500


def test_no_route_is_forgotten(client: TestClient[Any]) -> None:
    paths = client.get("/api/v1/schema/openapi.json").json()["paths"]
    described = {(m.upper(), path) for path, methods in paths.items() for m in methods}
    commands = {path for method, path in described if method == "POST"}
    tested = {
        path.replace("/1/", "/{number}/")
        .replace("/d1/", "/{name}/")
        .replace("/production/", "/{alias}/")
        .replace("/tiny/", "/{model}/")
        .replace("/tiny@1/", "/{reference}/")
        .replace("/eve", "/{name}")
        for method, path, _, _ in COMMANDS
        if method == "POST"
    }
    of_projects = {path.replace("/api/v1", "/api/v1/projects/{project}") for path in tested}
    assert commands == tested | of_projects | OPEN_COMMANDS


def test_a_rollout_is_commanded_and_read(fleet: Office, client: TestClient[Any]) -> None:
    headers = bearer(fleet, "releaser")
    order = {"release": "tiny@1", "query": "site=berlin", "waves": "100%"}
    plan = client.post("/api/v1/rollouts/plan", json=order, headers=headers).json()
    assert plan["waves"] == [["d1"]]
    started = client.post("/api/v1/rollouts", json=order, headers=headers)
    assert (started.status_code, started.json()["number"]) == (201, 1)
    paused = client.post(
        "/api/v1/rollouts/1/pause", json={"reason": "lunch"}, headers=headers
    ).json()
    assert (paused["status"], paused["reason"]) == ("paused", "releaser: lunch")
    assert client.get("/api/v1/rollouts/1").json() == paused
    assert "lunch" in client.get("/").text


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/v1/rollouts", {"release": "tiny@9"}, 404),
        ("/api/v1/rollouts", {"release": "tiny@1", "wave": "1"}, 400),
        ("/api/v1/rollouts", {"release": "tiny@1", "limits": {"deadline_s": -1}}, 400),
        ("/api/v1/rollouts", {"release": 7}, 400),
        ("/api/v1/rollouts/9/abort", {}, 404),
    ],
)
def test_a_wrong_command_is_told_what_is_wrong(
    fleet: Office, client: TestClient[Any], path: str, body: Any, status: int
) -> None:
    answer = client.post(path, json=body, headers=bearer(fleet, "releaser"))
    assert answer.status_code == status
    assert len(json.dumps(answer.json())) > 20


def test_a_bundle_is_sent_whole_with_its_length(
    fleet: Office, client: TestClient[Any], tmp_path: Path
) -> None:
    headers = bearer(fleet, "releaser")
    release_file(tmp_path / "2.ewb", version="2")
    content = (tmp_path / "2.ewb").read_bytes()
    sent = client.post("/api/v1/releases", content=content, headers=headers)
    assert (sent.status_code, sent.json()["release"]["version"]) == (201, "2")
    unmeasured = client.post("/api/v1/releases", content=iter([content]), headers=headers)
    assert (unmeasured.status_code, "content-length" in unmeasured.text) == (400, True)
    short = {**headers, "content-length": str(len(content) + 1)}
    cut = client.post("/api/v1/releases", content=content, headers=short)
    assert (cut.status_code, f"after {len(content)} of" in cut.text) == (400, True)
    vast = {**headers, "content-length": str(1 << 40)}
    assert client.post("/api/v1/releases", content=content, headers=vast).status_code == 400


def test_more_bundles_than_there_are_places_are_told_to_come_back(
    fleet: Office, client: TestClient[Any]
) -> None:
    headers = bearer(fleet, "releaser")
    other = fleet.within("other").publishing
    with contextlib.ExitStack() as places:
        for number in range(ARRIVING_AT_ONCE):
            places.enter_context(other.arriving(1, by=f"user-{number}"))
        assert client.post("/api/v1/releases", content=b"x", headers=headers).status_code == 503
    assert client.post("/api/v1/releases", content=b"x", headers=headers).status_code == 403


def test_one_person_holds_one_place_only(fleet: Office, client: TestClient[Any]) -> None:
    headers = bearer(fleet, "releaser")
    with fleet.publishing.arriving(1, by="releaser"):
        second = client.post("/api/v1/releases", content=b"x", headers=headers)
    assert (second.status_code, "a bundle of releaser arrives already" in second.text) == (
        503,
        True,
    )
    with fleet.publishing.arriving(1, by="somebody-slow"):
        assert client.post("/api/v1/releases", content=b"x", headers=headers).status_code == 403


def test_what_arrives_beside_it_takes_of_the_disk_too(
    fleet: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SimpleNamespace(free=SPARED_BYTES + 100)
    monkeypatch.setattr("edgewright.fleet.publishing.shutil.disk_usage", lambda _: disk)
    arriving = fleet.publishing.arriving
    with arriving(60, by="ada"):
        with pytest.raises(ResourceError, match="do not fit"), arriving(60, by="bert"):
            pass
        with arriving(40, by="bert"):
            pass
    with arriving(60, by="bert"):
        pass


def test_who_sends_too_slowly_is_not_waited_for() -> None:
    require_pace(1, elapsed_s=59)
    require_pace(LEAST_BYTES_PER_S * 40, elapsed_s=SILENCE_S + 40)
    with pytest.raises(TransportError, match="expected at least 16384 a second"):
        require_pace(LEAST_BYTES_PER_S * 40 - 1, elapsed_s=SILENCE_S + 40)


def test_another_host_name_is_refused(fleet: Office) -> None:
    with TestClient(build_app(fleet), base_url="http://evil.example:8700") as client:
        assert client.get("/").status_code == 403
        assert client.get("/api/v1/devices").status_code == 403


def test_the_page_runs_no_script_and_escapes_what_devices_say(
    fleet: Office, client: TestClient[Any]
) -> None:
    from edgewright.fleet.telemetry import hear, keep
    from edgewright.telemetry import UpdateRecord

    record = UpdateRecord(
        device="d1", sequence=1, at_s=0, bundle="b" * 64, model="tiny", state="idle",
        reason="<script>alert(1)</script>",
    )  # fmt: skip
    keep(fleet.state, "d1", 1, [record], now_s=0.0)
    with fleet.state.write() as connection:
        hear(connection)
    page = client.get("/")
    assert "<script" not in page.text
    assert "&lt;script&gt;" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


def reads(client: TestClient[Any]) -> list[str]:
    paths = client.get("/api/v1/schema/openapi.json").json()["paths"]
    names = {
        "{name}": "d1", "{reference}": "tiny@1", "{number}": "1", "{project}": "default"
    }  # fmt: skip
    found = []
    for path, methods in paths.items():
        if "get" in methods:
            for name, value in names.items():
                path = path.replace(name, value)  # noqa: PLW2901
            found.append(path)
    return found


def test_beyond_loopback_every_route_needs_a_user_whose_role_holds_it(fleet: Office) -> None:
    house = House(names=("fleet.example",), is_local=False)
    with TestClient(build_app(fleet), base_url="http://127.0.0.1:8700") as local:
        paths = reads(local)
    assert len(paths) > 10
    tokens = {role: bearer(fleet, role) for role in ROLES}
    with TestClient(build_app(fleet, house=house), base_url="https://fleet.example") as client:
        for path in [*paths, "/"]:
            assert client.get(path).status_code == 401, path
            for role in ROLES:
                needed: Permission = "read"
                needed = "audit" if path.endswith("/audit") else needed
                needed = "device" if path.endswith("/enrolments") else needed
                needed = "user" if path.endswith("/members") else needed
                needed = "device" if path.endswith("/file") else needed
                needed = "notify" if "/notifiers" in path else needed
                status = client.get(path, headers=tokens[role]).status_code
                assert (status in (200, 400, 404)) == may(role, needed), (path, role, status)


def test_a_browser_logs_in_and_needs_the_token_beside_its_cookie(
    fleet: Office, client: TestClient[Any]
) -> None:
    fleet.users.add("rita", "releaser", by="root")
    fleet.users.set_password("rita", "correct horse battery", by="root")
    wrong = client.post("/api/v1/login", json={"name": "rita", "password": "guess"})
    nobody = client.post("/api/v1/login", json={"name": "nobody", "password": "guess"})
    assert (wrong.status_code, wrong.json()) == (nobody.status_code, nobody.json())
    done = client.post("/api/v1/login", json={"name": "rita", "password": "correct horse battery"})
    assert done.status_code == 200
    assert "HttpOnly" in done.headers["set-cookie"]
    assert "samesite=strict" in done.headers["set-cookie"].lower()
    order = {"release": "tiny@1"}
    plan = "/api/v1/rollouts/plan"
    assert client.post(plan, json=order).status_code == 403
    assert client.post(plan, json=order, headers={"x-csrf-token": "0" * 32}).status_code == 403
    csrf = {"x-csrf-token": done.json()["csrf"]}
    assert client.post(plan, json=order, headers=csrf).status_code == 200
    client.post("/api/v1/logout", headers=csrf)
    assert client.post(plan, json=order, headers=csrf).status_code in (401, 403)


FORM = {"name": "rita", "password": "correct horse battery"}


def test_a_browser_is_led_to_the_form_and_through_it_to_the_fleet(fleet: Office) -> None:
    fleet.users.add("rita", "releaser", by="root")
    fleet.users.set_password("rita", FORM["password"], by="root")
    house = House(names=("fleet.example",), is_local=False)
    html = {"accept": "text/html"}
    with TestClient(build_app(fleet, house=house), base_url="https://fleet.example") as client:
        client.follow_redirects = False
        led = client.get("/", headers=html)
        assert (led.status_code, led.headers["location"]) == (303, "/login")
        assert 'name="password"' in client.get("/login").text
        assert client.get("/style.css").status_code == 200
        assert client.post("/login", data=FORM | {"password": "guess"}).status_code == 403
        foreign = {"origin": "https://evil.example"}
        assert client.post("/login", data=FORM, headers=foreign).status_code == 403
        done = client.post("/login", data=FORM, headers={"origin": "https://fleet.example"})
        assert (done.status_code, done.headers["location"]) == (303, "/")
        page = client.get("/", headers=html)
        assert "rita, releaser" in page.text
        csrf = page.text.partition('name="csrf" value="')[2].partition('"')[0]
        assert client.post("/logout", data={"csrf": csrf[::-1]}).status_code == 403
        assert client.post("/logout", data={"csrf": csrf}).headers["location"] == "/login"
        assert client.get("/", headers=html).status_code == 303


def test_a_method_that_the_framework_adds_is_open_to_nobody(
    fleet: Office, client: TestClient[Any]
) -> None:
    admin = bearer(fleet, "security-admin")
    for path in reads(client):
        assert client.options(path).status_code == 403, path
        assert client.options(path, headers=admin).status_code == 403, path


def test_an_address_cannot_try_passwords_for_ever(client: TestClient[Any]) -> None:
    body = {"name": "nobody", "password": "guess"}
    codes = [client.post("/api/v1/login", json=body).status_code for _ in range(21)]
    assert codes == [403] * 20 + [429]


def test_a_token_makes_none_that_opens_more(fleet: Office, client: TestClient[Any]) -> None:
    fleet.users.add("sec", "security-admin", by="root")

    def made(scopes: list[str], wish: list[str], name: str = "sec") -> Any:
        token = fleet.users.create_token("sec", lifetime_s=60, by="root", scopes=scopes).token
        headers = {"authorization": f"Bearer {token}"}
        body = {"scopes": wish}
        return client.post(f"/api/v1/members/{name}/tokens", json=body, headers=headers)

    assert made([], []).json()["scopes"] == []
    assert made(["user"], []).json()["scopes"] == ["user"]
    assert made(["user", "audit"], ["audit"]).json()["scopes"] == ["audit"]
    assert made(["user"], ["device"]).status_code == 403
    assert made(["user"], ["nothing"]).status_code == 400
    fleet.users.add("rel", "releaser", by="root")
    assert made(["user"], [], "rel").status_code == 403
    assert made(["user", "read"], [], "rel").json()["scopes"] == ["read"]


def test_one_person_is_not_two(fleet: Office, client: TestClient[Any]) -> None:
    """Neither by a token of somebody else, nor by another account, nor by another role."""
    admin = bearer(fleet, "security-admin")
    fleet.users.add("rel", "releaser", by="root")
    tokens = "/api/v1/members/rel/tokens"
    for scope in ("approve", "user"):
        assert client.post(tokens, json={"scopes": [scope]}, headers=admin).status_code == 403
    theirs = client.post(tokens, json={}, headers=admin).json()
    headers = {"authorization": f"Bearer {theirs['token']}"}
    proposal = {"release": "tiny@1"}
    alias = "/api/v1/aliases/production"
    assert client.post(f"{alias}/propose", json=proposal, headers=headers).status_code == 200
    refused = client.post(f"{alias}/approve", json=proposal, headers=headers)
    assert (refused.status_code, "not for 'approve'" in refused.text) == (403, True)
    own = "/api/v1/members/security-admin/role"
    assert client.post(own, json={"role": "releaser"}, headers=admin).status_code == 403
    client.post("/api/v1/members/sec2", json={"role": "security-admin"}, headers=admin)
    second = client.post("/api/v1/members/sec2/tokens", json={}, headers=admin).json()["token"]
    headers = {"authorization": f"Bearer {second}"}
    assert client.post(own, json={"role": "releaser"}, headers=headers).status_code == 403


def test_every_answer_has_secure_headers(client: TestClient[Any]) -> None:
    for path in ("/", "/api/v1/health", "/api/v1/audit", "/nothing"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path


def test_every_body_that_is_sent_has_an_example_and_every_route_its_refusals(
    client: TestClient[Any],
) -> None:
    described = client.get("/api/v1/schema/openapi.json").json()
    for path, methods in described["paths"].items():
        for operation in methods.values():
            assert {"401", "403", "404"} <= set(operation["responses"]), path
            sent = operation.get("requestBody", {}).get("content", {})
            assert list(sent) in ([], ["application/json"]) or path.endswith("/releases")
            for content in (sent[kind] for kind in sent if kind == "application/json"):
                name = content["schema"]["$ref"].rpartition("/")[2]
                assert described["components"]["schemas"][name]["examples"], (path, name)
