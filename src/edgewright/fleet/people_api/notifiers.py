"""Routes about who is told of what. A notifier's secret is told once and its address never again:
often the address is a secret too.
"""

from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.params import FromPath, JSONBody

from edgewright.fleet.notify.notifiers import (
    Delivery,
    NewNotifier,
    NotifierFacts,
    NotifierOrder,
)
from edgewright.fleet.people import User
from edgewright.fleet.people_api.access import TheOffice

_NOTIFY = {"permission": "notify"}

_Asked = Request[User, Any, Any]


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """Who is told no more."""

    notifier: str


@get("/notifiers", opt=_NOTIFY, sync_to_thread=True)
def notifiers(office: TheOffice) -> tuple[NotifierFacts, ...]:
    """Who is told of what, and whether it works."""
    return office.notifiers.list()


@get("/notifiers/{name:str}/deliveries", opt=_NOTIFY, sync_to_thread=True)
def deliveries(office: TheOffice, name: FromPath[str]) -> tuple[Delivery, ...]:
    """What was sent or waits, newest first."""
    return office.notifiers.deliveries(name)


@post("/notifiers", opt=_NOTIFY, sync_to_thread=True)
def add_notifier(office: TheOffice, request: _Asked, data: JSONBody[NotifierOrder]) -> NewNotifier:
    """Tell somebody from now on; only public addresses, and hosts that the operator named."""
    return office.notifiers.add(data, by=request.user.name)


@post("/notifiers/{name:str}/test", opt=_NOTIFY, sync_to_thread=True, status_code=200)
def try_notifier(office: TheOffice, request: _Asked, name: FromPath[str]) -> Delivery:
    """Send a notice that says nothing but that it arrived; see its deliveries."""
    return office.notifiers.send_test(name, by=request.user.name)


@post("/notifiers/{name:str}/remove", opt=_NOTIFY, sync_to_thread=True, status_code=200)
def remove_notifier(office: TheOffice, request: _Asked, name: FromPath[str]) -> Removed:
    """Tell somebody no more; what waits for them goes."""
    office.notifiers.remove(name, by=request.user.name)
    return Removed(notifier=name)


NOTIFIERS = (notifiers, deliveries, add_notifier, try_notifier, remove_notifier)
