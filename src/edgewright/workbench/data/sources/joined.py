"""Many small datasets of one kind as one: they must agree on channels and rate, their labels are
joined by name. Samples are spooled, so that a folder may hold more than memory does.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from edgewright.contract import Channel
from edgewright.errors import InputError
from edgewright.workbench.data.mapping import SourceMapping
from edgewright.workbench.data.recordings import (
    Dataset,
    LabelIds,
    Recording,
    natural_order,
)
from edgewright.workbench.data.spool import Spool


class _Joint:
    def __init__(self) -> None:
        self.spool = Spool()
        self.labels: list[LabelIds] = []
        self.label_ids: dict[str, int] = {}
        self.people: list[tuple[str, str]] = []
        self.notes: list[str] = []
        self.first: tuple[str, tuple[Channel, ...], float] | None = None

    def add(self, name: str, part: Dataset) -> None:
        if self.first is None:
            self.first = (name, part.channels, part.rate_hz)
        first, channels, rate_hz = self.first
        if part.channels != channels or part.rate_hz != rate_hz:
            raise InputError(
                f"{name} and {first} disagree on channels or rate ({part.rate_hz:g} and "
                f"{rate_hz:g} Hz)",
                hint="set resample_hz, make channels optional, or import them apart and merge them",
            )
        ids = [self.label_ids.setdefault(each, len(self.label_ids)) for each in part.label_names]
        table = np.array([*ids, -1], np.int16)
        for each in part.recordings:
            alone = len(part.recordings) == 1
            self.spool.add(each.samples)
            self.labels.append(table[each.label])
            self.people.append((each.subject, name if alone else f"{name}/{each.name}"))
        self.notes += [f"{name}: {note}" for note in part.notes]


def join_datasets(
    parts: Iterable[tuple[str, Dataset]], mapping: SourceMapping, *, source: str
) -> Dataset:
    """One dataset of all; a part's name becomes the name of its recording.

    Raises:
        InputError: two parts disagree, or there are none.
    """
    joint = _Joint()
    for name, part in parts:
        joint.add(name, part)
    if joint.first is None:
        raise InputError(f"{source}: no recordings in it", hint="check the file")
    _, channels, rate_hz = joint.first
    names = mapping.label_names or natural_order(joint.label_ids)
    table = np.full(len(joint.label_ids) + 1, -1, np.int16)
    for each, position in joint.label_ids.items():
        table[position] = names.index(each)
    keeps = bool((table[:-1] == np.arange(len(table) - 1)).all())
    recordings = tuple(
        Recording(samples, label if keeps else table[label], subject, name, rate_hz)
        for samples, label, (subject, name) in zip(
            joint.spool.finish(), joint.labels, joint.people, strict=True
        )
    )
    joined = Dataset(recordings, channels, names, rate_hz, source)
    return replace(joined, notes=tuple(joint.notes))
