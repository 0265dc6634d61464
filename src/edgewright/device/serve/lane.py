"""The quick lane: requests that differ from an earlier good one in their numbers only.

Clients of an inference server repeat themselves: the same JSON around other numbers. A `Shape`
keeps what stood before and after the numbers of a request that was read with care, the list's own
brackets included; whatever begins and ends with the same bytes is that request with other numbers
in its list. The lists of all requests of one pass are decoded together.

That is sound only if no list can swallow, split or lend to its neighbours. Each request brings one
opening bracket as its first byte and one closing as its last; a pass that holds any bracket more is
not taken. So there are as many lists in the result as requests only if every bracket was read as
one, none of them inside of text, and then each list is its own request's. It has to be flat and of
exactly as many numbers; text, booleans and null leave the lane. What leaves is read again, alone
and with care.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import orjson

from edgewright.device.serve.passes import PassQueue
from edgewright.device.serve.ports import Array, Arrays
from edgewright.device.serve.row import Row
from edgewright.device.serve.tensors import InputForm, Pack
from edgewright.transports.http1 import Exchange, Frame

_MEMBER = b'"data"'
_MAX_AROUND_BYTES = 1024


class Shape:
    """What stands around the numbers of a request: `before` and `after`, of which the brackets are
    the last and the first byte, and how many there are. The list itself is `[start:stop]`.
    """

    __slots__ = ("after", "before", "pack", "shape", "start", "stop")

    def __init__(self, before: bytes, after: bytes, shape: tuple[int, ...], pack: Pack) -> None:
        self.before = before
        self.after = after
        self.start = len(before) - 1
        self.stop = 1 - len(after)
        self.shape = shape
        self.pack = pack


def find_shape(body: bytes, form: InputForm, shape: tuple[int, ...], pack: Pack) -> Shape | None:
    """The shape of a request that was read: flat numbers, one row, no id. None where it has none
    that is beyond doubt.
    """
    at = body.find(_MEMBER)
    if at < 0 or form.is_string or form.datatype == "BOOL" or b"\\" in body:
        return None
    if body.find(_MEMBER, at + 1) >= 0 or shape[:1] != (1,):
        return None
    first, last = body.find(b"[", at), body.find(b"]", at)
    around = body[at + len(_MEMBER) : first].strip()
    if around != b":" or first < 0 or last < first:
        return None
    before, after = body[: first + 1], body[last:]
    if len(after) < 2 or len(before) + len(after) > _MAX_AROUND_BYTES:
        return None
    return Shape(before, after, shape, pack)


class Lane:
    """Requests of one shape that wait for the end of this turn, and their passes."""

    __slots__ = (
        "_add_late",
        "_check",
        "_form",
        "_frame",
        "_is_alone",
        "_max_rows",
        "_predict",
        "_queue",
        "_row",
        "_schedule",
        "_timer",
        "_wall_s",
        "arrived_s",
        "exchanges",
        "lists",
        "shape",
        "tally",
        "watch",
    )

    def __init__(
        self,
        shape: Shape,
        form: InputForm,
        *,
        frame: Frame,
        tools: "Tools",
        queue: PassQueue,
        row: Row | None = None,
    ) -> None:
        self.shape = shape
        self.exchanges: list[Exchange] = []
        self.lists: list[bytes] = []
        self.arrived_s: list[float] = []
        self.tally = queue.tally
        self.watch = queue.watch
        self._queue = queue
        self._form = form
        self._frame = frame
        self._row = row
        self._is_alone = tools.is_alone
        self._max_rows = tools.max_rows
        self._check = tools.check
        self._predict = tools.predict
        self._timer = tools.timer
        self._wall_s = tools.wall_s
        self._add_late = tools.add_late
        self._schedule = tools.schedule

    def add(self, exchange: Exchange, body: bytes) -> None:
        """Take a request whose body has the lane's shape."""
        shape = self.shape
        if not self.exchanges and self._is_alone():
            self._answer(exchange, body[shape.start : shape.stop], self._timer())
            return
        self.exchanges.append(exchange)
        self.lists.append(body[shape.start : shape.stop])
        self.arrived_s.append(self._timer())
        waiting = len(self.exchanges)
        if waiting == 1:
            self._schedule(self.run)
        elif waiting >= self._max_rows:
            self.run()

    def run(self) -> None:
        """One pass of all that wait; they are never more than one holds."""
        exchanges, lists, arrived_s = self.exchanges, self.lists, self.arrived_s
        if not exchanges:
            return
        self.exchanges, self.lists, self.arrived_s = [], [], []
        if len(exchanges) == 1:
            self._answer(exchanges[0], lists[0], arrived_s[0])
        else:
            self._pass(exchanges, lists, arrived_s)

    def _answer(self, exchange: Exchange, numbers: bytes, arrived_s: float) -> None:
        """A pass of a single request."""
        row = self._row
        if row is None or self._queue.mirror is not None:
            self._pass([exchange], [numbers], [arrived_s])
            return
        begun_s = self._timer()
        try:
            if b"u" in numbers or b"s" in numbers:  # true, null, false
                raise ValueError("not numbers only")
            row.take(orjson.loads(numbers))
            read_s = self._timer()
            row.run()
            ended_s = self._timer()
            text = row.text()
        except Exception:  # noqa: BLE001 - whatever is wrong is found and told there
            self._leave([exchange], [numbers], [arrived_s])
            return
        exchange.reply_framed(self._frame, text)
        moments_s = (begun_s, read_s, ended_s, self._timer())
        self.tally.add_pass([arrived_s], moments_s, self._wall_s())
        if self.watch.room > 0:
            self.watch.take(*row.copies())

    def _pass(self, exchanges: list[Exchange], lists: list[bytes], arrived_s: list[float]) -> None:
        begun_s = self._timer()
        try:
            array = self._array(lists)
            arrays = {self._form.name: array}
            self._check(arrays)
            read_s = self._timer()
            outputs = self._predict(arrays)
            ended_s = self._timer()
            (output,) = outputs.values()
            rows = _rows_as_text(output)
            if len(rows) != len(lists):
                raise ValueError("not one row each")
        except Exception:  # noqa: BLE001 - whatever is wrong is found and told there
            self._leave(exchanges, lists, arrived_s)
            return
        frame = self._frame
        for exchange, row in zip(exchanges, rows, strict=True):
            exchange.reply_framed(frame, row)
        moments_s = (begun_s, read_s, ended_s, self._timer())
        self.tally.add_pass(arrived_s, moments_s, self._wall_s())
        if self._queue.mirror is not None:
            self._queue.mirror(arrays, outputs, ended_s - read_s)
        if self.watch.room > 0:
            self.watch.take(arrays, outputs)

    def _array(self, lists: list[bytes]) -> Array:
        shape = self.shape
        text = b"[%b]" % lists[0] if len(lists) == 1 else b"[%b]" % b",".join(lists)
        if b"u" in text or b"s" in text:  # true, null, false
            raise ValueError("not numbers only")
        if text.count(b"[") != len(lists) + 1 or text.count(b"]") != len(lists) + 1:
            raise ValueError("not flat")
        rows = orjson.loads(text)
        if len(rows) != len(lists):
            raise ValueError("not one list each")
        pack = shape.pack
        content = pack(*rows[0]) if len(rows) == 1 else b"".join([pack(*row) for row in rows])
        dtype: Any = self._form.dtype
        return np.frombuffer(content, dtype).reshape((len(rows), *shape.shape[1:]))

    def _leave(self, exchanges: list[Exchange], lists: list[bytes], arrived_s: list[float]) -> None:
        shape = self.shape
        for exchange, text, moment_s in zip(exchanges, lists, arrived_s, strict=True):
            body = b"".join((shape.before[:-1], text, shape.after[1:]))
            self._add_late(exchange, body, moment_s)


class Tools:
    """What a lane needs of its model's queue."""

    __slots__ = (
        "add_late",
        "check",
        "is_alone",
        "max_rows",
        "predict",
        "schedule",
        "timer",
        "wall_s",
    )

    def __init__(
        self,
        *,
        max_rows: int,
        check: Callable[[Arrays], None],
        predict: Callable[[Arrays], dict[str, Array]],
        timer: Callable[[], float],
        wall_s: Callable[[], float],
        add_late: Callable[[Exchange, bytes, float], None],
        schedule: Callable[[Callable[[], None]], object],
        is_alone: Callable[[], bool],
    ) -> None:
        self.is_alone = is_alone
        self.max_rows = max_rows
        self.check = check
        self.predict = predict
        self.timer = timer
        self.wall_s = wall_s
        self.add_late = add_late
        self.schedule = schedule


def _rows_as_text(array: Array) -> list[bytes]:
    """Each row's numbers as JSON, without the brackets."""
    flat = array if array.ndim == 2 else array.reshape(len(array), -1)
    text = orjson.dumps(flat, option=orjson.OPT_SERIALIZE_NUMPY)
    return [text[2:-2]] if len(flat) == 1 else text[2:-2].split(b"],[")
