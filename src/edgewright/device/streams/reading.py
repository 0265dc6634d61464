"""What a live source sends, to samples in the model's channels and units. Pure.

A channel is found by its name in the message, or by the name that `columns` gives it; its unit is
the contract's unless `units` says otherwise. The clock is a column of the message, or its arrival.

    >>> reader = reader_of(Reading(columns={"acc": "a"}, units={"acc": "m/s2"}), {"acc": "g"})
    >>> samples = reader.read('{"a": 9.80665}', arrived_s=5.0)
    >>> samples.time_s.tolist(), samples.values.round(6).tolist()
    ([5.0], [[1.0]])
"""

import contextlib
import itertools
import math
from collections.abc import Mapping

import msgspec
import numpy as np

from edgewright.contract.decoding import suggestion
from edgewright.device.streams.base import Array, Samples
from edgewright.errors import InputError
from edgewright.steps.units import canonical
from edgewright.wire.samples import Row, samples_of

TIME_UNITS_S = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_MOST_ROWS = 10_000
_LATE = 0.5
"""Of a message's own length: what is jitter of the line. What is later has a hole before it."""
_EARLY_S = 1.0
"""For so long, or for its own length, a line may hold a message back and give it with the next."""
_TRUST = 0.05
"""Share of the jitter that is believed, so that a sensor's clock may run a little off."""


class Reading(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How messages are read. `rate_hz` spaces samples that come many in a message without times:
    the last one was taken when the message came, or the first one followed the message before,
    where the line alone can have made the difference.
    """

    columns: dict[str, str] = {}
    units: dict[str, str] = {}
    time: str = ""
    time_unit: str = "s"
    rate_hz: float | None = None

    def __post_init__(self) -> None:
        check_time_unit(self.time_unit)
        if self.rate_hz is not None and not 0 < self.rate_hz < math.inf:
            raise ValueError(f"rate_hz is {self.rate_hz:g}, expected above 0")


def check_time_unit(unit: str) -> None:
    """Whether times can be counted in it.

    Raises:
        ValueError: they cannot.
    """
    if unit not in TIME_UNITS_S:
        raise ValueError(f"time_unit is {unit!r}, expected one of {list(TIME_UNITS_S)}")


class SampleReader:
    """Reads messages of one sensor, or of many of a kind."""

    def __init__(self, reading: Reading, columns: tuple[str, ...], factors: list[float]) -> None:
        self._reading = reading
        self._columns = columns
        self._factors = np.array(factors)

    @property
    def spaces(self) -> bool:
        """Whether times are made of the rate, so that a message continues the one before."""
        return bool(self._reading.rate_hz) and not self._reading.time

    def read(self, payload: str, *, arrived_s: float, after_s: float | None = None) -> Samples:
        """The samples of one message; `after_s` is the last time of the same sensor's message
        before.

        Raises:
            InputError: it has not the channels, or no number where one is needed.
        """
        found = samples_of(payload.replace("\t", ",").strip())
        rows = list(itertools.islice(found, _MOST_ROWS + 1))
        if not 0 < len(rows) <= _MOST_ROWS:
            count = len(rows) if len(rows) <= _MOST_ROWS else f"more than {_MOST_ROWS}"
            raise InputError(f"{count} samples in one message, expected 1 to {_MOST_ROWS}")
        values = [[number_in(row, column) for column in self._columns] for row in rows]
        times = self._times(rows, arrived_s, after_s)
        return Samples(time_s=times, values=np.array(values) * self._factors)

    def _times(self, rows: list[Row], arrived_s: float, after_s: float | None) -> Array:
        reading = self._reading
        if reading.time:
            unit_s = TIME_UNITS_S[reading.time_unit]
            return np.array([number_in(row, reading.time) for row in rows]) * unit_s
        if len(rows) > 1 and reading.rate_hz is None:
            raise InputError(
                f"{len(rows)} samples in one message, and nobody says when each was taken",
                hint="name the column with `time`, or give `rate_hz`",
            )
        step_s = 1.0 / reading.rate_hz if reading.rate_hz else 0.0
        times = arrived_s - np.arange(len(rows) - 1, -1, -1) * step_s
        if after_s is not None:
            times += _shift(float(times[0]) - after_s, step_s, len(rows))
        return times


def _shift(apart_s: float, step_s: float, count: int) -> float:
    """What to add to the times of a message whose first sample seems to be `apart_s` after the last
    one before: nothing when that is no jitter, else what makes it nearly one step.
    """
    late_s = apart_s - step_s
    length_s = count * step_s
    if not -max(length_s, _EARLY_S) <= late_s <= _LATE * length_s:
        return 0.0
    return max(_TRUST * late_s, -step_s / 2) - late_s


def reader_of(reading: Reading, channels: Mapping[str, str]) -> SampleReader:
    """The reader for a model's channels, given by name with their units.

    Raises:
        InputError: a channel that the model does not have, or a unit that does not lead to its own.
    """
    for name in (*reading.columns, *reading.units):
        if name not in channels:
            raise InputError(
                f"the model has no channel {name!r}", hint=suggestion(name, list(channels))
            )
    columns = tuple(reading.columns.get(name, name) for name in channels)
    factors = [
        _factor(name, reading.units.get(name, unit), unit) for name, unit in channels.items()
    ]
    return SampleReader(reading, columns, factors)


def _factor(channel: str, sent: str, wanted: str) -> float:
    if sent == wanted:
        return 1.0
    sent_as, sent_factor = canonical(sent, of=channel)
    wanted_as, wanted_factor = canonical(wanted, of=channel)
    if sent_as != wanted_as:
        raise InputError(
            f"channel {channel!r} is sent in {sent!r}, the model takes {wanted!r}",
            hint="the two measure different things",
        )
    return sent_factor / wanted_factor


def number_in(row: Mapping[str, object], column: str) -> float:
    """A column's number; an empty cell is a sample that was not measured (NaN).

    Raises:
        InputError: there is no such column, or no number in it.
    """
    if column not in row:
        raise InputError(f"no column {column!r}", hint=suggestion(column, list(row)))
    cell = row[column]
    if cell is None or cell == "":
        return math.nan
    if isinstance(cell, int | float | str) and not isinstance(cell, bool):
        with contextlib.suppress(ValueError, OverflowError):
            return float(cell)
    raise InputError(
        f"column {column!r} holds {str(cell)[:40]!r}, expected a number",
        hint="leave it empty where nothing was measured",
    )
