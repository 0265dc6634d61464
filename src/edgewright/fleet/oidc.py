"""Login at an identity provider by OpenID Connect: the authorization code flow with PKCE.

What a provider says counts after these checks only: the answer belongs to a login that this browser
began here minutes ago (`state`, used once), the ID token is signed by the provider's published keys
with an asymmetric algorithm, is for us, of that issuer, not over, and carries that login's `nonce`.
Which project and role somebody gets is decided by rules over one claim; who matches none gets in
nowhere. Such roles are set anew at every login; roles given here by hand stay.
"""

import base64
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy import delete, insert, select

from edgewright.clock import Clock
from edgewright.errors import TransportError, TrustError
from edgewright.fleet.identities import Identities, Person
from edgewright.fleet.people import BACK, LOGIN_LASTS_S, Begun, Membership, Session
from edgewright.fleet.roles import Role
from edgewright.fleet.secret import hash_of
from edgewright.fleet.state import State, schema
from edgewright.transports.http1 import Response

SKEW_S = 60
OPEN_LIMIT = 10_000
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""No shared secrets (HS256) and never "none"."""

_DISCOVERY = "/.well-known/openid-configuration"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class RoleRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who has this value in the claim is let into the project with the role."""

    value: str
    role: Role
    project: str = schema.DEFAULT_PROJECT


class OidcSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`oidc.toml`. `redirect` is our own address as browsers know it, ending in /login/oidc/back;
    it is registered with the provider. Of several rules for a project the first that fits counts.
    """

    issuer: str
    client_id: str
    redirect: str
    rules: tuple[RoleRule, ...]
    claim: str = "groups"
    name_claim: str = "preferred_username"
    scopes: tuple[str, ...] = ("openid", "profile")
    client_secret_file: str = ""

    def __post_init__(self) -> None:
        for name in ("issuer", "redirect"):
            _check_url(name, getattr(self, name))
        if urlsplit(self.redirect).path != BACK:
            raise ValueError(f"redirect {self.redirect!r}: expected an address that ends in {BACK}")
        if "openid" not in self.scopes:
            raise ValueError("scopes: 'openid' is needed")
        if not self.rules:
            raise ValueError("rules: without one nobody would get in")


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider says of itself."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class Ask(Protocol):
    """The way to the provider."""

    def __call__(
        self, method: str, url: str, *, headers: Mapping[str, str] = ..., body: bytes = b""
    ) -> Response:
        """One request.

        Raises:
            TransportError: no answer.
        """


class _Tokens(msgspec.Struct):
    id_token: str


class Oidc:
    """Logins at one provider."""

    def __init__(
        self,
        state: State,
        identities: Identities,
        settings: OidcSettings,
        *,
        secret: str,
        ask: Ask,
        clock: Clock,
    ) -> None:
        self._state = state
        self._identities = identities
        self._settings = settings
        self._secret = secret
        self._ask = ask
        self._clock = clock
        self._provider: Provider | None = None

    def begin(self) -> Begun:
        """A login that the browser is sent to the provider with.

        Raises:
            TransportError: the provider does not answer, or not as one.
        """
        provider, settings = self.provider(), self._settings
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        table, now_s = schema.oidc_logins, self._clock.wall_s()
        with self._state.write() as connection:
            connection.execute(delete(table).where(table.c.expires_at_s <= now_s))
            if len(connection.execute(select(table.c.state_hash)).all()) >= OPEN_LIMIT:
                raise TransportError("too many logins are open", hint="try again in some minutes")
            connection.execute(
                insert(table).values(
                    state_hash=hash_of(state),
                    nonce=nonce,
                    verifier=verifier,
                    expires_at_s=now_s + LOGIN_LASTS_S,
                )
            )
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
        asked = {
            "response_type": "code",
            "client_id": settings.client_id,
            "redirect_uri": settings.redirect,
            "scope": " ".join(settings.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge.rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        mark = "&" if "?" in provider.authorization_endpoint else "?"
        return Begun(url=f"{provider.authorization_endpoint}{mark}{urlencode(asked)}", state=state)

    def finish(self, *, state: str, code: str) -> Session:
        """The session of whom the provider vouches for.

        Raises:
            TrustError: the login was not begun here, or is over; what the provider sent does not
                hold; or nothing here is for this person.
            TransportError: the provider does not answer.
        """
        table, now_s = schema.oidc_logins, self._clock.wall_s()
        with self._state.write() as connection:
            mine = table.c.state_hash == hash_of(state)
            row = connection.execute(select(table).where(mine)).first()
            connection.execute(delete(table).where(mine))
        if row is None or row.expires_at_s <= now_s:
            raise TrustError("this login was not begun here, or is over", hint="log in again")
        provider = self.provider()
        claims = self._claims(provider, self._id_token(provider, code, row.verifier), row.nonce)
        person = Person(
            issuer=provider.issuer,
            subject=str(claims["sub"]),
            name=str(claims.get(self._settings.name_claim) or claims["sub"]),
        )
        return self._identities.login(person, granted(claims, self._settings))

    def provider(self) -> Provider:
        """What the provider says of itself, asked for once.

        Raises:
            TrustError: it calls itself something else, or its addresses are not safe.
            TransportError: it does not answer, or not as one.
        """
        if self._provider is None:
            issuer = self._settings.issuer
            found = self._fetched(issuer.rstrip("/") + _DISCOVERY, Provider)
            if found.issuer != issuer:
                raise TrustError(f"{issuer}: it calls itself {found.issuer[:200]!r}")
            try:
                for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                    _check_url(name, getattr(found, name))
            except ValueError as error:
                raise TrustError(f"{issuer}: {error}") from error
            self._provider = found
        return self._provider

    def _id_token(self, provider: Provider, code: str, verifier: str) -> str:
        settings = self._settings
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": settings.redirect,
            "client_id": settings.client_id,
            "code_verifier": verifier,
        }
        headers = {"content-type": "application/x-www-form-urlencoded"}
        if self._secret:
            pair = f"{settings.client_id}:{self._secret}".encode()
            headers["authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        answer = self._ask(
            "POST", provider.token_endpoint, headers=headers, body=urlencode(form).encode()
        )
        if answer.status != 200:
            raise TrustError(f"the provider refused the login ({answer.status})", hint="try again")
        tokens: _Tokens = _decoded(answer, _Tokens, provider.token_endpoint)
        return tokens.id_token

    def _claims(self, provider: Provider, id_token: str, nonce: str) -> Mapping[str, Any]:
        keys = self._fetched(provider.jwks_uri, dict[str, Any])
        registry = jwt.JWTClaimsRegistry(
            now=int(self._clock.wall_s()),
            leeway=SKEW_S,
            iss={"essential": True, "value": provider.issuer},
            sub={"essential": True},
            aud={"essential": True, "value": self._settings.client_id},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            usable: Any = {**keys, "keys": [key for key in keys.get("keys", []) if _is_for_us(key)]}
            token = jwt.decode(id_token, KeySet.import_key_set(usable), algorithms=list(ALGORITHMS))
            registry.validate(token.claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise TrustError(
                f"the provider's word does not hold: {type(error).__name__}",
                hint="compare issuer, client and clocks",
            ) from error
        claims = token.claims
        if isinstance(claims["aud"], list) and claims.get("azp") not in (
            None, self._settings.client_id,
        ):  # fmt: skip
            raise TrustError("the provider's word is for another client")
        return claims

    def _fetched(self, url: str, kind: Any) -> Any:
        answer = self._ask("GET", url)
        if answer.status != 200:
            raise TransportError(f"{url} was answered with {answer.status}", hint="check oidc.toml")
        return _decoded(answer, kind, url)


def granted(claims: Mapping[str, Any], settings: OidcSettings) -> tuple[Membership, ...]:
    """What somebody is let into, by the rules over the claim."""
    told = claims.get(settings.claim, ())
    values = {told} if isinstance(told, str) else {str(one) for one in _items(told)}
    given: dict[str, Role] = {}
    for rule in settings.rules:
        if rule.value in values:
            given.setdefault(rule.project, rule.role)
    return tuple(Membership(project=project, role=role) for project, role in given.items())


def _items(told: object) -> Sequence[object]:
    return told if isinstance(told, list | tuple) else ()


def _is_for_us(key: Mapping[str, Any]) -> bool:
    """A public key for signatures."""
    return key.get("kty") in ("RSA", "EC", "OKP") and key.get("use", "sig") == "sig"


def _decoded(answer: Response, kind: Any, where: str) -> Any:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.DecodeError as error:
        raise TransportError(f"{where}: not the expected JSON: {error}") from error


def _check_url(name: str, url: str) -> None:
    parts = urlsplit(url)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    if not is_safe or not parts.hostname or parts.fragment:
        raise ValueError(f"{name} {url[:200]!r}: expected an https:// address")
