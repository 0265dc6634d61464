"""Recordings to windows: what a model sees. A window never crosses the end of a recording or a
change of label, and it remembers whose it is.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgewright.contract import Channel
from edgewright.errors import InputError
from edgewright.steps import window
from edgewright.workbench.data.recordings import Dataset, Recording
from edgewright.workbench.data.samples import Rows, hash_samples
from edgewright.workbench.data.timebase import at_rate


@dataclass(frozen=True, eq=False)
class WindowSet:
    """Windows x [n, length, channels] with class y, and for each its person, its recording and the
    sample of the recording that it begins with.

    `origin` names the dataset's hash; `warning` is what a report must say about these windows.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    subject: NDArray[np.str_]
    recording: NDArray[np.str_]
    start: NDArray[np.int64]
    channels: tuple[Channel, ...]
    label_names: tuple[str, ...]
    rate_hz: float
    origin: str = ""
    warning: str = ""

    def __post_init__(self) -> None:
        lengths = {len(self.x), len(self.y), len(self.subject), len(self.recording)}
        if self.x.ndim != 3 or len(lengths) != 1 or len(self.start) not in lengths:
            raise InputError(f"windows {list(self.x.shape)} and their labels do not fit together")

    def __len__(self) -> int:
        return len(self.x)

    @property
    def length(self) -> int:
        """Samples in a window."""
        return int(self.x.shape[1])

    @property
    def inputs(self) -> Mapping[str, Rows]:
        """The windows, as samples of any kind."""
        return {"x": self.x}

    @property
    def target(self) -> NDArray[np.int64]:
        """The class numbers."""
        return self.y

    @property
    def group(self) -> NDArray[np.str_]:
        """The people."""
        return self.subject

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes."""
        return self.label_names

    def content_hash(self) -> str:
        """sha256 of windows, classes and channels."""
        said = repr([(c.name, c.unit) for c in self.channels]).encode()
        return hashlib.sha256(hash_samples(self).encode() + said).hexdigest()

    @property
    def subjects(self) -> tuple[str, ...]:
        """The people in it, sorted as texts."""
        return tuple(sorted(set(self.subject.tolist())))

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> "WindowSet":
        """Some of the windows."""
        return replace(
            self,
            x=self.x[rows],
            y=self.y[rows],
            subject=self.subject[rows],
            recording=self.recording[rows],
            start=self.start[rows],
        )

    def labelled(self, warning: str) -> "WindowSet":
        """The same windows with a sentence that every report repeats."""
        return replace(self, warning=warning)


def cut_windows(
    dataset: Dataset,
    subjects: Iterable[str],
    *,
    length: int,
    hop: int,
    rate_hz: float | None = None,
) -> WindowSet:
    """The labelled windows of some people, one every `hop` samples, at the dataset's rate or
    another.

    Raises:
        InputError: a person is unknown, or no labelled stretch is long enough.
    """
    if length < 1 or hop < 1:
        raise InputError(f"length {length} and hop {hop} must be 1 or more")
    chosen = at_rate(dataset.of_subjects(subjects), rate_hz or dataset.rate_hz)
    stretches = [(r, a, b) for r in chosen.recordings for a, b in _stretches(r, length)]
    if not stretches:
        raise InputError(
            f"{dataset.source}: no labelled stretch has {length} samples",
            hint="shorten the window or label more of the data",
        )
    x = [window(r.samples[a:b], length=length, hop=hop) for r, a, b in stretches]
    counts = [len(part) for part in x]
    return WindowSet(
        x=np.concatenate(x),
        y=np.repeat([int(r.label[a]) for r, a, _ in stretches], counts).astype(np.int64),
        subject=np.repeat([r.subject for r, _, _ in stretches], counts),
        recording=np.repeat([r.name for r, _, _ in stretches], counts),
        start=np.concatenate(
            [a + hop * np.arange(len(part)) for (_, a, _), part in zip(stretches, x, strict=True)]
        ),
        channels=dataset.channels,
        label_names=dataset.label_names,
        rate_hz=chosen.rate_hz,
        origin=dataset.content_hash,
    )


def absent_as_zeros(windows: WindowSet) -> WindowSet:
    """A channel that is NaN for a whole window was never measured; devices send zeros for it."""
    absent = np.isnan(windows.x).all(axis=1, keepdims=True)
    return replace(windows, x=np.where(absent, np.float32(0), windows.x))


def as_sent(windows: WindowSet) -> WindowSet:
    """The windows as devices send them: zeros for a sensor that a recording was made without.

    Raises:
        InputError: a value that a window should have is not finite; no device may send that.
    """
    sent = absent_as_zeros(windows)
    bad = np.flatnonzero(~np.isfinite(sent.x).all(axis=(1, 2)))
    if len(bad):
        raise InputError(
            f"{len(bad)} windows hold values that are not finite, one of recording "
            f"{windows.recording[bad[0]]!r} among them",
            hint="`data clean --repair unlabel-bad-samples` leaves them out",
        )
    return sent


def _stretches(recording: Recording, length: int) -> Iterator[tuple[int, int]]:
    """Where one label holds for long enough."""
    label = np.asarray(recording.label)
    edges = [0, *(np.flatnonzero(np.diff(label)) + 1).tolist(), len(label)]
    for start, stop in itertools.pairwise(edges):
        if stop - start >= length and label[start] >= 0:
            yield start, stop
