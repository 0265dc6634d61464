"""Login at an identity provider, as `HOME/oidc.toml` says; this file needs the extra `oidc`."""

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from edgewright import _fs
from edgewright.chain.fleet_server import OIDC_FILE
from edgewright.contract import decode_toml
from edgewright.fleet.identities import Identities
from edgewright.fleet.office import Office
from edgewright.fleet.oidc import Oidc, OidcSettings, Provider
from edgewright.transports.http1 import Client, Limits, Response

TIMEOUT_S = 10.0
ANSWER_LIMIT_BYTES = 1 << 20

_FILE_LIMIT_BYTES = 64 << 10
_NO_HEADERS: Mapping[str, str] = {}


def read_settings(home: Path) -> OidcSettings:
    """What `oidc.toml` says.

    Raises:
        InputError: there is none, or it makes no sense.
    """
    path = home / OIDC_FILE
    content = _fs.read_limited(path, limit_bytes=_FILE_LIMIT_BYTES)
    return decode_toml(content, OidcSettings, source=str(path))


def provider_login(home: Path, office: Office) -> Oidc:
    """Logins at the provider of a fleet.

    Raises:
        InputError: `oidc.toml` makes no sense, or a project that it names is not there.
    """
    settings = read_settings(home)
    for rule in settings.rules:
        office.projects.require(rule.project)
    secret = ""
    if settings.client_secret_file:
        path = home / settings.client_secret_file
        secret = _fs.read_limited(path, limit_bytes=_FILE_LIMIT_BYTES).decode().strip()
    identities = Identities(office.state, office.users, clock=office.clock)
    return Oidc(office.state, identities, settings, secret=secret, ask=ask, clock=office.clock)


def check(home: Path, office: Office) -> Provider:
    """What the provider says of itself.

    Raises:
        EdgewrightError: `oidc.toml` makes no sense, or the provider does not answer as one.
    """
    return provider_login(home, office).provider()


def ask(
    method: str, url: str, *, headers: Mapping[str, str] = _NO_HEADERS, body: bytes = b""
) -> Response:
    """One request to the provider; redirects are not followed.

    Raises:
        TransportError: no answer, not in time, or too long a one.
    """
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    tls = ssl.create_default_context() if parts.scheme == "https" else None

    async def asked() -> Response:
        limits = Limits(body_bytes=ANSWER_LIMIT_BYTES)
        base = f"{parts.scheme}://{parts.netloc}"
        async with Client(base, timeout_s=TIMEOUT_S, limits=limits, tls=tls) as client:
            return await client.request(method, path, headers=dict(headers), body=body)

    return asyncio.run(asked())
