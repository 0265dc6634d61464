"""The port: something that brings one notice to one destination."""

from typing import Literal, Protocol, get_args

import msgspec

from edgewright.fleet.notify.destination import Destination

Topic = Literal["rollout", "alert", "audit", "refused", "test"]
TOPICS: tuple[Topic, ...] = get_args(Topic)


class Notice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened. Its id is the same however often it is sent.

    >>> notice = Notice(id="f1-history-7", topic="rollout", at="2026-01-31T06:10:00Z",
    ...                 subject="rollout 3 of tiny", text="aborted: 2 of 20 failed")
    >>> notice.line
    '[rollout] rollout 3 of tiny: aborted: 2 of 20 failed'
    """

    id: str
    topic: Topic
    at: str
    subject: str
    text: str
    project: str = ""
    who: str = ""
    devices: tuple[str, ...] = ()
    schema_version: int = 1

    @property
    def line(self) -> str:
        """In one line, for people."""
        by = f" ({self.who})" if self.who else ""
        said = f": {self.text}" if self.text else ""
        return " ".join(f"[{self.topic}] {self.subject}{said}{by}".split())


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent where; `address` is the one that was looked at and found harmless.

    `may_be_plain`: the operator named the host, so that a password or a message may go there
    without TLS where the server has none.
    """

    notice: Notice
    destination: Destination
    address: str
    secret: str = ""
    may_be_plain: bool = False

    def __repr__(self) -> str:
        return f"Parcel({self.notice.id!r}, {self.destination.host!r})"


class Notifier(Protocol):
    """One way to bring news. It connects to the parcel's address and to no other."""

    async def deliver(self, parcel: Parcel, *, at_s: float) -> None:
        """Bring it; back when the receiver has it.

        Raises:
            TransportError: not now; the same again later is right.
            InputError: the receiver will never take this one.
        """
