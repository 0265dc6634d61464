"""Windows that were labelled after the fact: they train, and nothing is ever tested on them.

The people of the recordings that a project began with stay dealt out as they were, so that a model
made with added windows is compared with the one before on the same test.
"""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np

from edgewright.errors import InputError
from edgewright.workbench.data import Dataset, Recording, Split

PREFIX = "added/"
"""How the names of added recordings begin."""


def with_added(dataset: Dataset, added: Sequence[Dataset]) -> Dataset:
    """The dataset and the recordings of others after it, in its channels and label numbers.

    Raises:
        InputError: other channels, units or rate, or a label that the dataset does not have.
    """
    recordings = [
        _as_part_of(dataset, other, recording) for other in added for recording in other.recordings
    ]
    return replace(dataset, recordings=(*dataset.recordings, *recordings))


def first_part(dataset: Dataset) -> Dataset:
    """Without what was added."""
    own = tuple(each for each in dataset.recordings if not each.name.startswith(PREFIX))
    return replace(dataset, recordings=own)


def train_on_added(split: Split, dataset: Dataset) -> Split:
    """The split with the people of added recordings among those who train.

    Raises:
        InputError: one of them is tested or watched.
    """
    added = {each.subject for each in dataset.recordings if each.name.startswith(PREFIX)}
    both = sorted(added & {*split.test, *split.val})
    if both:
        raise InputError(
            f"added windows are of {both}, who are not trained on",
            hint="take them out: a test on people that were trained on says nothing",
        )
    more = [who for who in dataset.subjects if who in added and who not in split.train]
    return msgspec.structs.replace(split, train=(*split.train, *more))


def _as_part_of(dataset: Dataset, other: Dataset, recording: Recording) -> Recording:
    if other.channels != dataset.channels or other.rate_hz != dataset.rate_hz:
        raise InputError(
            f"{other.source}: {_facts(other)}; the project's recordings: {_facts(dataset)}",
            hint="label windows of this project's own model",
        )
    unknown = [name for name in other.label_names if name not in dataset.label_names]
    if unknown:
        raise InputError(
            f"{other.source}: labels {unknown} are not the project's {list(dataset.label_names)}",
            hint="a model with more classes is a new project, not a retrained one",
        )
    numbers = np.array([*map(dataset.label_names.index, other.label_names), -1], np.int16)
    return replace(recording, name=f"{PREFIX}{recording.name}", label=numbers[recording.label])


def _facts(dataset: Dataset) -> str:
    channels = " ".join(f"{each.name} [{each.unit}]" for each in dataset.channels)
    return f"{channels} at {dataset.rate_hz:g} Hz"
