"""What of the trusted metadata ends, and when, for people: an update needs all of it fresh.

A device fetches metadata with an update only, so that a timestamp which it saw last month has long
expired says nothing: the next update brings a new one. The same holds for what the director signs
for each order. That the image repository's *root* or *targets*, which keepers sign by hand, or the
director's root end does say something: nobody has renewed them, as far as this device knows.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from edgewright.clock import iso
from edgewright.device.agent.ports import Repository, Trust
from edgewright.device.agent.two_repositories import TwoRepositories
from edgewright.errors import EdgewrightError
from edgewright.trust.role_state import warning

RENEWED_BY_HAND = {("image", "root"), ("image", "targets"), ("director", "root")}
DAY_S = 86_400.0


class Expiry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a role of a repository expires, "" where it cannot be read; `warning` says so where
    somebody should act.
    """

    repository: Repository
    role: str
    expires: str
    warning: str = ""


def read_expiries(trust: Trust, *, wall_s: float) -> tuple[Expiry, ...]:
    """All roles that this device knows; none where keys are pinned."""
    if not isinstance(trust, TwoRepositories):
        return ()
    now = datetime.fromtimestamp(wall_s, UTC)
    return tuple(e for name in trust.planted for e in _of_repository(trust, name, now))


def warnings_of(expiries: tuple[Expiry, ...]) -> Iterator[str]:
    """What to tell a person, one line each.

    >>> at = "2030-02-01T00:00:00Z"
    >>> ending = Expiry(repository="image", role="targets", expires=at, warning="ends soon")
    >>> list(warnings_of((ending,)))
    ["image repository's targets: ends soon"]
    """
    for expiry in expiries:
        if expiry.warning:
            who = "director" if expiry.repository == "director" else "image repository"
            yield f"{who}'s {expiry.role}: {expiry.warning}"


def _of_repository(trust: TwoRepositories, name: Repository, now: datetime) -> Iterator[Expiry]:
    try:
        found = trust.expiries(name)
    except EdgewrightError as error:
        warning = f"cannot be read, so that no update is taken: {error.message}"
        yield Expiry(repository=name, role="root", expires="", warning=warning)
        return
    for role, at in found.items():
        yield _expiry(name, role, at, now)


def _expiry(repository: Repository, role: str, at: datetime, now: datetime) -> Expiry:
    is_renewed_by_hand = (repository, role) in RENEWED_BY_HAND
    text = _warning(at, now, role=role) if is_renewed_by_hand else ""
    return Expiry(repository=repository, role=role, expires=iso(at.timestamp()), warning=text)


def _warning(at: datetime, now: datetime, *, role: str) -> str:
    if now + warning(role) < at:
        return ""
    days = (at - now).total_seconds() / DAY_S
    when = f"expires in {days:.0f} days" if days > 0 else f"expired {-days:.0f} days ago"
    return f"{when}, as this device last saw it; no update is taken then (edgewright trust renew)"
