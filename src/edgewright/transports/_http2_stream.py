"""One request of a peer that speaks HTTP/2, and its answer."""

from typing import Protocol

from edgewright.transports._http1_text import status_and_headers
from edgewright.transports.base import Frame, Head, Response

_NEVER = float("inf")


class Connection(Protocol):
    """What a stream needs of the connection that carries it."""

    peer: str

    def answer(self, stream: "Stream", preamble: bytes, body: bytes) -> None:
        """Begin a stream's answer."""


class Stream:
    """One request of a peer and its answer: an `Exchange`."""

    __slots__ = (
        "_connection",
        "answer",
        "body",
        "deadline_s",
        "head",
        "is_asked",
        "is_closed",
        "number",
        "renewed_at",
        "sent",
    )

    def __init__(self, connection: Connection, number: int, head: Head) -> None:
        self._connection = connection
        self.number = number
        self.head = head
        self.body = bytearray()
        self.answer = b""
        self.sent = 0
        self.renewed_at = 0
        """How much had been sent when the peer was given more time."""
        self.is_asked = False
        """Whether the request is with the application."""
        self.is_closed = False
        self.deadline_s = _NEVER

    @property
    def peer(self) -> str:
        return self._connection.peer

    def reply(self, preamble: bytes, body: bytes) -> None:
        self._connection.answer(self, preamble, body)

    def reply_framed(self, frame: Frame, content: bytes) -> None:
        self._connection.answer(self, frame.preamble, frame.body(content))

    def respond(self, response: Response) -> None:
        headers = status_and_headers(response.status, response.headers)
        self._connection.answer(self, headers, response.body)


NO_HEAD = Head(
    method="GET",
    version="2",
    target="",
    path="",
    query={},
    headers={},
    content_length=0,
    is_chunked=False,
    keeps_alive=True,
    expects_continue=False,
)
"""Of a request whose own head could not be read."""
