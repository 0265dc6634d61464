"""Several sources as one dataset, through a canonical label map that somebody wrote down.

Positions mean nothing across sources: 0 is PEN in one and WALKING in the other. So every label of
every source is mapped by name, and a source without a map is merged only when its names are the
same. People and recordings carry the name of their source, so that two people called "1" stay two.
A channel that a source lacks is NaN in its recordings: absent, not invented.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgewright._fs import read_limited
from edgewright.contract import Channel, decode_toml
from edgewright.errors import InputError
from edgewright.workbench.data.recordings import (
    UNLABELLED,
    Dataset,
    LabelIds,
    Recording,
    Samples,
)
from edgewright.workbench.data.timebase import at_rate

_LIMIT_BYTES = 2**20

LabelMaps = Mapping[str, Mapping[str, str]]


def merge_datasets(
    sources: Mapping[str, Dataset],
    label_maps: LabelMaps,
    *,
    rate_hz: float | None = None,
    classes: int | None = None,
) -> Dataset:
    """One dataset of all recordings, at one rate, with every channel that any source has.

    `label_maps[source][label]` is the canonical name, or "" for a label that must not be learnt.
    `classes` is how many names the author of the maps counted on.

    Raises:
        InputError: a label without a canonical name, ids that collide, a channel in two units, or
            another number of classes than was counted on.
    """
    if not sources:
        raise InputError("no sources to merge", hint="name two or more")
    strangers = sorted(set(label_maps) - set(sources))
    if strangers:
        raise InputError(
            f"label maps {strangers} belong to no source", hint=f"there are {[*sources]}"
        )
    maps = {name: _label_map(name, dataset, label_maps) for name, dataset in sources.items()}
    _refuse_collisions(sources, label_maps)
    names = tuple(dict.fromkeys(to for each in maps.values() for to in each.values() if to))
    if classes is not None and len(names) != classes:
        raise InputError(
            f"the label maps lead to {len(names)} classes, expected {classes}: {list(names)}",
            hint="two labels were mapped to one name, or one to '' by mistake",
        )
    channels = _all_channels(sources)
    rate = rate_hz or max(dataset.rate_hz for dataset in sources.values())
    recordings: list[Recording] = []
    for name, dataset in sources.items():
        table = [*(names.index(to) if to else UNLABELLED for to in maps[name].values()), UNLABELLED]
        recordings += _renamed(name, at_rate(dataset, rate), np.array(table, np.int16), channels)
    notes = tuple(f"{name}: {note}" for name, each in sources.items() for note in each.notes)
    return Dataset(tuple(recordings), channels, names, rate, " + ".join(sources), notes=notes)


def read_label_maps(path: Path) -> dict[str, dict[str, str]]:
    """A TOML file with a table for each source.

    Raises:
        InputError: absent, not TOML, or anything but texts in it.
    """
    content = read_limited(path, limit_bytes=_LIMIT_BYTES)
    return decode_toml(content, dict[str, dict[str, str]], source=str(path))


def _label_map(name: str, dataset: Dataset, label_maps: LabelMaps) -> dict[str, str]:
    given = label_maps.get(name)
    if given is None:
        return {label: label for label in dataset.label_names}
    missing = [label for label in dataset.label_names if label not in given]
    unknown = [label for label in given if label not in dataset.label_names]
    if missing or unknown:
        what = f"labels {missing} have no name" if missing else f"labels {unknown} do not occur"
        raise InputError(
            f"label map of {name}: {what}", hint=f"it has {list(dataset.label_names)}; '' drops one"
        )
    return {label: given[label] for label in dataset.label_names}


def _refuse_collisions(sources: Mapping[str, Dataset], label_maps: LabelMaps) -> None:
    """Without a map, the same position must mean the same label everywhere."""
    unmapped = [name for name in sources if name not in label_maps]
    if len(sources) == 1 or not unmapped:
        return
    first = sources[unmapped[0]].label_names
    for name, dataset in sources.items():
        for position, (ours, theirs) in enumerate(zip(first, dataset.label_names, strict=False)):
            if ours != theirs and name not in label_maps:
                raise InputError(
                    f"label id {position} is {ours!r} in {unmapped[0]} and {theirs!r} in {name}",
                    hint="give each source a label map by name",
                )
        if name in label_maps:
            raise InputError(
                f"{name} has a label map and {unmapped[0]} has none",
                hint="give each source one, so that every name was chosen",
            )


def _all_channels(sources: Mapping[str, Dataset]) -> tuple[Channel, ...]:
    channels: dict[str, Channel] = {}
    for name, dataset in sources.items():
        for channel in dataset.channels:
            known = channels.setdefault(channel.name, channel)
            if known.unit != channel.unit:
                raise InputError(
                    f"channel {channel.name} is in {channel.unit!r} in {name} and in "
                    f"{known.unit!r} elsewhere",
                    hint="map the unit of one of them",
                )
    return tuple(channels.values())


def _renamed(
    name: str, dataset: Dataset, table: LabelIds, channels: tuple[Channel, ...]
) -> list[Recording]:
    columns = [channel.name for channel in dataset.channels]
    return [
        replace(
            each,
            samples=_spread(each, columns, channels),
            label=table[each.label],
            subject=f"{name}/{each.subject}",
            name=f"{name}/{each.name}",
        )
        for each in dataset.recordings
    ]


def _spread(recording: Recording, columns: list[str], channels: tuple[Channel, ...]) -> Samples:
    samples = np.full((len(recording), len(channels)), np.nan, np.float32)
    for position, channel in enumerate(channels):
        if channel.name in columns:
            samples[:, position] = recording.samples[:, columns.index(channel.name)]
    return samples
