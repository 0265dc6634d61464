"""The sheet that a person fills in: one line for each picked sample, with room for its label.

>>> from edgewright.workbench.improve.picking import Pick
>>> text = write_sheet([Pick(index=7, uncertainty=0.9, distance=0.0)])
>>> text.splitlines()
['sample,doubt,distance,label', '7,0.900,0.000,']
>>> parse_sheet(text.replace("0.000,", "0.000,walking"), ("walking",), rows=9, source="s.csv")
{7: 'walking'}
"""

import csv
import io
from collections.abc import Iterable, Sequence

from edgewright.contract.decoding import suggestion
from edgewright.errors import InputError
from edgewright.workbench.improve.picking import Pick

COLUMNS = ("sample", "doubt", "distance", "label")


def write_sheet(picks: Iterable[Pick]) -> str:
    """The picks as CSV with an empty column for labels."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for pick in picks:
        writer.writerow([pick.index, f"{pick.uncertainty:.3f}", f"{pick.distance:.3f}", ""])
    return text.getvalue()


def parse_sheet(text: str, labels: Sequence[str], *, rows: int, source: str) -> dict[int, str]:
    """The labels that a person gave, by sample; lines without one are left out.

    Raises:
        InputError: a column is missing, a sample is none of `rows` or stands there twice, a label
            is not known, or nobody gave any.
    """
    reader = csv.DictReader(io.StringIO(text))
    absent = [name for name in ("sample", "label") if name not in (reader.fieldnames or ())]
    if absent:
        raise InputError(
            f"{source}: no column {' and '.join(absent)}, it has {reader.fieldnames or []}",
            hint="fill in the sheet that `edgewright improve pick --out` writes",
        )
    found: dict[int, str] = {}
    for line in reader:
        where = f"{source}, line {reader.line_num}"
        sample = _sample(line["sample"], rows, where)
        label = (line["label"] or "").strip()
        if not label:
            continue
        if label not in labels:
            raise InputError(
                f"{where}: unknown label {label!r}", hint=suggestion(label, list(labels))
            )
        if found.setdefault(sample, label) != label:
            raise InputError(f"{where}: sample {sample} is {found[sample]!r} further up")
    if not found:
        raise InputError(f"{source}: no sample has a label", hint="fill in the column `label`")
    return found


def _sample(text: str | None, rows: int, where: str) -> int:
    value = (text or "").strip()
    if not value.isdecimal() or int(value) >= rows:
        raise InputError(f"{where}: sample {value!r}, expected 0 to {rows - 1}")
    return int(value)
