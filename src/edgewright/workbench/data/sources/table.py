"""Columns to a dataset: what every tabular source (npz, csv, parquet) shares."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.contract import Channel
from edgewright.contract.decoding import suggestion
from edgewright.errors import InputError
from edgewright.workbench.data.mapping import TIME_UNITS_S, SourceMapping
from edgewright.workbench.data.recordings import (
    UNLABELLED,
    Dataset,
    LabelIds,
    Recording,
    Samples,
    natural_order,
)
from edgewright.workbench.data.timebase import even_recordings, median_rate_hz
from edgewright.workbench.data.units import canonical

Column = NDArray[Any]

_UNLABELLED_WORDS = {"", "-1", "nan", "none"}


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
    """Channels in canonical units, labels by name, one recording for each unbroken stretch.

    Raises:
        InputError: a column is missing or not of its kind, or a label is not in the mapping.
    """
    if table.rows == 0:
        raise InputError(f"{table.source}: it has no rows", hint="check that the export finished")
    channels, samples = _channels(table, mapping)
    label_names, label = _labels(table, mapping)
    subject, name = _people(table, mapping)
    time_s = _time(table, mapping)
    rate_hz = _rate(time_s, mapping, table.source)
    recordings: list[Recording] = []
    notes: list[str] = []
    for each in natural_order(set(name.tolist())):
        rows = np.flatnonzero(name == each)
        person = _one_person(subject[rows], each, table.source)
        whole = Recording(samples[rows], label[rows], person, each, rate_hz)
        if time_s is None:
            recordings.append(whole)
            continue
        parts, found = even_recordings(whole, time_s[rows], max_gap_s=mapping.max_gap_s)
        recordings += parts
        notes += found
    return Dataset(
        tuple(recordings), channels, label_names, rate_hz, table.source, notes=tuple(notes)
    )


def _channels(table: Table, mapping: SourceMapping) -> tuple[tuple[Channel, ...], Samples]:
    if not mapping.channels:
        raise InputError(
            f"{table.source}: no channels are mapped",
            hint=f"list them under [[channels]]; columns are {sorted(table.columns)}",
        )
    channels, columns = [], []
    for each in mapping.channels:
        unit, factor = canonical(each.unit, of=f"{table.source}, channel {each.column!r}")
        column = _floats(table.column(each.column, role="channel"), each.column, table.source)
        columns.append((column * (factor * each.sign)).astype(np.float32))
        channels.append(Channel(name=each.name or each.column, unit=unit))
    return tuple(channels), np.stack(columns, axis=1)


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


def _words(column: Column) -> list[str]:
    """A column of ids as texts; 3.0 and 3 are the same id."""
    if column.dtype.kind == "f":
        return ["" if math.isnan(v) else f"{v:g}" for v in column.tolist()]
    return [str(value).strip() for value in column.tolist()]


def _labels(table: Table, mapping: SourceMapping) -> tuple[tuple[str, ...], LabelIds]:
    if mapping.label not in table.columns and mapping.label == SourceMapping().label:
        return mapping.label_names, np.full(table.rows, UNLABELLED, np.int16)
    words = _words(table.column(mapping.label, role="label"))
    found = [word for word in dict.fromkeys(words) if word.lower() not in _UNLABELLED_WORDS]
    unmapped = [word for word in found if mapping.labels and word not in mapping.labels]
    if unmapped:
        raise InputError(
            f"{table.source}: labels {sorted(unmapped)} are not in the label map",
            hint="map each to a name, or to '' where it must not be learnt",
        )
    named = {word: mapping.labels.get(word, word) for word in found}
    used = [name for name in natural_order(set(named.values())) if name]
    names = mapping.label_names or tuple(used)
    strangers = [name for name in used if name not in names]
    if strangers:
        raise InputError(f"{table.source}: labels {strangers} are not in label_names {names}")
    position = {word: names.index(name) for word, name in named.items() if name}
    return names, np.array([position.get(word, UNLABELLED) for word in words], np.int16)


def _people(table: Table, mapping: SourceMapping) -> tuple[NDArray[Any], NDArray[Any]]:
    if mapping.subject_is:
        subject = np.full(table.rows, mapping.subject_is)
    elif mapping.subject in table.columns:
        subject = np.array(_words(table.columns[mapping.subject]))
    else:
        raise InputError(
            f"{table.source}: no column {mapping.subject!r} for the subject",
            hint="honest splits need to know who is who; name the column as `subject`, "
            "or set `subject_is` for a file of one person",
        )
    if mapping.recording in table.columns:
        return subject, np.array(_words(table.columns[mapping.recording]))
    return subject, subject


def _one_person(subject: NDArray[Any], name: str, source: str) -> str:
    people = sorted(set(subject.tolist()))
    if len(people) > 1:
        raise InputError(
            f"{source}: recording {name!r} holds subjects {people}, expected one",
            hint="a recording is one person's; give each a name of its own",
        )
    return str(people[0])


def _time(table: Table, mapping: SourceMapping) -> NDArray[np.float64] | None:
    if not mapping.time:
        return None
    column = _floats(table.column(mapping.time, role="time"), mapping.time, table.source)
    if not np.isfinite(column).all():
        row = int(np.flatnonzero(~np.isfinite(column))[0])
        raise InputError(
            f"{table.source}: row {row + 1} of column {mapping.time!r} has no time",
            hint="mend or drop that row",
        )
    return column * TIME_UNITS_S[mapping.time_unit]


def _rate(time_s: NDArray[np.float64] | None, mapping: SourceMapping, source: str) -> float:
    if mapping.rate_hz is not None:
        return mapping.rate_hz
    if time_s is None:
        raise InputError(
            f"{source}: neither a rate nor a time column is mapped",
            hint="set rate_hz, or name the time column as `time`",
        )
    return median_rate_hz(time_s, source=source)
