"""Logins at a real identity provider: a process's own, that speaks OpenID Connect over HTTP and
signs its tokens.
"""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec
import pytest

pytest.importorskip("joserfc", reason="absent: joserfc (extra oidc)")
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from litestar.testing import TestClient

from edgewright.chain.fleet_oidc import ask, check, provider_login
from edgewright.clock import SystemClock
from edgewright.errors import InputError, TransportError, TrustError
from edgewright.fleet.audit import read_audit
from edgewright.fleet.identities import Identities
from edgewright.fleet.office import Office
from edgewright.fleet.oidc import Oidc, OidcSettings, RoleRule
from edgewright.fleet.people import BACK
from edgewright.fleet.people_api import build_app
from edgewright.testing.fleet import fleet_office

CLIENT, SECRET = "edgewright", "the-provider-and-this-fleet-know-it-and-nobody-else"
OURS = "http://127.0.0.1:8700"


class Provider:
    """An identity provider: who is logged in there, its keys, and what it may do wrong."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "1", "use": "sig", "alg": "RS256"})
        self.claims: dict[str, Any] = {
            "sub": "u-1",
            "preferred_username": "ada",
            "groups": ["plant"],
        }
        self.sign: Callable[[dict[str, Any]], str] = lambda claims: jwt.encode(
            {"alg": "RS256", "kid": "1"}, claims, self.key
        )
        self.wrong: dict[str, Any] = {}
        self.codes: dict[str, dict[str, str]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.tell(*provider.get(self.path))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                self.tell(*provider.token(body, self.headers.get("authorization", "")))

            def tell(self, status: int, value: object) -> None:
                content = json.dumps(value).encode()
                self.send_response(status)
                if isinstance(value, str):
                    self.send_header("location", value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def get(self, path: str) -> tuple[int, object]:
        parts = urlsplit(path)
        if parts.path == "/.well-known/openid-configuration":
            return 200, {
                "issuer": self.url, "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token", "jwks_uri": f"{self.url}/keys",
                **self.wrong,
            }  # fmt: skip
        if parts.path == "/keys":
            return 200, {"keys": [self.key.as_dict(private=False)]}
        if parts.path == "/authorize":
            asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
            code = secrets.token_urlsafe(16)
            self.codes[code] = asked
            back = urlencode({"code": code, "state": asked["state"]})
            return 302, f"{asked['redirect_uri']}?{back}"
        return 404, {}

    def token(self, body: str, authorization: str) -> tuple[int, object]:
        form = {name: values[0] for name, values in parse_qs(body).items()}
        pair = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        asked = self.codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(
            hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        ).rstrip(b"=")
        if (
            asked is None
            or authorization != f"Basic {pair}"
            or asked["code_challenge"] != challenge.decode()
            or asked["code_challenge_method"] != "S256"
            or asked["redirect_uri"] != form["redirect_uri"]
        ):
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"],
            **self.claims,
        }  # fmt: skip
        return 200, {"id_token": self.sign(claims), "access_token": "x", "token_type": "Bearer"}


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    made = Provider()
    thread = threading.Thread(target=made.server.serve_forever, name="provider", daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join(10)


@pytest.fixture
def provider(running: Provider) -> Iterator[Provider]:
    before = (dict(running.claims), running.sign, dict(running.wrong))
    yield running
    running.claims, running.sign, running.wrong = before


def settings(provider: Provider, **changes: Any) -> OidcSettings:
    fields: dict[str, Any] = {
        "issuer": provider.url, "client_id": CLIENT, "redirect": OURS + BACK,
        "rules": (
            RoleRule(value="plant", role="releaser"),
            RoleRule(value="vault", role="viewer", project="vault"),
        ),
    }  # fmt: skip
    return OidcSettings(**fields | changes)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with fleet_office(tmp_path / "home", SystemClock()) as made:
        made.projects.add("vault", by="root")
        yield made


@pytest.fixture
def oidc(office: Office, provider: Provider) -> Oidc:
    identities = Identities(office.state, office.users, clock=office.clock)
    return Oidc(
        office.state, identities, settings(provider), secret=SECRET, ask=ask, clock=office.clock
    )


def returned(provider: Provider, url: str) -> dict[str, str]:
    """What the provider's page sends the browser back with."""
    status, back = provider.get(url.removeprefix(provider.url))
    assert status == 302
    return {name: values[0] for name, values in parse_qs(urlsplit(str(back)).query).items()}


def logged_in(oidc: Oidc, provider: Provider) -> Any:
    begun = oidc.begin()
    back = returned(provider, begun.url)
    assert back["state"] == begun.state
    return oidc.finish(state=back["state"], code=back["code"])


def test_who_the_provider_vouches_for_gets_the_roles_of_its_claim(
    office: Office, oidc: Oidc, provider: Provider
) -> None:
    provider.claims["groups"] = ["plant", "vault", "nowhere"]
    session = logged_in(oidc, provider)
    assert session.user == "ada"
    given = {one.project: one.role for one in office.users.projects_of(session.session)}
    assert given == {"default": "releaser", "vault": "viewer"}
    provider.claims["groups"] = "vault"
    again = logged_in(oidc, provider)
    assert [one.project for one in office.users.projects_of(again.session)] == ["vault"]
    deeds = [(entry.what, entry.project) for entry in read_audit(office.state)]
    assert ("role by claim ended", "default") in deeds


def test_a_role_that_was_given_by_hand_stays(
    office: Office, oidc: Oidc, provider: Provider
) -> None:
    logged_in(oidc, provider)
    office.users.set_role("ada", "viewer", by="root")
    office.within("vault").users.add("ada", "qa", by="root")
    provider.claims["groups"] = ["plant", "vault"]
    session = logged_in(oidc, provider)
    given = {one.project: one.role for one in office.users.projects_of(session.session)}
    assert given == {"default": "viewer", "vault": "qa"}


def test_who_has_no_role_takes_no_name(office: Office, oidc: Oidc, provider: Provider) -> None:
    provider.claims |= {"preferred_username": "bob", "groups": ["others"]}
    with pytest.raises(TrustError):
        logged_in(oidc, provider)
    office.users.add("bob", "releaser", by="root")
    with pytest.raises(TrustError):
        logged_in(oidc, provider)


@pytest.mark.parametrize("how", ["no rule", "disabled", "name taken", "no name"])
def test_who_is_nobody_here_gets_no_session(
    office: Office, oidc: Oidc, provider: Provider, how: str
) -> None:
    if how == "no rule":
        provider.claims["groups"] = ["others"]
    elif how == "disabled":
        logged_in(oidc, provider)
        office.users.set_disabled("ada", is_disabled=True, by="root")
    elif how == "name taken":
        office.users.add("ada", "security-admin", by="root")
    else:
        provider.claims["preferred_username"] = "///"
    with pytest.raises(TrustError, match="nothing in this fleet is for you"):
        logged_in(oidc, provider)
    assert read_audit(office.state)[0].what == "login refused"
    if how == "name taken":
        assert [user.role for user in office.users.list()] == ["security-admin"]


FOREIGN = ECKey.generate_key("P-256", {"kid": "1"})


def unsigned(claims: dict[str, Any]) -> str:
    parts = ({"alg": "none"}, claims)
    raw = (base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts)
    return ".".join((*raw, ""))


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "of-another-login"},
        {"aud": "another-client"},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"iss": "https://evil.example"},
        {"exp": 1},
        {"iat": 4_000_000_000},
        {"sub": None},
    ],
    ids="-".join,
)
def test_a_token_that_says_something_else_is_refused(
    oidc: Oidc, provider: Provider, claims: dict[str, Any]
) -> None:
    provider.claims |= claims
    with pytest.raises(TrustError, match="the provider's word"):
        logged_in(oidc, provider)


@pytest.mark.parametrize(
    "sign",
    [
        lambda claims: jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET)),
        lambda claims: jwt.encode({"alg": "ES256", "kid": "1"}, claims, FOREIGN),
        unsigned,
        lambda _: "not.a.token",
    ],
    ids=["shared secret", "foreign key", "none", "garbage"],
)
def test_a_token_that_the_providers_keys_did_not_sign_is_refused(
    oidc: Oidc, provider: Provider, sign: Callable[[dict[str, Any]], str]
) -> None:
    provider.sign = sign
    with pytest.raises(TrustError, match="the provider's word does not hold"):
        logged_in(oidc, provider)


def test_a_login_is_finished_once_and_by_who_began_it(oidc: Oidc, provider: Provider) -> None:
    first, second = oidc.begin(), oidc.begin()
    back = returned(provider, first.url)
    with pytest.raises(TrustError, match="not begun here"):
        oidc.finish(state="guessed", code=back["code"])
    with pytest.raises(TrustError, match="refused the login"):
        oidc.finish(state=second.state, code=back["code"])
    third = oidc.begin()
    back = returned(provider, third.url)
    oidc.finish(state=third.state, code=back["code"])
    with pytest.raises(TrustError, match="not begun here"):
        oidc.finish(state=third.state, code=back["code"])


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"issuer": "https://evil.example"}, TrustError),
        ({"token_endpoint": "http://evil.example/token"}, TrustError),
        ({"jwks_uri": 7}, TransportError),
    ],
)
def test_a_provider_that_is_another_one_is_refused(
    oidc: Oidc, provider: Provider, wrong: dict[str, Any], kind: type[Exception]
) -> None:
    provider.wrong = wrong
    with pytest.raises(kind):
        oidc.begin()


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "http://provider.example"},
        {"redirect": "https://fleet.example/elsewhere"},
        {"rules": ()},
        {"scopes": ("profile",)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_settings_that_cannot_be_are_refused(provider: Provider, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected|needed|nobody"):
        settings(provider, **changes)


def test_the_file_is_read_and_its_projects_must_be_there(
    office: Office, provider: Provider, tmp_path: Path
) -> None:
    text = f"""
issuer = "{provider.url}"
client_id = "{CLIENT}"
client_secret_file = "oidc.secret"
redirect = "{OURS}{BACK}"
[[rules]]
value = "plant"
role = "releaser"
"""
    (tmp_path / "oidc.toml").write_text(text)
    (tmp_path / "oidc.secret").write_text(SECRET + "\n")
    assert check(tmp_path, office).issuer == provider.url
    assert logged_in(provider_login(tmp_path, office), provider).user == "ada"
    (tmp_path / "oidc.toml").write_text(text + 'project = "nowhere"\n')
    with pytest.raises(InputError, match="no project 'nowhere'"):
        provider_login(tmp_path, office)


def test_a_browser_goes_there_and_comes_back(
    office: Office, oidc: Oidc, provider: Provider
) -> None:
    office = msgspec.structs.replace(office, oidc=oidc)
    with TestClient(build_app(office), base_url=OURS) as client:
        client.follow_redirects = False
        assert "/login/oidc" in client.get("/login").text
        led = client.get("/login/oidc")
        assert led.status_code == 303
        assert "samesite=lax" in led.headers["set-cookie"].lower()
        back = returned(provider, led.headers["location"])
        forged = {**back, "state": "x" * 43}
        assert client.get(BACK, params=forged).status_code == 403
        done = client.get(BACK, params=back)
        assert (done.status_code, "as ada" in done.text) == (200, True)
        assert "<script" not in done.text
        assert "ada, releaser" in client.get("/").text
        assert client.get(BACK, params=back).status_code == 403
    with TestClient(build_app(office), base_url=OURS) as stranger:
        led = oidc.begin()
        back = returned(provider, led.url)
        assert stranger.get(BACK, params=back).status_code == 403


def test_without_a_provider_there_is_no_such_way(office: Office) -> None:
    with TestClient(build_app(office), base_url=OURS) as client:
        assert client.get("/login/oidc").status_code == 404
        assert client.get(BACK).status_code == 404
        assert "/login/oidc" not in client.get("/login").text
