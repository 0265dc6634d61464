"""The values of the room: one recording, and the set of them that a model is made from."""

import functools
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.contract import Channel
from edgewright.errors import InputError

UNLABELLED = -1

Samples = NDArray[np.float32]
LabelIds = NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class Recording:
    """One person, one unbroken stretch of time: samples [time, channels] at an even rate."""

    samples: Samples
    label: LabelIds
    subject: str
    name: str
    rate_hz: float

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or self.samples.dtype != np.float32:
            raise InputError(
                f"recording {self.name!r}: samples must be float32 [time, channels], "
                f"got {self.samples.dtype} {list(self.samples.shape)}"
            )
        if self.label.shape != self.samples.shape[:1] or self.label.dtype != np.int16:
            raise InputError(
                f"recording {self.name!r}: {len(self.samples)} samples need as many int16 labels, "
                f"got {self.label.dtype} {list(self.label.shape)}"
            )
        if not self.rate_hz > 0:
            raise InputError(f"recording {self.name!r}: rate {self.rate_hz:g} Hz is not above 0")

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.samples) / self.rate_hz

    @functools.cached_property
    def digest(self) -> bytes:
        """sha256 of everything it holds."""
        head = msgspec.json.encode([self.name, self.subject, self.rate_hz, self.samples.shape])
        state = hashlib.sha256(head)
        state.update(np.ascontiguousarray(self.samples).data)
        state.update(np.ascontiguousarray(self.label).data)
        return state.digest()


@dataclass(frozen=True, eq=False)
class Dataset:
    """Recordings that share channels, labels and rate.

    `label` of a recording is a position in `label_names`, or -1. `notes` say what the reading did
    to the data (a split at a clock that ran backwards, say); they are no part of the content hash.
    """

    recordings: tuple[Recording, ...]
    channels: tuple[Channel, ...]
    label_names: tuple[str, ...]
    rate_hz: float
    source: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.recordings:
            raise InputError(f"{self.source}: no recordings in it", hint="check the file")
        if len(set(self.label_names)) != len(self.label_names):
            raise InputError(f"{self.source}: label names {list(self.label_names)} repeat")
        names = [recording.name for recording in self.recordings]
        if len(set(names)) != len(names):
            raise InputError(f"{self.source}: two recordings share a name")
        for recording in self.recordings:
            self._check(recording)

    def _check(self, recording: Recording) -> None:
        where = f"{self.source}: recording {recording.name!r}"
        if recording.samples.shape[1] != len(self.channels):
            raise InputError(
                f"{where} has {recording.samples.shape[1]} channels, the dataset "
                f"{len(self.channels)}"
            )
        if recording.rate_hz != self.rate_hz:
            raise InputError(
                f"{where} has {recording.rate_hz:g} Hz, the dataset {self.rate_hz:g}",
                hint="resample one of them",
            )
        if len(recording) and not (
            recording.label.min() >= UNLABELLED and recording.label.max() < len(self.label_names)
        ):
            raise InputError(
                f"{where} has labels {recording.label.min()}..{recording.label.max()}, "
                f"the dataset names 0..{len(self.label_names) - 1}"
            )

    @functools.cached_property
    def content_hash(self) -> str:
        """sha256 over the content; neither file names nor the order of recordings matter."""
        head = [
            msgspec.to_builtins(self.channels),
            list(self.label_names),
            self.rate_hz,
            sorted(recording.digest.hex() for recording in self.recordings),
        ]
        return hashlib.sha256(msgspec.json.encode(head)).hexdigest()

    @functools.cached_property
    def by_subject(self) -> Mapping[str, tuple[Recording, ...]]:
        """The recordings of every person; people in natural order ("2" before "10")."""
        found: dict[str, list[Recording]] = {}
        for recording in self.recordings:
            found.setdefault(recording.subject, []).append(recording)
        return {who: tuple(found[who]) for who in natural_order(found)}

    @property
    def subjects(self) -> tuple[str, ...]:
        """Every person, in natural order."""
        return tuple(self.by_subject)

    @functools.cached_property
    def sample_count(self) -> int:
        """Samples of all recordings together."""
        return sum(len(recording) for recording in self.recordings)

    def of_subjects(self, subjects: Iterable[str]) -> "Dataset":
        """The recordings of some people.

        Raises:
            InputError: a person is not in the dataset.
        """
        wanted = set(subjects)
        unknown = wanted - set(self.subjects)
        if unknown:
            raise InputError(
                f"subjects {list(natural_order(unknown))} are not in {self.source}",
                hint=f"it has {list(self.subjects)}",
            )
        kept = tuple(r for r in self.recordings if r.subject in wanted)
        return replace(self, recordings=kept)

    def with_labels(self, names: Iterable[str]) -> "Dataset":
        """Only some labels, renumbered in the order given; samples of others become unlabelled.

        Raises:
            InputError: a label is not in the dataset.
        """
        kept = tuple(names)
        unknown = [name for name in kept if name not in self.label_names]
        if unknown:
            raise InputError(
                f"labels {unknown} are not in {self.source}", hint=f"it has {self.label_names}"
            )
        table = np.full(len(self.label_names) + 1, UNLABELLED, np.int16)
        for position, name in enumerate(kept):
            table[self.label_names.index(name)] = position
        recordings = tuple(replace(r, label=table[r.label]) for r in self.recordings)
        return replace(self, recordings=recordings, label_names=kept)


def natural_order(names: Iterable[str]) -> tuple[str, ...]:
    """Names sorted with numbers by value.

    >>> natural_order(["10", "2", "ann"])
    ('2', '10', 'ann')
    """
    return tuple(sorted(names, key=_by_number))


def _by_number(name: str) -> tuple[bool, int, str]:
    is_number = name.isascii() and name.isdigit()
    return (not is_number, int(name) if is_number else 0, name)
