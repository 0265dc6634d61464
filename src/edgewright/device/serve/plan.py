"""How a model is run, chosen from its measured run times; pure.

A pass that takes less than `INLINE_S` runs inside the event loop: handing it to a thread would cost
more than the pass. Longer ones go to worker threads, unless a single client is connected: then a
pass of up to `LONE_S` delays nobody and is spared the way to a thread and back. Requests that wait
together are joined into one pass when that gives the same answers and saves time.
"""

import math
from collections.abc import Sequence

import msgspec

INLINE_S = 500e-6
JOINED_INLINE_S = 2e-3
JOINED_POOLED_S = 50e-3
LONE_S = 20e-3
MAX_ROWS = 256
WORTHWHILE = 0.8
"""Joining must bring a row's time below this share of a pass of its own."""


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """Run times of one request alone and of `rows` joined ones; `agrees` when the joined pass gave
    each the same answer.
    """

    single_s: float
    joined_s: float = 0.0
    rows: int = 1
    row_values: int = 0
    agrees: bool = False


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`max_rows` above 1 means that requests are joined; `row_s` is what one more row costs.
    `row_values` is how many numbers a row held that was tried, where rows may have other sizes
    (pictures, recordings); a larger one counts as so many rows as it holds numbers of.
    """

    is_inline: bool
    max_rows: int
    single_s: float
    row_s: float
    row_values: int = 0
    may_run_alone: bool = False
    """Whether a lone client's pass may run in the event loop; never where an engine may hang."""

    def runs_inline(self, rows: int) -> bool:
        """Whether a request of this many rows is quick enough for the event loop."""
        if rows == 1:
            return self.is_inline
        return self.is_inline and rows <= MAX_ROWS and self.expected_s(rows) <= JOINED_INLINE_S

    def runs_alone(self, rows: int) -> bool:
        """Whether a lone client's request of this many rows may hold the event loop up."""
        return self.may_run_alone and self.expected_s(rows) <= LONE_S

    def rows_like(self, rows: int, shapes: Sequence[Sequence[int]]) -> int:
        """How many rows of the size that was tried a request of these shapes is like.

        >>> plan = Plan(is_inline=True, max_rows=1, single_s=1e-3, row_s=1e-3, row_values=768)
        >>> plan.rows_like(1, [(1, 480, 640, 3)])
        1200
        """
        if not self.row_values:
            return rows
        return max(rows, math.ceil(sum(map(math.prod, shapes)) / self.row_values))

    def expected_s(self, rows: int) -> float:
        """How long a pass over this many rows will take."""
        return self.single_s + self.row_s * (rows - 1)


def choose_plan(measured: Measurement) -> Plan:
    """The way to run a model that was measured like this.

    >>> choose_plan(Measurement(single_s=20e-6, joined_s=40e-6, rows=8, agrees=True)).max_rows
    256
    >>> heavy = choose_plan(Measurement(single_s=4e-3, joined_s=31e-3, rows=8, agrees=True))
    >>> heavy.is_inline, heavy.max_rows
    (False, 1)
    """
    is_inline = measured.single_s <= INLINE_S
    if measured.rows < 2:
        return Plan(
            is_inline=is_inline,
            max_rows=1,
            single_s=measured.single_s,
            row_s=measured.single_s,
            row_values=measured.row_values,
            may_run_alone=True,
        )
    row_s = max(0.0, measured.joined_s - measured.single_s) / (measured.rows - 1)
    max_rows = 1
    if measured.agrees and measured.joined_s / measured.rows <= WORTHWHILE * measured.single_s:
        budget_s = JOINED_INLINE_S if is_inline else max(JOINED_POOLED_S, 2 * measured.single_s)
        room = (budget_s - measured.single_s) / row_s if row_s > 0 else float(MAX_ROWS)
        max_rows = max(1, min(MAX_ROWS, 1 + int(room)))
    return Plan(
        is_inline=is_inline,
        max_rows=max_rows,
        single_s=measured.single_s,
        row_s=row_s,
        row_values=measured.row_values,
        may_run_alone=True,
    )
