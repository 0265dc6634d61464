"""Repairs of a dataset: each has a name and says what it did. Pure; nothing is repaired unasked."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgewright.contract.decoding import suggestion
from edgewright.errors import InputError
from edgewright.workbench.data.recordings import UNLABELLED, Dataset, Recording

_HUGE = 1e6
_LONGEST_FILL_S = 0.1


@dataclass(frozen=True)
class Cleaned:
    """A dataset after repairs, with one line for each that did something."""

    dataset: Dataset
    done: tuple[str, ...]


def clean_dataset(dataset: Dataset, repairs: tuple[str, ...]) -> Cleaned:
    """Apply repairs by name, in the order given.

    Raises:
        InputError: an unknown repair, or nothing is left.
    """
    done: list[str] = []
    for name in repairs:
        if name not in REPAIRS:
            raise InputError(f"repair {name!r} is not known", hint=suggestion(name, list(REPAIRS)))
        dataset, found = REPAIRS[name](dataset)
        done += [f"{name}: {line}" for line in found]
    return Cleaned(dataset, tuple(done))


def _fill_short_holes(dataset: Dataset) -> tuple[Dataset, list[str]]:
    """Runs of NaN up to 0.1 s between two measured samples become the line between them."""
    recordings, done = [], []
    for each in dataset.recordings:
        samples = np.array(each.samples)
        longest = round(_LONGEST_FILL_S * each.rate_hz)
        filled = sum(_fill(column, longest) for column in samples.T)
        recordings.append(replace(each, samples=samples) if filled else each)
        if filled:
            done.append(f"{filled} samples of recording {each.name} are between their neighbours")
    return replace(dataset, recordings=tuple(recordings)), done


def _fill(values: NDArray[np.float32], longest: int) -> int:
    bad = ~np.isfinite(values)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], bad, [False]]).astype(np.int8)))
    filled = 0
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        if start == 0 or stop == len(values) or stop - start > longest:
            continue
        line = np.linspace(values[start - 1], values[stop], stop - start + 2)[1:-1]
        values[start:stop] = line
        filled += int(stop - start)
    return filled


def _unlabel_bad_samples(dataset: Dataset) -> tuple[Dataset, list[str]]:
    """Samples that are not finite or beyond any sensor lose their label, so that no window holds
    one; a channel that is absent from the whole recording does not count.
    """
    recordings, done = [], []
    for each in dataset.recordings:
        present = np.isfinite(each.samples).any(axis=0)
        known = each.samples[:, present]
        bad = (~np.isfinite(known) | (np.abs(known) > _HUGE)).any(axis=1)
        lost = int((bad & (each.label != UNLABELLED)).sum())
        label = np.where(bad, np.int16(UNLABELLED), each.label)
        recordings.append(replace(each, label=label) if lost else each)
        if lost:
            done.append(f"{lost} samples of recording {each.name} are not learnt from")
    return replace(dataset, recordings=tuple(recordings)), done


def _drop_copies(dataset: Dataset) -> tuple[Dataset, list[str]]:
    """Recordings that hold the same samples as an earlier one go."""
    seen: dict[bytes, Recording] = {}
    done = []
    for each in dataset.recordings:
        first = seen.setdefault(np.ascontiguousarray(each.samples).tobytes(), each)
        if first is not each:
            done.append(f"recording {each.name} is a copy of {first.name}, dropped")
    return replace(dataset, recordings=tuple(seen.values())), done


Repair = Callable[[Dataset], tuple[Dataset, list[str]]]

REPAIRS: dict[str, Repair] = {
    "fill-short-holes": _fill_short_holes,
    "unlabel-bad-samples": _unlabel_bad_samples,
    "drop-copies": _drop_copies,
}
