"""Somebody who means harm, against a real fleet process that speaks TLS at both doors.

Every attack is refused with the status in the table, and afterwards the audit log names it.
"""

import base64
import gzip
import http.client
import json
import socket
import ssl
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.fleet_process import FleetProcess, start_fleet

from edgewright.chain.enrolment import enroll
from edgewright.chain.fleet import open_fleet, trust
from edgewright.device.agent import DeviceCertificate
from edgewright.fleet.audit import read_audit, verify_audit
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.refusals import Refusal
from edgewright.fleet.roles import ROLES
from edgewright.fleet.rollout_plan import RolloutOrder
from edgewright.telemetry import HealthRecord, UpdateRecord, encode_batch
from edgewright.testing.fleet import SIGNER, release_file
from edgewright.wire import device_api as wire
from edgewright.wire.remote_commands import COMMANDS

pytestmark = pytest.mark.timeout(180)

PASSWORD = "correct horse battery staple"
FORGED = "203.0.113."
Status = int


class Target:
    """The fleet under attack, with what an insider could hold: tokens, a certificate, a session."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "fleet"
        (folder / "key.pub").write_text(SIGNER.public.public_hex)
        trust(self.home, [folder / "key.pub"], threshold=1, by="test")
        self.tokens: dict[str, str] = {}
        with open_fleet(self.home) as office:
            release_file(folder / "1.ewb", version="1")
            self.bundle = office.registry.publish(folder / "1.ewb", by="test").bundle_id
            for role in ROLES:
                office.users.add(role, role, by="test")
                made = office.users.create_token(role, lifetime_s=600, by="test")
                self.tokens[role] = made.token
            office.users.add("gone", "security-admin", by="test")
            made = office.users.create_token("gone", lifetime_s=600, by="test")
            self.tokens["disabled"] = made.token
            office.users.set_disabled("gone", is_disabled=True, by="test")
            scoped = office.users.create_token(
                "releaser", lifetime_s=600, by="test", scopes=["read"]
            )
            self.tokens["scoped"] = scoped.token
            short = office.users.create_token("viewer", lifetime_s=0.001, by="test")
            self.tokens["expired"] = short.token
            for name in ("ada", "grace"):
                office.users.add(name, "releaser", by="test")
                office.users.set_password(name, PASSWORD, by="test")
            office.aliases.propose("tiny@1", "production", by="data-scientist")
            office.projects.add("vault", by="test")
            vault = office.within("vault")
            release_file(folder / "secret.ewb", version="1", model="secret")
            self.vault_bundle = vault.registry.publish(folder / "secret.ewb", by="test").bundle_id

        self._number = 1000

    def next_number(self) -> int:
        """Of the next record of device b."""
        self._number += 1
        return self._number

    def start(self) -> FleetProcess:
        made = start_fleet(self.home, "--tls")
        self.people, self.devices = (
            int(url.rpartition(":")[2]) for url in (made.people, made.devices)
        )
        return made

    def enrol(self) -> None:
        """Devices a (with an order), b and revoked, the token of a is used up; and v, with an order
        too, in the project that the others are not to see.
        """
        with open_fleet(self.home) as office:
            self.used_token = office.devices.create_token(TokenOrder(), by="test").token
            rest = office.devices.create_token(TokenOrder(uses=9), by="test").token
            vault = office.within("vault").devices.create_token(TokenOrder(), by="test").token
        tokens = {"a": self.used_token, "b": rest, "revoked": rest, "v": vault}
        for name, token in tokens.items():
            url = f"https://127.0.0.1:{self.devices}"
            enroll(url, token=token, home=self.folder / name, device=name, labels={})
        self.fresh_token = rest
        with open_fleet(self.home) as office:
            office.devices.revoke("revoked", by="test")
            office.rollouts.start(RolloutOrder(release="tiny@1", query="device=a"), by="test")
            office.within("vault").rollouts.start(RolloutOrder(release="secret@1"), by="test")

    def person(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str = "",
        raw: bytes | None = None,
        **headers: str,
    ) -> Status:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["authorization"] = f"Bearer {self.tokens.get(token, token)}"
        content = raw if raw is not None else json.dumps(body).encode() if body is not None else b""
        if content:
            sent["content-type"] = "application/json"
        line = http.client.HTTPSConnection(
            "127.0.0.1", self.people, context=_careless(), timeout=20
        )
        try:
            line.request(method, path, body=content or None, headers=sent)
            answer = line.getresponse()
            answer.read()
            return answer.status
        finally:
            line.close()

    def login(self, name: str, password: str, **headers: str) -> tuple[Status, str, str]:
        """Status, session cookie and what goes beside it."""
        line = http.client.HTTPSConnection(
            "127.0.0.1", self.people, context=_careless(), timeout=20
        )
        try:
            content = json.dumps({"name": name, "password": password})
            sent = {key.replace("_", "-"): value for key, value in headers.items()}
            sent["content-type"] = "application/json"
            line.request("POST", "/api/v1/login", content, sent)
            answer = line.getresponse()
            body = json.loads(answer.read())
            cookie = (answer.getheader("set-cookie") or "").partition(";")[0]
            return answer.status, cookie, body.get("csrf", "")
        finally:
            line.close()

    def device(
        self, method: str, path: str, body: bytes = b"", *, who: str = "", **headers: str
    ) -> Status:
        return self.device_answer(method, path, body, who=who, **headers)[0]

    def device_answer(
        self, method: str, path: str, body: bytes = b"", *, who: str = "", **headers: str
    ) -> tuple[Status, bytes]:
        context = DeviceCertificate(self.folder / who).context() if who else _careless()
        line = http.client.HTTPSConnection("127.0.0.1", self.devices, context=context, timeout=20)
        try:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            line.request(method, path, body=body or None, headers=sent)
            answer = line.getresponse()
            return answer.status, answer.read()
        finally:
            line.close()

    def bytes_to_devices(self, content: bytes) -> Status:
        """Bytes as they are; 0 when the line was closed without a word."""
        with (
            socket.create_connection(("127.0.0.1", self.devices), 20) as plain,
            _careless().wrap_socket(plain) as line,
        ):
            try:
                line.sendall(content)
                answer = line.recv(4096)
            except OSError:
                return 0
        return int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/") else 0


def _careless() -> ssl.SSLContext:
    """An attacker does not check whom it attacks."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _health(device: str, sequence: int) -> bytes:
    record = HealthRecord(
        device=device, sequence=sequence, at_s=1.0, memory_free_mb=1.0, disk_free_mb=1.0
    )
    return encode_batch([record])


def _commit(device: str, sequence: int, bundle: str) -> bytes:
    record = UpdateRecord(
        device=device, sequence=sequence, at_s=1.0, bundle=bundle, state="commit", model="tiny"
    )
    return encode_batch([record])


def _replayed(target: Target, who: str = "b") -> Status:
    """A report that the fleet took from device b, after a newer one, over a line of its own."""
    old, new = (_health("b", target.next_number()) for _ in range(2))
    assert [target.device("POST", TELEMETRY, one, who="b") for one in (old, new)] == [200, 200]
    return target.device("POST", TELEMETRY, old, who=who)


def _rewritten(target: Target) -> Status:
    """Something else under the number of a report that the fleet has."""
    number = target.next_number()
    assert target.device("POST", TELEMETRY, _health("b", number), who="b") == 200
    return target.device("POST", TELEMETRY, _commit("b", number, target.bundle), who="b")


def _word_of_swupdate(target: Target) -> Status:
    """What SWUpdate tells of an order, by a device that was never given it."""
    word = b'{"id":1,"status":{"execution":"closed","result":{"finished":"success"},"details":[]}}'
    return target.device("POST", f"{DDI}/b/deploymentBase/1/feedback", word, who="b")


def _enrolment(**fields: str) -> bytes:
    return msgspec.json.encode(wire.EnrollRequest(**fields))


def _own_certificate(target: Target) -> str:
    """The header of a proxy, with the certificate of device a that anybody on the way can see."""
    pem = (target.folder / "a" / "tls" / "device.pem").read_text()
    der = ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----END CERTIFICATE-----") + 26])
    return f":{base64.b64encode(der).decode()}:"


def _cross_site(target: Target, told: Callable[[str], str]) -> Status:
    _, cookie, csrf = target.login("ada", PASSWORD)
    return target.person(
        "POST", "/api/v1/rollouts/1/abort", {}, cookie=cookie, x_csrf_token=told(csrf)
    )


def _after_new_password(target: Target) -> Status:
    _, cookie, _ = target.login("grace", PASSWORD)
    with open_fleet(target.home) as office:
        office.users.set_password("grace", PASSWORD + "!", by="test")
    return target.person("GET", "/api/v1/devices", cookie=cookie)


def _guessed(target: Target) -> Status:
    """The right password, after so many wrong ones that the account is locked."""
    for _ in range(6):
        target.login("grace", "wrong password")
    return target.login("grace", PASSWORD + "!")[0]


def _flooded(target: Target) -> Status:
    """Each try is said to come from another address."""
    statuses = [
        target.login("nobody-here", "x", x_forwarded_for=f"{FORGED}{number}")[0]
        for number in range(20)
    ]
    return statuses[-1]


def people(method: str, path: str, body: Any = None, **more: Any) -> Callable[[Target], Status]:
    return lambda target: target.person(method, path, body, **more)


def devices(method: str, path: str, **more: Any) -> Callable[[Target], Status]:
    return lambda target: target.device(method, path, **more)


def told_to(url: str, *, token: str = "security-admin") -> Callable[[Target], Status]:
    return people("POST", NOTIFIERS, {"name": "evil", "url": url}, token=token)


NOTIFIERS = "/api/v1/notifiers"
METADATA = "latest/meta-data/iam/security-credentials/"
FORGERIES: list[tuple[str, str, Status]] = [
    ("metadata service", f"https://169.254.169.254/{METADATA}", 403),
    ("metadata service as one number", f"https://2852039166/{METADATA}", 403),
    ("metadata service in hexadecimal", f"https://0xa9fea9fe/{METADATA}", 403),
    ("metadata service behind IPv6", f"https://[::ffff:169.254.169.254]/{METADATA}", 403),
    ("metadata service behind NAT64", f"https://[64:ff9b::a9fe:a9fe]/{METADATA}", 403),
    ("metadata service over IPv6", f"https://[fd00:ec2::254]/{METADATA}", 403),
    ("this machine", "https://127.0.0.1:8700/api/v1/audit", 403),
    ("this machine by its name", "https://localhost/", 403),
    ("this machine, shortened", "https://127.1/", 403),
    ("this machine over IPv6", "https://[::1]:8700/", 403),
    ("this machine behind 6to4", "https://[2002:7f00:1::]/", 403),
    ("address of nobody", "https://0.0.0.0:22/", 403),
    ("neighbour", "https://10.0.0.1/", 403),
    ("neighbour's mail server", "smtp://192.168.1.1:25?from=a@x.org&to=b@x.org", 403),
    ("this machine's broker", "mqtts://127.0.0.1/news", 403),
    ("public address in the clear", "http://93.184.216.34/", 403),
    ("file as a destination", "file:///etc/passwd", 400),
    ("other protocol as a destination", "gopher://127.0.0.1:6379/_FLUSHALL", 400),
    ("password in a destination", "https://a:b@93.184.216.34/", 400),
    ("lines in a destination", "https://93.184.216.34/ HTTP/1.1\r\nx: y", 400),
    ("mail header in a destination",
     "smtps://93.184.216.34?from=a@x.org&to=b@x.org%0d%0aBcc:c@x.org", 400),
]  # fmt: skip
"""Where somebody who took over a security admin's token would like the fleet to connect to."""

NESTED = b'{"labels":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
START = {"release": "tiny@1"}
TELEMETRY = wire.TELEMETRY
DDI = "/default/controller/v1"
TRANSPORT = "devices/transport"
"""Where the transport refuses by itself: such refusals are counted together."""

ATTACKS: list[tuple[str, str, Callable[[Target], Status], Status]] = [
    ("no token", "GET /api/v1/devices", people("GET", "/api/v1/devices"), 401),
    ("guessed token", "GET /api/v1/releases",
     people("GET", "/api/v1/releases", token="ewu_guess"), 403),
    ("expired token", "GET /api/v1/rollouts",
     people("GET", "/api/v1/rollouts", token="expired"), 403),
    ("token of a disabled user", "GET /api/v1/audit",
     people("GET", "/api/v1/audit", token="disabled"), 403),
    ("token beyond its scope", "POST /api/v1/rollouts",
     people("POST", "/api/v1/rollouts", START, token="scoped"), 403),
    ("viewer starts a rollout", "POST /api/v1/rollouts",
     people("POST", "/api/v1/rollouts", START, token="viewer"), 403),
    ("viewer lets devices in", "POST /api/v1/enrolment-tokens",
     people("POST", "/api/v1/enrolment-tokens", {}, token="viewer"), 403),
    ("viewer revokes a device", "POST /api/v1/devices/a/revoke",
     people("POST", "/api/v1/devices/a/revoke", token="viewer"), 403),
    ("releaser reads the audit log", "GET /api/v1/audit",
     people("GET", "/api/v1/audit", token="releaser"), 403),
    ("device admin rolls out", "POST /api/v1/rollouts",
     people("POST", "/api/v1/rollouts", START, token="device-admin"), 403),
    ("one person for two", "POST /api/v1/aliases/production",
     people("POST", "/api/v1/aliases/production/approve", {"release": "tiny@1"},
            token="data-scientist"), 403),
    ("cookie from another site", "POST /api/v1/rollouts/1",
     lambda target: _cross_site(target, lambda _: ""), 403),
    ("cookie with a forged word", "POST /api/v1/rollouts/1",
     lambda target: _cross_site(target, lambda csrf: csrf[::-1]), 403),
    ("session of before a new password", "GET /api/v1/devices", _after_new_password, 401),
    ("name that was rebound", "GET /api/v1/health",
     people("GET", "/api/v1/health", token="viewer", host="evil.example"), 403),
    ("path out of the page's files", "GET /style.css/../../fleet.db",
     people("GET", "/style.css/../../fleet.db", token="viewer"), 404),
    ("encoded path out", "GET /../../fleet.db",
     people("GET", "/%2e%2e/%2e%2e/fleet.db", token="viewer"), 404),
    ("SQL in a query", "GET /api/v1/devices",
     people("GET", "/api/v1/devices?matching=a%27%20OR%201=1--", token="viewer"), 400),
    ("a page of everything", "GET /api/v1/devices",
     people("GET", "/api/v1/devices?limit=1000000", token="viewer"), 400),
    ("a field that is not asked for", "POST /api/v1/rollouts",
     people("POST", "/api/v1/rollouts", {**START, "created_by": "ada"}, token="releaser"), 400),
    ("huge body", "POST /api/v1/rollouts",
     people("POST", "/api/v1/rollouts", raw=b"[" + b"1," * 600_000 + b"1]", token="releaser"), 413),
    ("deep JSON", "POST /api/v1/devices/a/labels",
     people("POST", "/api/v1/devices/a/labels", raw=NESTED, token="device-admin"), 400),
    ("another method", "DELETE /api/v1/devices/a",
     people("DELETE", "/api/v1/devices/a", token="device-admin"), 405),
    ("guessing a password", "POST /api/v1/login", _guessed, 403),
    ("guessing without end", "POST /api/v1/login", _flooded, 429),
    ("a word beside the cookie that is no ASCII", "POST /logout",
     people("POST", "/logout", cookie="edgewright_session=ews_x", raw=b"csrf=%C3%A9"), 403),
    ("a header beside the cookie that is no ASCII", "POST /api/v1/rollouts",
     people("POST", "/api/v1/rollouts", START, cookie="edgewright_session=ews_x",
            x_csrf_token="\xe9"), 403),
    ("a label query of thousands of clauses", "GET /api/v1/devices",
     people("GET", f"/api/v1/devices?matching={'a,' * 4999}a", token="viewer"), 400),
    ("no certificate", f"GET {wire.DESIRED}", devices("GET", wire.DESIRED), 401),
    ("stolen secret instead of a certificate", f"GET {wire.DESIRED}",
     devices("GET", wire.DESIRED, authorization="Bearer ewd_stolen"), 401),
    ("revoked device", f"GET {wire.DESIRED}", devices("GET", wire.DESIRED, who="revoked"), 401),
    ("forged word of a proxy", f"GET {wire.DESIRED}",
     lambda t: t.device("GET", wire.DESIRED, client_cert=_own_certificate(t)), 401),
    ("bundle of another device", f"GET {wire.BUNDLES}/*",
     lambda t: t.device("GET", f"{wire.BUNDLES}/{t.bundle}", who="b"), 404),
    ("forged device in a report", f"POST {TELEMETRY}",
     lambda t: t.device("POST", TELEMETRY, _commit("a", 1, t.bundle), who="b"), 403),
    ("replayed report", f"POST {TELEMETRY}", _replayed, 409),
    ("replayed report by another device", f"POST {TELEMETRY}", lambda t: _replayed(t, "a"), 403),
    ("replayed report by a revoked device", f"POST {TELEMETRY}",
     lambda t: _replayed(t, "revoked"), 401),
    ("replayed report without a certificate", f"POST {TELEMETRY}", lambda t: _replayed(t, ""), 401),
    ("report under a used number", f"POST {TELEMETRY}", _rewritten, 409),
    ("word on another device's order", f"POST {DDI}/b/*", _word_of_swupdate, 409),
    ("report number out of range", f"POST {TELEMETRY}",
     devices("POST", TELEMETRY, body=_health("b", -1), who="b"), 400),
    ("zip bomb as a report", f"POST {TELEMETRY}",
     devices("POST", TELEMETRY, body=gzip.compress(b"0" * 10_000_000), who="b",
             content_encoding="gzip"), 400),
    ("deep JSON as a report", f"POST {TELEMETRY}",
     devices("POST", TELEMETRY, body=b'{"records":' + b"[" * 50_000, who="b"), 400),
    ("report that is no number", f"POST {TELEMETRY}",
     lambda t: t.device("POST", TELEMETRY, _health("b", 1).replace(b":1.0", b":1e999"), who="b"),
     400),
    ("path out of the repositories", "GET /device/v1/repositories/image",
     devices("GET", f"{wire.REPOSITORIES}/image/../../../fleet.db", who="b"), 404),
    ("path out of the bundles", "GET /device/v1/bundles/..",
     devices("GET", f"{wire.BUNDLES}/../../fleet.db", who="b"), 404),
    ("used-up token", f"POST {wire.ENROLL}",
     lambda t: t.device("POST", wire.ENROLL, _enrolment(token=t.used_token.partition(".")[0],
                                                        device="evil")), 403),
    ("name of another device", f"POST {wire.ENROLL}",
     lambda t: t.device("POST", wire.ENROLL, _enrolment(token=t.fresh_token.partition(".")[0],
                                                        device="a")), 400),
    ("name that is a path", f"POST {wire.ENROLL}",
     lambda t: t.device("POST", wire.ENROLL, _enrolment(token=t.fresh_token.partition(".")[0],
                                                        device="../../etc/passwd")), 400),
    ("certificate for no key of ours", f"POST {wire.CERTIFICATE}",
     lambda t: t.device("POST", wire.CERTIFICATE, msgspec.json.encode(wire.CertificateRequest(
         csr=DeviceCertificate(t.folder / "stranger").signing_request("a")))), 403),
    ("another device by DDI", "GET /default/controller/v1/a",
     devices("GET", "/default/controller/v1/a", who="b"), 401),
    ("wait without end", f"GET {wire.DESIRED}",
     devices("GET", f"{wire.DESIRED}?wait=nan", who="b"), 400),
    ("devices of another project", "GET /api/v1/projects/vault",
     people("GET", "/api/v1/projects/vault/devices", token="viewer"), 404),
    ("a project that is guessed", "GET /api/v1/projects/nowhere",
     people("GET", "/api/v1/projects/nowhere/devices", token="viewer"), 404),
    ("no token for another project", "GET /api/v1/projects/vault",
     people("GET", "/api/v1/projects/vault/devices"), 401),
    ("audit log of another project", "GET /api/v1/projects/vault",
     people("GET", "/api/v1/projects/vault/audit", token="qa"), 404),
    ("oneself into another project", "POST /api/v1/projects/vault",
     people("POST", "/api/v1/projects/vault/members/viewer", {"role": "security-admin"},
            token="security-admin"), 404),
    ("device of another project by name", "GET /api/v1/devices/v",
     people("GET", "/api/v1/devices/v", token="viewer"), 404),
    ("lineage of another project's device", "GET /api/v1/devices/v",
     people("GET", "/api/v1/devices/v/lineage", token="viewer"), 404),
    ("release of another project by name", "GET /api/v1/releases/secret@1",
     people("GET", "/api/v1/releases/secret@1", token="data-scientist"), 404),
    ("release of another project by hash", "GET /api/v1/releases/*",
     lambda t: t.person("GET", f"/api/v1/releases/{t.vault_bundle}", token="viewer"), 404),
    ("rollout of another project by number", "GET /api/v1/rollouts/2",
     people("GET", "/api/v1/rollouts/2", token="releaser"), 404),
    ("abort of another project's rollout", "POST /api/v1/rollouts/2",
     people("POST", "/api/v1/rollouts/2/abort", {}, token="releaser"), 404),
    ("release of another project on own devices", "POST /api/v1/rollouts",
     people("POST", "/api/v1/rollouts", {"release": "secret@1"}, token="releaser"), 404),
    ("alias to another project's release", "POST /api/v1/aliases/stolen/propose",
     people("POST", "/api/v1/aliases/stolen/propose", {"release": "secret@1"},
            token="data-scientist"), 404),
    ("revoking another project's device", "POST /api/v1/devices/v/revoke",
     people("POST", "/api/v1/devices/v/revoke", token="device-admin"), 404),
    ("bundle of another project", f"GET {wire.BUNDLES}/*",
     lambda t: t.device("GET", f"{wire.BUNDLES}/{t.vault_bundle}", who="b"), 404),
    ("patch from another project's bundle", f"GET {wire.BUNDLES}/*",
     lambda t: t.device("GET", f"{wire.BUNDLES}/{t.bundle}?base={t.vault_bundle}", who="a"), 404),
    ("name of another project's device", f"POST {wire.ENROLL}",
     lambda t: t.device("POST", wire.ENROLL, _enrolment(token=t.fresh_token.partition(".")[0],
                                                        device="v")), 400),
    ("report in another project's name", f"POST {TELEMETRY}",
     lambda t: t.device("POST", TELEMETRY, _commit("v", 1, t.vault_bundle), who="b"), 403),
    ("another project's device by DDI", "GET /default/controller/v1/v",
     devices("GET", "/default/controller/v1/v", who="b"), 401),
    ("a shell on a device", "POST /api/v1/devices/a/commands",
     people("POST", "/api/v1/devices/a/commands", {"kind": "sh -c id"}, token="device-admin"), 400),
    ("command by who may not", "POST /api/v1/devices/a/commands",
     people("POST", "/api/v1/devices/a/commands", {"kind": "probe"}, token="releaser"), 403),
    ("answer to another device's command", f"POST {COMMANDS}/1/report",
     devices("POST", f"{COMMANDS}/1/report", body=b'{"outcome":"done"}', who="b"), 404),
    ("huge report", TRANSPORT,
     lambda t: t.bytes_to_devices(b"POST " + TELEMETRY.encode() + b" HTTP/1.1\r\nhost: x\r\n"
                                  b"content-length: 999999999\r\n\r\n"), 413),
    ("huge headers", TRANSPORT,
     lambda t: t.bytes_to_devices(b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"a" * 200_000), 431),
    ("request smuggled by two lengths", TRANSPORT,
     lambda t: t.bytes_to_devices(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n"
                                  b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"), 400),
    ("zip bomb as a bundle", "POST /api/v1/releases",
     people("POST", "/api/v1/releases", raw=gzip.compress(b"0" * 10_000_000),
            token="data-scientist"), 403),
    ("bundle of no bytes", "POST /api/v1/releases",
     people("POST", "/api/v1/releases", token="data-scientist"), 400),
    ("shell in a script for SWUpdate", "POST /api/v1/releases/tiny@1/swu",
     people("POST", "/api/v1/releases/tiny@1/swu", {"places": {"program": "/bin/sh -c id;"}},
            token="releaser"), 400),
    ("path out of a device's folder in that script", "POST /api/v1/releases/tiny@1/swu",
     people("POST", "/api/v1/releases/tiny@1/swu", {"places": {"incoming": "/var/../etc"}},
            token="releaser"), 400),
    ("viewer wraps a release", "POST /api/v1/releases/tiny@1/swu",
     people("POST", "/api/v1/releases/tiny@1/swu", {}, token="viewer"), 403),
    ("wrapping another project's release", "POST /api/v1/releases/secret@1/swu",
     people("POST", "/api/v1/releases/secret@1/swu", {}, token="releaser"), 404),
    ("releaser has news sent", f"POST {NOTIFIERS}",
     told_to("https://93.184.216.34/", token="releaser"), 403),
    ("viewer reads who is told", f"GET {NOTIFIERS}",
     people("GET", NOTIFIERS, token="viewer"), 403),
    *((f"news to a {name}", f"POST {NOTIFIERS}", told_to(url), status)
      for name, url, status in FORGERIES),
]  # fmt: skip


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    made = Target(tmp_path_factory.mktemp("red-team"))
    process = made.start()
    try:
        made.enrol()
        yield made
    finally:
        process.stop()


def test_every_attack_is_refused_and_in_the_audit_log(target: Target) -> None:
    assert len({name for name, *_ in ATTACKS}) == len(ATTACKS) >= 30
    got = {name: attack(target) for name, _, attack, _ in ATTACKS}
    assert got == {name: status for name, _, _, status in ATTACKS}
    with open_fleet(target.home) as office:
        vault = office.within("vault")
        assert [one.is_revoked for one in vault.devices.find()] == [False]
        assert vault.rollouts.list()[0].status == "running"
        assert vault.users.list() == ()
    deadline_s = time.monotonic() + 60  # what the transport refuses is written every few seconds
    while _unwritten(target) and time.monotonic() < deadline_s:
        time.sleep(0.2)
    assert _unwritten(target) == []
    with open_fleet(target.home) as office:
        verify_audit(office.state)
        assert not any(FORGED in entry.who for entry in read_audit(office.state, newest=1000))


def _unwritten(target: Target) -> list[str]:
    """Attacks that the audit log does not know."""
    with open_fleet(target.home) as office:
        written = {(entry.what, entry.subject) for entry in read_audit(office.state, newest=1000)}
    return [name for name, *attack in ATTACKS if _entry(*attack) not in written]


def test_where_the_fleet_was_told_to_connect_to_is_in_the_audit_log(target: Target) -> None:
    for _, url, _ in FORGERIES:
        told_to(url)(target)
    with open_fleet(target.home) as office:
        written = {e.subject for e in read_audit(office.state, newest=1000)
                   if (e.who, e.what) == ("security-admin", "notifier refused")}  # fmt: skip
        assert office.notifiers.list() == ()
    assert len(written) == sum(status == 403 for *_, status in FORGERIES)
    assert {"169.254.169.254:443", "127.1:443", "::1:8700", "192.168.1.1:25"} <= written


def _entry(request: str, _: object, status: Status) -> tuple[str, str]:
    is_peoples = any(part in request for part in ("/api/v1", "fleet.db", "/logout"))
    door = "people" if is_peoples else "devices"
    if request == TRANSPORT:
        request = "not HTTP, or too large"
    kind = Refusal(door=door, who="", request=request, status=status).kind
    return f"request refused at the door for {door}", f"{status} {kind.request}"


def test_a_report_that_is_sent_again_changes_nothing(target: Target) -> None:
    body = _commit("b", target.next_number(), "f" * 64)
    first, again = (target.device_answer("POST", TELEMETRY, body, who="b") for _ in range(2))
    assert (first[0], again[0]) == (200, 200)
    assert json.loads(again[1]) == {"stored": 0, "known": 1}


def test_a_certificate_of_another_authority_ends_at_the_handshake(
    target: Target, tmp_path: Path
) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=a",
         "-keyout", tmp_path / "k.pem", "-out", tmp_path / "c.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = _careless()
    context.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")

    def answer() -> bytes:
        with (
            socket.create_connection(("127.0.0.1", target.devices), 20) as plain,
            context.wrap_socket(plain) as line,
        ):
            line.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            try:
                return line.recv(100)
            except (ssl.SSLError, ConnectionError):
                return b""

    assert answer() == b""


def test_the_time_of_a_login_does_not_tell_who_is_here(target: Target) -> None:
    with open_fleet(target.home) as office:
        office.users.add("here", "viewer", by="test")
        office.users.set_password("here", PASSWORD, by="test")

        def seconds(name: str) -> float:
            start_s = time.process_time()
            with pytest.raises(Exception, match="do not belong together"):
                office.users.login(name, "wrong password")
            return time.process_time() - start_s

        times = [(seconds("here"), seconds("not-here")) for _ in range(3)]
    known, unknown = (statistics.median(column) for column in zip(*times, strict=True))
    assert 0.5 < known / unknown < 2
