"""What a connection and its server need of each other, whatever protocol the peer speaks."""

from typing import Protocol

from edgewright import _native
from edgewright.transports._held import HeldBodies
from edgewright.transports.base import Application, Head, Limits, Take


class Peer(Protocol):
    """What the server needs of a connection, whatever protocol it speaks."""

    served: int
    deadline_s: float

    @property
    def head(self) -> Head | None:
        """The request that is with the application."""

    @property
    def waits_since_s(self) -> float:
        """Since when the server waits for more of it; means something where no request is with the
        application.
        """

    def abort(self) -> None:
        """Cut the peer off."""

    def close_if_idle(self, now_s: float) -> None:
        """Close, unless a request is on its way or likely to be."""

    def expire(self, now_s: float) -> None:
        """Act on a deadline that has passed."""


class House(Protocol):
    """What a connection needs of the server it belongs to."""

    application: Application
    limits: Limits
    heads: dict[bytes, "Known"]
    held: HeldBodies
    is_closing: bool
    now_s: float
    idle_deadline_s: float
    date: bytes

    def admit(self, connection: "Peer") -> bool:
        """Take a new peer, or not."""

    def forget(self, connection: "Peer") -> None:
        """A peer has left."""

    def keep_head(self, raw: bytes, head: Head) -> None:
        """Remember what these bytes mean."""

    def count_refusal(self, status: int) -> None:
        """A request was answered by the transport itself."""


class Known:
    """A head that was parsed before, and who takes its requests."""

    __slots__ = ("head", "raw", "raw_bytes", "take", "total_bytes")

    def __init__(self, raw: bytes, head: Head, take: Take | None) -> None:
        self.raw = raw
        self.head = head
        self.take = take
        self.raw_bytes = len(raw)
        self.total_bytes = len(raw) + head.content_length


if _native.part is not None:
    Known = _native.part.Known  # type: ignore[misc]  # the same class in C
