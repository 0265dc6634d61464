"""The quick lane: requests that differ from an earlier good one in their numbers only.

Clients of an inference server repeat themselves: the same JSON around other numbers. A `Shape`
keeps what stood before and after the numbers of a request that was read with care, the list's own
brackets included; whatever begins and ends with the same bytes is that request with other numbers
in its list. They are gathered (`gathering`) and answered by one pass; what is wrong with any of
them is found and told by reading each again, alone and with care.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson

from edgewright.device.serve.gathering import Batch, Gathering, Shape
from edgewright.device.serve.passes import PassQueue
from edgewright.device.serve.ports import Array, Arrays
from edgewright.device.serve.row import Row
from edgewright.device.serve.tensors import InputForm
from edgewright.transports.http1 import Exchange, Frame

_MEMBER = b'"data"'
_MAX_AROUND_BYTES = 1024


def find_shape(body: bytes, form: InputForm, shape: tuple[int, ...]) -> Shape | None:
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
    if around != b":" or first < 0 or last < first or b"[" in body[first + 1 : last]:
        return None  # nested: without its inner brackets the list would still look alike
    before, after = body[: first + 1], body[last:]
    if len(after) < 2 or len(before) + len(after) > _MAX_AROUND_BYTES:
        return None
    count = math.prod(shape)
    pack = form.packer(count)
    return Shape(before, after, shape=shape, count=count, code=form.code, pack=pack)


class Lane(Gathering):
    """Requests of one shape that wait for the end of this turn, and their passes."""

    __slots__ = (
        "_add_late",
        "_check",
        "_form",
        "_frame",
        "_predict",
        "_queue",
        "_row",
        "_timer_s",
        "_wall_s",
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
        super().__init__(shape, tools.max_rows, tools.timer, tools.is_alone, tools.schedule)
        self.tally = queue.tally
        self.watch = queue.watch
        self._queue = queue
        self._form = form
        self._frame = frame
        self._row = row
        self._check = tools.check
        self._predict = tools.predict
        self._timer_s = tools.timer
        self._wall_s = tools.wall_s
        self._add_late = tools.add_late

    def _answer(self, batch: Batch) -> None:
        row = self._row
        if batch.count > 1 or row is None or self._queue.mirror is not None:
            self._pass(batch)
            return
        timer = self._timer_s
        begun_s = timer()
        try:
            row.take(batch.content())
            read_s = timer()
            row.run()
            ended_s = timer()
            text = row.text()
        except Exception:  # noqa: BLE001 - whatever is wrong is found and told there
            self._leave(batch)
            return
        batch.reply(self._frame, text)
        self.tally.add_pass(batch.arrived_s, (begun_s, read_s, ended_s, timer()), self._wall_s())
        if self.watch.room > 0:
            self.watch.take(*row.copies())

    def _pass(self, batch: Batch) -> None:
        timer, count = self._timer_s, batch.count
        begun_s = timer()
        try:
            dtype: Any = self._form.dtype
            array = np.frombuffer(batch.content(), dtype).reshape(count, *self.shape.shape[1:])
            arrays = {self._form.name: array}
            self._check(arrays)
            read_s = timer()
            outputs = self._predict(arrays)
            ended_s = timer()
            (output,) = outputs.values()
            text = _rows_as_text(output, count)
        except Exception:  # noqa: BLE001 - whatever is wrong is found and told there
            self._leave(batch)
            return
        batch.reply(self._frame, text)
        self.tally.add_pass(batch.arrived_s, (begun_s, read_s, ended_s, timer()), self._wall_s())
        if self._queue.mirror is not None:
            self._queue.mirror(arrays, outputs, ended_s - read_s)
        if self.watch.room > 0:
            self.watch.take(arrays, outputs)

    def _leave(self, batch: Batch) -> None:
        for exchange, body, arrived_s in batch.requests():
            self._add_late(exchange, body, arrived_s)


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


def _rows_as_text(array: Array, count: int) -> bytes:
    """Each row's numbers as JSON, `],[` between rows.

    Raises:
        ValueError: not so many rows.
    """
    if len(array) != count:
        raise ValueError("not one row each")
    flat = array if array.ndim == 2 else array.reshape(count, -1)
    return orjson.dumps(flat, option=orjson.OPT_SERIALIZE_NUMPY)[2:-2]
