"""Labels for stretches of time, given by people: from a file or one by one. Pure but for reading.

>>> parse_range("walk-3:1.5:4:sitting")
LabelRange(recording='walk-3', start_s=1.5, stop_s=4.0, label='sitting')
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from edgewright._fs import read_limited
from edgewright.errors import InputError
from edgewright.workbench.data.recordings import UNLABELLED, Dataset

_LIMIT_BYTES = 64 * 2**20


class LabelRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From `start_s` to before `stop_s` of a recording, the person did `label` ("" for nobody
    knows).
    """

    recording: str
    start_s: float
    stop_s: float
    label: str


def parse_range(text: str) -> LabelRange:
    """A range from `RECORDING:START:STOP:LABEL`; the recording may hold colons itself.

    Raises:
        InputError: too few parts, or times that are no numbers or go backwards.
    """
    parts = text.rsplit(":", 3)
    if len(parts) != 4:
        raise InputError(f"range {text!r}: expected RECORDING:START:STOP:LABEL")
    try:
        start_s, stop_s = float(parts[1]), float(parts[2])
    except ValueError as error:
        raise InputError(f"range {text!r}: START and STOP are seconds") from error
    if not 0 <= start_s < stop_s < float("inf"):
        raise InputError(f"range {text!r}: START must be 0 or more and before STOP")
    return LabelRange(parts[0], start_s, stop_s, parts[3].strip())


def read_ranges(path: Path) -> tuple[LabelRange, ...]:
    """One range a line, as `RECORDING:START:STOP:LABEL`; empty lines and `#` are skipped.

    Raises:
        InputError: absent, or a line that is no range, with its number.
    """
    content = read_limited(path, limit_bytes=_LIMIT_BYTES)
    ranges = []
    for number, line in enumerate(content.decode(errors="replace").splitlines(), start=1):
        text = line.partition("#")[0].strip()
        if text:
            try:
                ranges.append(parse_range(text))
            except InputError as error:
                raise InputError(f"{path}, line {number}: {error.message}") from error
    return tuple(ranges)


def relabel(dataset: Dataset, ranges: Iterable[LabelRange]) -> Dataset:
    """The dataset with the ranges written over its labels, the later over the earlier; new names
    come after the known ones.

    Raises:
        InputError: a recording is unknown, or a range begins after its end.
    """
    chosen = tuple(ranges)
    known = {each.name: each for each in dataset.recordings}
    new = [each.label for each in chosen if each.label and each.label not in dataset.label_names]
    names = (*dataset.label_names, *dict.fromkeys(new))
    labels = {name: np.array(each.label) for name, each in known.items()}
    for each in chosen:
        if each.recording not in known:
            raise InputError(f"recording {each.recording!r} is not in {dataset.source}")
        seconds = known[each.recording].seconds
        if each.start_s >= seconds:
            raise InputError(
                f"range {each.start_s:g} to {each.stop_s:g} s begins after the end of recording "
                f"{each.recording!r} ({seconds:g} s)"
            )
        first, last = (round(t * dataset.rate_hz) for t in (each.start_s, each.stop_s))
        labels[each.recording][first:last] = names.index(each.label) if each.label else UNLABELLED
    recordings = tuple(replace(each, label=labels[each.name]) for each in dataset.recordings)
    return replace(dataset, recordings=recordings, label_names=names)
