"""The port: messages of a sensor, as they arrive."""

from collections.abc import AsyncGenerator
from typing import Protocol

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What came, under which name; its payload is as for `sources.lines`. `taken_s` is when, by the
    clock of who took it where that is not who records.
    """

    topic: str
    payload: str | dict[str, float | str]
    taken_s: float | None = None


class CaptureSource(Protocol):
    """Something that sends samples."""

    def messages(self) -> AsyncGenerator[Message, None]:
        """Messages as they arrive; the end of the iterator is the end of the source.

        Raises:
            UnavailableError: a package or a device is absent.
            TransportError: the other side is gone.
        """
