"""Edge Impulse acquisition files (JSON or CBOR): one recording a file, with sensors, units and
interval.

The label is the beginning of the file's name ("walking.3b2f.json"), as their tools write it. Who it
was is not in such a file: the mapping's `subject_is` says it, or `subject = "device_name"` takes
the device for the person. Signatures are not checked; what arrives is data to look at, not code.
"""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgewright._fs import read_limited
from edgewright.contract.decoding import convert
from edgewright.errors import InputError
from edgewright.workbench.data.mapping import ChannelMapping, SourceMapping
from edgewright.workbench.data.recordings import Dataset
from edgewright.workbench.data.sources._cbor import decode_cbor
from edgewright.workbench.data.sources.table import Column, Table, dataset_from_table

_LIMIT_BYTES = 512 * 2**20


class _Sensor(msgspec.Struct):
    name: str
    units: str = ""


class _Payload(msgspec.Struct):
    interval_ms: float
    sensors: list[_Sensor]
    values: list[Any]
    device_name: str = ""
    device_type: str = ""


class _Acquisition(msgspec.Struct):
    payload: _Payload


def read_edge_impulse(path: Path, mapping: SourceMapping) -> Dataset:
    """The recording of one file.

    Raises:
        InputError: absent, no acquisition file, ragged, or without anybody's name.
    """
    content = read_limited(path, limit_bytes=_LIMIT_BYTES)
    payload = convert(_decoded(content, path), _Acquisition, source=str(path)).payload
    if not payload.interval_ms > 0:
        raise InputError(f"{path}: interval_ms is {payload.interval_ms:g}, expected above 0")
    samples = _samples(payload, path)
    columns: dict[str, Column] = {
        sensor.name: samples[:, at] for at, sensor in enumerate(payload.sensors)
    }
    texts = {
        mapping.label: path.name.partition(".")[0],
        mapping.recording: path.stem,
        "device_name": payload.device_name,
        "device_type": payload.device_type,
    }
    columns |= {name: np.full(len(samples), text) for name, text in texts.items() if text}
    filled = {
        "channels": mapping.channels or _channels(payload),
        "rate_hz": mapping.rate_hz or 1000.0 / payload.interval_ms,
        "time": "",
    }
    try:
        known = msgspec.structs.replace(mapping, **filled)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    return dataset_from_table(Table(columns, len(samples), path.name), known)


def _decoded(content: bytes, path: Path) -> Any:
    if path.suffix.lower() == ".cbor":
        try:
            return decode_cbor(content)
        except InputError as error:
            raise InputError(f"{path}: {error.message}", hint="record or copy it again") from error
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}", hint="record or copy it again") from error


def _samples(payload: _Payload, path: Path) -> Column:
    rows = [row if isinstance(row, list) else [row] for row in payload.values]
    wanted = len(payload.sensors)
    for number, row in enumerate(rows, start=1):
        if len(row) != wanted or not all(isinstance(v, int | float) for v in row):
            raise InputError(
                f"{path}: row {number} of values is no list of {wanted} numbers, one a sensor"
            )
    return np.array(rows, np.float64).reshape(len(rows), wanted)


def _channels(payload: _Payload) -> tuple[ChannelMapping, ...]:
    return tuple(
        ChannelMapping(column=sensor.name, unit=sensor.units) for sensor in payload.sensors
    )
