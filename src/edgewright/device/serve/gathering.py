"""Requests that differ in their numbers only, gathered for one pass: in Python, and the reference
for the same in C (`native/`), which takes its place where that is installed.

The lists of all requests of one pass are decoded together. That is sound only if no list can
swallow, split or lend to its neighbours. Each request brings one opening bracket as its first byte
and one closing as its last; a pass that holds any bracket more is not taken. So there are as many
lists in the result as requests only if every bracket was read as one, none of them inside of text,
and then each list is its own request's. It has to be flat and of exactly as many numbers; text,
booleans and null leave the lane. What leaves is read again, alone and with care.

The part in C reads each list by itself as it comes, and takes none that is not flat numbers.
"""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import orjson

from edgewright import _native
from edgewright.device.serve.ports import Timer
from edgewright.device.serve.tensors import Pack
from edgewright.transports.http1 import Exchange, Frame, Take


class Shape:
    """What stands around the numbers of a request: `before` and `after`, of which the brackets are
    the last and the first byte; how many numbers there are, how they are packed and by which code
    of `struct`.
    """

    __slots__ = ("after", "before", "code", "count", "pack", "shape")

    def __init__(
        self,
        before: bytes,
        after: bytes,
        *,
        shape: tuple[int, ...],
        count: int,
        code: str,
        pack: Pack,
    ) -> None:
        self.before = before
        self.after = after
        self.shape = shape
        self.count = count
        self.code = code
        self.pack = pack


class Batch(Protocol):
    """Requests that are answered by one pass."""

    count: int
    arrived_s: list[float]

    def content(self) -> bytes:
        """The numbers of all rows as the model reads them.

        Raises:
            Exception: not all are lists of as many numbers, and nothing but that.
        """

    def reply(self, frame: Frame, rows: bytes) -> None:
        """Answer each with its row: numbers as JSON, `],[` between rows.

        Raises:
            ValueError: they are not as many; nobody was answered.
        """

    def requests(self) -> Iterable[tuple[Exchange, bytes, float]]:
        """Each request as it came."""


class _One:
    """A batch of a single request: nobody else's list can be in the way of its own."""

    __slots__ = ("_exchange", "_list", "_shape", "arrived_s", "count")

    def __init__(self, shape: Shape, exchange: Exchange, text: bytes, arrived_s: float) -> None:
        self.count = 1
        self.arrived_s = [arrived_s]
        self._shape = shape
        self._exchange = exchange
        self._list = text

    def content(self) -> bytes:
        text = self._list
        if b"u" in text or b"s" in text:  # true, null, false
            raise ValueError("not numbers only")
        return self._shape.pack(*orjson.loads(text))

    def reply(self, frame: Frame, rows: bytes) -> None:
        self._exchange.reply_framed(frame, rows)

    def requests(self) -> Iterable[tuple[Exchange, bytes, float]]:
        yield self._exchange, _body(self._shape, self._list), self.arrived_s[0]


class _Many:
    """A batch of several."""

    __slots__ = ("_exchanges", "_lists", "_shape", "arrived_s", "count")

    def __init__(
        self, shape: Shape, exchanges: list[Exchange], lists: list[bytes], arrived_s: list[float]
    ) -> None:
        self.count = len(exchanges)
        self.arrived_s = arrived_s
        self._shape = shape
        self._exchanges = exchanges
        self._lists = lists

    def content(self) -> bytes:
        lists, pack = self._lists, self._shape.pack
        text = b"[%b]" % b",".join(lists)
        if b"u" in text or b"s" in text:  # true, null, false
            raise ValueError("not numbers only")
        if text.count(b"[") != len(lists) + 1 or text.count(b"]") != len(lists) + 1:
            raise ValueError("not flat")
        rows = orjson.loads(text)
        if len(rows) != len(lists):
            raise ValueError("not one list each")
        return b"".join([pack(*row) for row in rows])

    def reply(self, frame: Frame, rows: bytes) -> None:
        for exchange, text in zip(self._exchanges, rows.split(b"],["), strict=True):
            exchange.reply_framed(frame, text)

    def requests(self) -> Iterable[tuple[Exchange, bytes, float]]:
        for exchange, text, moment_s in zip(
            self._exchanges, self._lists, self.arrived_s, strict=True
        ):
            yield exchange, _body(self._shape, text), moment_s


def _body(shape: Shape, text: bytes) -> bytes:
    return b"".join((shape.before[:-1], text, shape.after[1:]))


class Gathering:
    """Requests of one shape that wait for the end of this turn, `most` of them at most. When nobody
    can join the first one it is answered at once.
    """

    __slots__ = (
        "_arrived_s",
        "_exchanges",
        "_is_alone",
        "_lists",
        "_most",
        "_schedule",
        "_start",
        "_stop",
        "_timer",
        "shape",
    )

    def __init__(
        self,
        shape: Shape,
        most: int,
        timer: Timer,
        is_alone: Callable[[], bool],
        schedule: Callable[[Callable[[], None]], object],
    ) -> None:
        self.shape = shape
        self._start = len(shape.before) - 1
        self._stop = 1 - len(shape.after)
        self._most = most
        self._timer = timer
        self._is_alone = is_alone
        self._schedule = schedule
        self._exchanges: list[Exchange] = []
        self._lists: list[bytes] = []
        self._arrived_s: list[float] = []

    def __len__(self) -> int:
        return len(self._exchanges)

    def take(self, exchange: Exchange, body: bytes) -> bool:
        """Take a request, if it looks like one of this shape."""
        shape = self.shape
        if not (body.startswith(shape.before) and body.endswith(shape.after)):
            return False
        text = body[self._start : self._stop]
        if not self._exchanges and self._is_alone():
            self._answer(_One(shape, exchange, text, self._timer()))
            return True
        self._exchanges.append(exchange)
        self._lists.append(text)
        self._arrived_s.append(self._timer())
        waiting = len(self._exchanges)
        if waiting >= self._most:
            self.run()
        elif waiting == 1:
            self._schedule(self.run)
        return True

    def run(self) -> None:
        """Let all that wait be answered; those who come later wait for the next pass."""
        exchanges, lists, arrived_s = self._exchanges, self._lists, self._arrived_s
        if not exchanges:
            return
        self._exchanges, self._lists, self._arrived_s = [], [], []
        if len(exchanges) == 1:
            self._answer(_One(self.shape, exchanges[0], lists[0], arrived_s[0]))
        else:
            self._answer(_Many(self.shape, exchanges, lists, arrived_s))

    def _answer(self, batch: Batch) -> None:
        """Answer these."""
        raise NotImplementedError


class Gatherings(Protocol):
    """A model that may have some."""

    lanes: Any
    """List of `Gathering`."""


class Holder(Protocol):
    """Where the model of a name is found, if there is one."""

    @property
    def model(self) -> Gatherings | None: ...


class Door:
    """Who takes requests of a head that is known: a lane of the model, or whoever reads with
    care.
    """

    __slots__ = ("_care", "_fail", "_holder")

    def __init__(
        self, holder: Holder, care: Take, fail: Callable[[Exchange, Exception], None]
    ) -> None:
        self._holder = holder
        self._care = care
        self._fail = fail

    def __call__(self, exchange: Exchange, body: bytes) -> None:
        model = self._holder.model
        try:
            if model is not None:
                for lane in model.lanes:
                    if lane.take(exchange, body):
                        return
            self._care(exchange, body)
        except Exception as error:  # noqa: BLE001 - the top of a task: it must not end the server
            self._fail(exchange, error)


if _native.part is not None:
    Gathering = _native.part.Gathering  # type: ignore[misc]  # the same class in C
    Door = _native.part.Door  # type: ignore[misc]  # likewise
