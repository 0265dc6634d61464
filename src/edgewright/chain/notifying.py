"""Notifiers wired: which way leads to which kind of destination."""

import asyncio
import random
import secrets
from concurrent.futures import Executor
from functools import cache

from edgewright.errors import EdgewrightError, UnavailableError
from edgewright.fleet.notify.base import Notifier
from edgewright.fleet.notify.courier import Courier, deliver
from edgewright.fleet.notify.destination import Kind
from edgewright.fleet.notify.notifiers import trial
from edgewright.fleet.notify.web import SlackNotifier, WebhookNotifier
from edgewright.fleet.office import Office


async def bring_news(office: Office, writer: Executor) -> None:
    """Deliver what happens in a fleet until cancelled."""
    rng = random.Random()  # noqa: S311 - jitter
    await Courier(office, writer, way, rng=rng, fleet_id=secrets.token_hex(4)).run()


def try_out(office: Office, name: str, *, by: str) -> str:
    """Send a notice that says nothing but that it arrived, now; returns its id.

    Raises:
        InputError: there is no such notifier, or the receiver does not take it.
        TransportError: the receiver does not answer.
        TrustError: nothing may be sent there.
        UnavailableError: this kind of destination needs an extra.
    """
    destination, secret = office.notifiers.target(name)
    at_s = office.clock.wall_s()
    notice, guard = trial(at_s), office.notifiers.guard
    try:
        asyncio.run(deliver(guard, way, destination, notice, secret=secret, at_s=at_s))
    except EdgewrightError as error:
        office.notifiers.note_test(name, error.message, by=by)
        raise
    office.notifiers.note_test(name, "arrived", by=by)
    return notice.id


@cache
def way(kind: Kind) -> Notifier:
    """How news get to that kind of destination.

    Raises:
        UnavailableError: it needs an extra that is not installed.
    """
    match kind:
        case "webhook":
            return WebhookNotifier()
        case "slack":
            return SlackNotifier()
        case "email":
            return _mail()
        case "mqtt":
            return _mqtt()


def _mail() -> Notifier:
    try:
        from edgewright.fleet.notify.mail import MailNotifier  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise _absent("email", error) from error
    return MailNotifier()


def _mqtt() -> Notifier:
    try:
        from edgewright.fleet.notify.broker import MqttNotifier  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise _absent("mqtt", error) from error
    return MqttNotifier()


def _absent(extra: str, error: ModuleNotFoundError) -> UnavailableError:
    return UnavailableError(
        f"news by {extra} need {error.name}, which is not installed",
        hint=f"pip install 'edgewright[{extra}]'",
    )
