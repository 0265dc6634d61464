r"""JSON lines: one sample a line, or one MQTT message a line as `mosquitto_sub` and `data capture`
write them.

    {"t": 0.02, "ax": 0.1, "ay": 0.0, "az": 9.8}
    {"tst": "2026-01-02T10:00:00.020000Z", "topic": "ann/watch", "payload": "{\"ax\": 0.1}"}

`mosquitto_sub -F %j` writes the payload as a text and `-F %J` as JSON; both are read. Inside it may
be an object (`{"acc": {"x": 1}}` becomes the column `acc.x`), a list or comma-separated numbers
(columns `0 1 2`), or a list of objects (several samples). The parts of the topic are the columns
`topic.0`, `topic.1`, ...; the time of arrival is `tst`, the clock where no other is mapped. A
message without any mapped channel is no sample of the sensor: it is counted and left out.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgewright._fs import file_errors
from edgewright.errors import InputError
from edgewright.wire.samples import ARRIVAL, Row, is_message, samples_in
from edgewright.workbench.data.mapping import SourceMapping
from edgewright.workbench.data.recordings import Dataset
from edgewright.workbench.data.sources._limits import check_bytes, check_values
from edgewright.workbench.data.sources.table import (
    Column,
    Table,
    dataset_from_table,
    seconds_of,
)

_LINE_BYTES = 2**20


def read_json_lines(path: Path, mapping: SourceMapping) -> Dataset:
    """The samples of a file.

    Raises:
        InputError: absent, empty, a line that is no JSON object, or no message with the channels.
    """
    wanted = [each.column for each in mapping.channels]
    rows: list[Row] = []
    others = 0
    is_capture = False
    notes: tuple[str, ...] = ()
    with file_errors(path, doing="reading"), path.open("rb") as file:
        check_bytes(path)
        for number, raw in enumerate(iter(lambda: file.readline(_LINE_BYTES + 1), b""), start=1):
            if not raw.strip():
                continue
            if not raw.endswith(b"\n") and not _is_whole(raw):
                notes = ("the last line is cut off and was left out",)
                break
            line = _decoded(raw, f"{path}, line {number}")
            is_capture |= is_message(line)
            found = [
                row for row in samples_in(line) if not wanted or not row.keys().isdisjoint(wanted)
            ]
            others += not found
            rows += found
            check_values(len(rows) * max(len(wanted), 1), path)
    if not rows:
        what = f"none of its {others} messages has a mapped channel" if others else "it is empty"
        raise InputError(
            f"{path}: {what}", hint=f"mapped are {wanted}" if others else "record again"
        )
    table = _table(rows, path)
    dataset = dataset_from_table(table, _with_clock(mapping, table, is_capture=is_capture))
    if others:
        notes = (*notes, f"{others} messages without a mapped channel were left out")
    return replace(dataset, notes=(*dataset.notes, *notes))


def _is_whole(raw: bytes) -> bool:
    """Whether a line without its end is JSON all the same; a power cut may leave a part of one."""
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _decoded(raw: bytes, where: str) -> dict[str, Any]:
    if len(raw) > _LINE_BYTES:
        raise InputError(f"{where}: longer than {_LINE_BYTES} bytes", hint="one message a line")
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        raise InputError(
            f"{where}: not a JSON object: {error}",
            hint="record with `edgewright data capture mqtt`, or `mosquitto_sub -F %j`",
        ) from error


def _table(rows: list[Row], path: Path) -> Table:
    names = dict.fromkeys(name for row in rows for name in row)
    columns: dict[str, Column] = {
        name: np.array([row.get(name, "") for row in rows], object) for name in names
    }
    return Table(columns, len(rows), path.name)


def _with_clock(mapping: SourceMapping, table: Table, *, is_capture: bool) -> SourceMapping:
    """The time of arrival is the clock of a capture, unless the mapping knows a better one."""
    if mapping.time or mapping.rate_hz or not is_capture:
        return mapping
    timed = msgspec.structs.replace(mapping, time=ARRIVAL, time_unit="iso")
    return msgspec.structs.replace(timed, rate_hz=_mean_rate_hz(table, timed))


def _mean_rate_hz(table: Table, mapping: SourceMapping) -> float | None:
    """Samples in a second, holes left out. Messages arrive in bursts, so their median step is no
    rate.
    """
    time_s = seconds_of(table.column(ARRIVAL, role="time"), mapping, table.source)
    nobody = np.full(table.rows, "")
    names = table.columns.get(mapping.recording, table.columns.get(mapping.subject, nobody))
    arrivals: dict[object, list[float]] = {}
    for name, moment in zip(names.tolist(), time_s.tolist(), strict=True):
        arrivals.setdefault(name, []).append(moment)
    steps_s = np.concatenate([np.diff(each) for each in arrivals.values()])
    steps_s = steps_s[(steps_s >= 0) & (steps_s <= mapping.max_gap_s)]
    mean_s = float(steps_s.mean()) if len(steps_s) else 0.0
    return float(f"{1.0 / mean_s:.4g}") if mean_s > 0 else None
