"""Columns to a dataset: what every tabular source (npz, csv, parquet) shares."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.contract import Channel
from edgewright.contract.decoding import suggestion
from edgewright.errors import InputError
from edgewright.steps.units import canonical
from edgewright.workbench.data.mapping import TIME_UNITS_S, SourceMapping
from edgewright.workbench.data.recordings import (
    UNLABELLED,
    Dataset,
    LabelIds,
    Recording,
    Samples,
    natural_order,
)
from edgewright.workbench.data.timebase import at_rate, even_recordings, median_rate_hz

Column = NDArray[Any]
_Rows = NDArray[np.intp] | slice

_UNLABELLED_WORDS = {"", "-1", "nan", "none"}
_MOST_LABELS = 2**15 - 1
"""As many as the numbers of labels in a recording can tell apart."""


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of one source, all of the same length, as the file has them."""

    columns: Mapping[str, Column]
    rows: int
    source: str

    def column(self, name: str, *, role: str) -> Column:
        """A column by name.

        Raises:
            InputError: it is not there.
        """
        if name not in self.columns:
            known = sorted(self.columns)
            raise InputError(
                f"{self.source}: no column {name!r} for the {role}",
                hint=f"{suggestion(name, known)} or name it in the mapping",
            )
        return self.columns[name]


def dataset_from_table(table: Table, mapping: SourceMapping) -> Dataset:
    """Channels in canonical units, labels by name, one recording for each unbroken stretch, at the
    rate that the mapping wants.

    Raises:
        InputError: a column is missing or not of its kind, or a label is not in the mapping.
    """
    if table.rows == 0:
        raise InputError(f"{table.source}: it has no rows", hint="check that the export finished")
    notes: list[str] = []
    channels, samples = _channels(table, mapping)
    label_names, label = _labels(table, mapping, notes)
    time_s = (
        seconds_of(table.column(mapping.time, role="time"), mapping, table.source)
        if (mapping.time)
        else None
    )
    recorded = list(_recorded(table, mapping, notes))
    rate_hz = _rate(time_s, [rows for *_, rows in recorded], mapping, table.source)
    recordings: list[Recording] = []
    for name, person, rows in recorded:
        whole = Recording(samples[rows], label[rows], person, name, rate_hz)
        if time_s is None:
            recordings.append(whole)
            continue
        parts, found = even_recordings(whole, time_s[rows], max_gap_s=mapping.max_gap_s)
        recordings += parts
        notes += found
    dataset = Dataset(
        tuple(recordings), channels, label_names, rate_hz, table.source, notes=tuple(notes)
    )
    return at_rate(dataset, mapping.resample_hz or rate_hz)


def _channels(table: Table, mapping: SourceMapping) -> tuple[tuple[Channel, ...], Samples]:
    if not mapping.channels:
        raise InputError(
            f"{table.source}: no channels are mapped",
            hint=f"list them under [[channels]]; columns are {sorted(table.columns)}",
        )
    channels = []
    samples = np.full((table.rows, len(mapping.channels)), np.nan, np.float32)
    for position, each in enumerate(mapping.channels):
        unit, factor = canonical(each.unit, of=f"{table.source}, channel {each.column!r}")
        channels.append(Channel(name=each.name or each.column, unit=unit))
        if each.column in table.columns or not each.optional:
            column = _floats(table.column(each.column, role="channel"), each.column, table.source)
            samples[:, position] = column * (factor * each.sign)
    if np.isnan(samples).all():
        raise InputError(
            f"{table.source}: not one number in any mapped channel",
            hint=f"columns are {sorted(table.columns)}",
        )
    return tuple(channels), samples


def _floats(column: Column, name: str, source: str) -> NDArray[np.float64]:
    if column.dtype.kind in "fiub":
        return column.astype(np.float64)
    parsed = np.empty(len(column), np.float64)
    for row, text in enumerate(column.tolist()):
        try:
            parsed[row] = float(text) if str(text).strip() else math.nan
        except ValueError:
            raise InputError(
                f"{source}: row {row + 1} of column {name!r} is {text!r}, expected a number",
                hint="mend that row or map another column",
            ) from None
    return parsed


def _grouped(column: Column) -> tuple[list[str], NDArray[np.intp]]:
    """The different ids of a column as texts (3.0 and 3 are one), and for each row which one."""
    if column.dtype.kind in "iufbU":
        values, which = np.unique(column, return_inverse=True)
        found = [word_of(value) for value in values]
    else:
        seen: dict[str, int] = {}
        which = np.array([seen.setdefault(word_of(v), len(seen)) for v in column.tolist()], np.intp)
        found = list(seen)
    places: dict[str, int] = {}
    table = np.array([places.setdefault(word, len(places)) for word in found], np.intp)
    return list(places), table[which]


def word_of(value: object) -> str:
    """A label or an id as text, so that different numbers stay different.

    >>> word_of(3.0), word_of(1000001.0), word_of(np.float32(0.1)), word_of(float("nan"))
    ('3', '1000001', '0.1', '')
    """
    if isinstance(value, float | np.floating):
        if math.isnan(value):
            return ""
        return str(int(value)) if value.is_integer() else str(value)
    return "" if value is None else str(value).strip()


def _labels(
    table: Table, mapping: SourceMapping, notes: list[str]
) -> tuple[tuple[str, ...], LabelIds]:
    if mapping.label_is:
        names = mapping.label_names or (mapping.label_is,)
        if mapping.label_is not in names:
            raise InputError(f"{table.source}: label {mapping.label_is!r} is not in {list(names)}")
        return names, np.full(table.rows, names.index(mapping.label_is), np.int16)
    if mapping.label not in table.columns and mapping.label == SourceMapping().label:
        return mapping.label_names, np.full(table.rows, UNLABELLED, np.int16)
    words, which = _grouped(table.column(mapping.label, role="label"))
    named_by_hand = {*mapping.labels, *mapping.label_names}
    nobody_knows = [
        word for word in words if word.lower() in _UNLABELLED_WORDS and word not in named_by_hand
    ]
    found = [word for word in words if word not in nobody_knows]
    notes += [
        f"label {word!r} is taken for no label; map it to a name where it is a class"
        for word in nobody_knows
        if word.isalpha()
    ]
    unmapped = [word for word in found if mapping.labels and word not in mapping.labels]
    if unmapped:
        raise InputError(
            f"{table.source}: labels {sorted(unmapped)} are not in the label map",
            hint="map each to a name, or to '' where it must not be learnt",
        )
    named = {word: mapping.labels.get(word, word) for word in found}
    used = [name for name in natural_order(set(named.values())) if name]
    names = mapping.label_names or tuple(used)
    if len(names) > _MOST_LABELS:
        raise InputError(
            f"{table.source}: column {mapping.label!r} holds {len(names)} different labels, "
            f"expected at most {_MOST_LABELS}",
            hint="is it a measured value? name the column of labels as `label`",
        )
    strangers = [name for name in used if name not in names]
    if strangers:
        raise InputError(f"{table.source}: labels {strangers} are not in label_names {names}")
    position = {word: names.index(name) for word, name in named.items() if name}
    return names, np.array([position.get(word, UNLABELLED) for word in words], np.int16)[which]


def _people(table: Table, mapping: SourceMapping) -> Iterator[tuple[str, str, _Rows]]:
    """Every recording by name, its person and its rows, in natural order."""
    if mapping.subject_is:
        people, who = [mapping.subject_is], np.zeros(table.rows, np.intp)
    elif mapping.subject in table.columns:
        people, who = _grouped(table.columns[mapping.subject])
    else:
        raise InputError(
            f"{table.source}: no column {mapping.subject!r} for the subject",
            hint="honest splits need to know who is who; name the column as `subject`, "
            "or set `subject_is` for a file of one person",
        )
    if "" in people:
        rows = np.flatnonzero(who == people.index(""))
        raise InputError(
            f"{table.source}: {len(rows)} rows say no {mapping.subject!r}, row {int(rows[0]) + 1} "
            "among them",
            hint="say whose they are, or drop them: rows of nobody may be of a person who is "
            "tested",
        )
    names, which = people, who
    if mapping.recording in table.columns:
        names, which = _grouped(table.columns[mapping.recording])
    order = np.argsort(which, kind="stable")
    edges = np.searchsorted(which[order], np.arange(len(names) + 1))
    places = {name: at for at, name in enumerate(names)}
    for name in natural_order(names):
        at = places[name]
        rows = order[edges[at] : edges[at + 1]]
        person = _one_person([people[n] for n in np.unique(who[rows])], name, table.source)
        yield name, person, _as_slice(rows)


def _recorded(
    table: Table, mapping: SourceMapping, notes: list[str]
) -> Iterator[tuple[str, str, _Rows]]:
    """Every recording by name, its person and its rows. Where neither times nor names of recordings
    say what belongs together, rows of one person that lie apart are recordings of their own.
    """
    has_order = bool(mapping.time) or mapping.recording in table.columns
    for name, person, rows in _people(table, mapping):
        if has_order or isinstance(rows, slice):
            yield name, person, rows
            continue
        stretches = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
        notes.append(
            f"{name}: {len(stretches)} stretches of rows lie apart and are taken for as many "
            "recordings"
        )
        for number, stretch in enumerate(stretches, start=1):
            yield f"{name}-{number}", person, _as_slice(stretch)


def _as_slice(rows: NDArray[np.intp]) -> _Rows:
    """Rows that follow each other are a view, not a copy."""
    first, last = int(rows[0]), int(rows[-1])
    return slice(first, last + 1) if last - first + 1 == len(rows) else rows


def _one_person(people: list[str], name: str, source: str) -> str:
    if len(people) > 1:
        raise InputError(
            f"{source}: recording {name!r} holds subjects {sorted(people)}, expected one",
            hint="a recording is one person's; give each a name of its own",
        )
    return people[0]


def seconds_of(column: Column, mapping: SourceMapping, source: str) -> NDArray[np.float64]:
    """A column of times in seconds.

    Raises:
        InputError: a time is missing, or not of the unit that the mapping says.
    """
    seconds: NDArray[np.float64]
    if column.dtype.kind in "mM":
        ticks = column.astype(f"{column.dtype.kind}8[ns]")
        seconds = np.where(np.isnat(ticks), np.nan, ticks.astype(np.int64) / 1e9)
    elif mapping.time_unit == "iso":
        texts = enumerate(column.tolist(), start=1)
        seconds = np.array([_moment(each, row, mapping.time, source) for row, each in texts])
    else:
        seconds = _floats(column, mapping.time, source) * TIME_UNITS_S[mapping.time_unit]
    if not np.isfinite(seconds).all():
        row = int(np.flatnonzero(~np.isfinite(seconds))[0])
        raise InputError(
            f"{source}: row {row + 1} of column {mapping.time!r} has no time",
            hint="mend or drop that row",
        )
    return seconds


def _moment(value: object, row: int, name: str, source: str) -> float:
    """A date and time as text; a number is taken for seconds since 1970."""
    if isinstance(value, int | float):
        return float(value)
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise InputError(
            f"{source}: row {row} of column {name!r} is {value!r}, expected a date and time",
            hint="2026-01-02T10:00:00.020Z is one; or set time_unit",
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _rate(
    time_s: NDArray[np.float64] | None,
    recorded: Sequence[_Rows],
    mapping: SourceMapping,
    source: str,
) -> float:
    """The rate of the source; a step from one recording to another is none of a sensor's."""
    if time_s is None and mapping.rate_hz is None:
        raise InputError(
            f"{source}: neither a rate nor a time column is mapped",
            hint="set rate_hz, or name the time column as `time`",
        )
    if time_s is None or (mapping.rate_hz is not None and len(time_s) < 2):
        return float(mapping.rate_hz or 0.0)
    steps_s = np.concatenate([np.diff(time_s[rows]) for rows in recorded])
    rate_hz = median_rate_hz(steps_s, source=source)
    if 1.0 / rate_hz > mapping.max_gap_s:
        raise InputError(
            f"{source}: its samples are {1.0 / rate_hz:.4g} s apart, and max_gap_s is "
            f"{mapping.max_gap_s:g}: every one would stand alone",
            hint=f"is column {mapping.time!r} really in {mapping.time_unit!r}? set time_unit",
        )
    return mapping.rate_hz or rate_hz
