"""Where news go, as one address that a person can write.

    https://host/path                             a webhook, signed
    slack+https://host/path                       what Slack, Mattermost and others take
    smtp://user@host:587?from=a@x.org&to=b@y.org  email, encrypted by STARTTLS
    smtps://user@host?from=a@x.org&to=b@y.org     email over TLS
    mqtts://user@host/topic                       a message below that topic

A password is never part of it. The same without TLS (`http`, `slack+http`, `mqtt`, and `smtp` to a
server without STARTTLS) is for hosts only that the operator named.

>>> parse_destination("smtps://ada@mail.example?from=fleet@x.org&to=ada@x.org,bo@x.org").recipients
('ada@x.org', 'bo@x.org')
"""

import re
from typing import Any, Literal
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import msgspec

from edgewright.errors import InputError

Kind = Literal["webhook", "slack", "email", "mqtt"]

URL_LIMIT = 2000
HINT = (
    "write it as https://host/path, slack+https://host/path, "
    "smtps://user@host?from=ADDRESS&to=ADDRESS or mqtts://user@host/topic"
)

_SCHEMES: dict[str, tuple[Kind, bool, int]] = {
    "https": ("webhook", True, 443),
    "http": ("webhook", False, 80),
    "slack+https": ("slack", True, 443),
    "slack+http": ("slack", False, 80),
    "smtps": ("email", True, 465),
    "smtp": ("email", False, 587),
    "mqtts": ("mqtt", True, 8883),
    "mqtt": ("mqtt", False, 1883),
}
_MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_TOPIC = re.compile(r"[A-Za-z0-9._/-]{1,200}")
_PATH = re.compile(r"/[!-~]*")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """A destination, understood. `path` is a webhook's path and query, or an MQTT topic."""

    kind: Kind
    host: str
    port: int
    has_tls: bool
    path: str = ""
    user: str = ""
    sender: str = ""
    recipients: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """For lists and logs: a webhook's path is often a secret, so it is left out."""
        match self.kind:
            case "email":
                return f"email to {', '.join(self.recipients)} by {self.host}:{self.port}"
            case "mqtt":
                return f"mqtt {self.host}:{self.port}/{self.path}"
            case _:
                return f"{self.kind} {self.host}:{self.port}"

    @property
    def authority(self) -> str:
        """The host as HTTP names it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        is_usual = self.port == (443 if self.has_tls else 80)
        return host if is_usual else f"{host}:{self.port}"


def parse_destination(url: str) -> Destination:
    """What an address means. The message of a refusal does not repeat it: it may hold a secret.

    Raises:
        InputError: it is none of the known kinds, or holds a password.
    """
    try:
        parts = urlsplit(url)
        port, host = parts.port, (parts.hostname or "").rstrip(".")
    except ValueError as error:
        raise InputError("the destination is not an address", hint=HINT) from error
    known = _SCHEMES.get(parts.scheme)
    if known is None or not _HOST.fullmatch(host) or len(url) > URL_LIMIT or not url.isascii():
        raise InputError("the destination is none of the known kinds", hint=HINT)
    if parts.password is not None or (parts.username and known[0] in ("webhook", "slack")):
        raise InputError(
            "a destination holds no password", hint="give it in a file, with --secret-file"
        )
    if parts.fragment:
        raise InputError("a destination has no '#'", hint=HINT)
    kind, has_tls, usual_port = known
    return Destination(
        kind=kind,
        host=host,
        port=port or usual_port,
        has_tls=has_tls,
        user=unquote(parts.username or ""),
        **_rest(kind, parts),
    )


def _rest(kind: Kind, parts: SplitResult) -> dict[str, Any]:
    if kind == "email":
        return _mail(parts)
    if kind == "mqtt":
        topic = unquote(parts.path).strip("/")
        if not _TOPIC.fullmatch(topic) or parts.query:
            raise InputError(
                "the topic is expected after the host, of letters, digits, '.', '_', '-' and '/'",
                hint=HINT,
            )
        return {"path": topic}
    path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    if not _PATH.fullmatch(path):
        raise InputError("the path holds what no path may hold", hint="percent-encode it")
    return {"path": path}


def _mail(parts: SplitResult) -> dict[str, Any]:
    try:
        asked = parse_qs(parts.query, strict_parsing=True, max_num_fields=10)
    except ValueError:
        asked = {}
    senders = asked.pop("from", [])
    recipients = tuple(each for text in asked.pop("to", []) for each in text.split(","))
    if asked or len(senders) != 1 or not recipients or parts.path.strip("/"):
        raise InputError("email needs from= once and to=, and nothing else", hint=HINT)
    for address in (*senders, *recipients):
        if not _MAIL.fullmatch(address):
            raise InputError(f"{address[:80]!r} is not an address of email", hint=HINT)
    return {"sender": senders[0], "recipients": recipients}
