"""Webhooks and Slack: one POST, to the address that was looked at, no redirect followed."""

import ssl
from typing import Any

import msgspec

from edgewright.errors import InputError, TransportError
from edgewright.fleet.notify.base import Parcel
from edgewright.fleet.notify.signing import signed_headers
from edgewright.transports.http1 import Client, Limits

TIMEOUT_S = 10.0

_LIMITS = Limits(header_bytes=16 << 10, body_bytes=64 << 10)
_NEVER = frozenset({400, 413, 415, 422})
_encoder = msgspec.json.Encoder()


class NamedContext(ssl.SSLContext):
    """A TLS client's context that asks for the certificate of `name`, to whatever address the
    connection goes.
    """

    name = ""

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        return super().wrap_bio(*args, **(options | {"server_hostname": self.name}))

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        return super().wrap_socket(*args, **(options | {"server_hostname": self.name}))


def context_for(name: str) -> NamedContext:
    """A context that trusts what this machine trusts."""
    context = NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.name = name
    context.load_default_certs()
    return context


class WebhookNotifier:
    """The notice as JSON, signed."""

    async def deliver(self, parcel: Parcel, *, at_s: float) -> None:
        body = _encoder.encode(parcel.notice)
        signature = signed_headers(parcel.secret, parcel.notice.id, body, at_s=at_s)
        await _post(parcel, body, signature)


class SlackNotifier:
    """The notice in one line, as Slack's incoming webhooks take it; so do Mattermost and others.

    They know no ids: a line that got there although its answer was lost comes twice.
    """

    async def deliver(self, parcel: Parcel, *, at_s: float) -> None:
        text = parcel.notice.line
        for sign, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(sign, written)
        await _post(parcel, _encoder.encode({"text": text}), {})


async def _post(parcel: Parcel, body: bytes, headers: dict[str, str]) -> None:
    destination, address = parcel.destination, parcel.address
    host = f"[{address}]" if ":" in address else address
    scheme, tls = "http", None
    if destination.has_tls:
        scheme, tls = "https", context_for(destination.host)
    told = {
        "host": destination.authority,
        "content-type": "application/json",
        "user-agent": "edgewright-fleet",
        **headers,
    }
    base = f"{scheme}://{host}:{destination.port}"
    where = f"{destination.host}:{destination.port}"
    try:
        async with Client(base, timeout_s=TIMEOUT_S, limits=_LIMITS, tls=tls) as client:
            answer = await client.request("POST", destination.path, headers=told, body=body)
    except TransportError as error:
        # Its words name the path, which is a secret of many webhooks; so does its cause.
        why = error.message
        if len(destination.path) > 1:
            why = why.replace(destination.path, "/...")
        raise TransportError(f"{where}: {why}", hint="tried again later") from None
    if 300 <= answer.status < 400:
        raise TransportError(
            f"{where} answered {answer.status}: it points elsewhere, which is not followed",
            hint="name the address that it points to",
        )
    if answer.status in _NEVER:
        raise InputError(f"{where} answered {answer.status}: it does not take this message")
    if not 200 <= answer.status < 300:
        raise TransportError(f"{where} answered {answer.status}", hint="tried again later")
