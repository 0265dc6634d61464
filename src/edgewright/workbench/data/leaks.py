"""What may not stand on both sides of a split: people, recordings, overlapping windows, and data
that is there twice under two names.

Copies are found in two ways. Bit for bit: runs of 32 samples that occur on both sides, at any
offset. Nearly: windows whose difference is under a hundredth of their own movement, which rounding
or another file format leaves behind. Two people are alike by chance where nothing moves, where a
coarse sensor changes now and then, and where a signal repeats itself: a run or window of few
changes, or one that one side holds again and again, proves nothing and is not compared.
"""

import itertools
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgewright.errors import InputError
from edgewright.workbench.data.recordings import Dataset, Recording
from edgewright.workbench.data.splits import Split
from edgewright.workbench.data.windows import WindowSet

_RUN = 32
_FEWEST_CHANGES = 16
_OFTEN = 8
"""Windows that overlap hold every run some times."""
_COPIED_SHARE = 0.05
_NEAR = 1e-2
_COARSE_STEPS = 10
_CHUNK = 2048
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

_Hashes = NDArray[np.uint64]


def check_leaks(
    dataset: Dataset, split: Split, windows: Mapping[str, WindowSet] | None = None
) -> None:
    """Refuse a split that leaks; `windows` are the cut parts, by name, where they are at hand.

    Raises:
        InputError: what stands on both sides, with the first few names.
    """
    parts = {"train": split.train, "val": split.val, "test": split.test}
    runs = {each.name: _run_hashes(each) for each in dataset.recordings}
    for (one, people), (other, others) in itertools.combinations(parts.items(), 2):
        _refuse_shared("subjects", set(people) & set(others), one, other)
        if people and others:
            known = [runs[each.name] for each in dataset.of_subjects(people).recordings]
            names = [each.name for each in dataset.of_subjects(others).recordings]
            copies = _copied_recordings(known, {name: runs[name] for name in names})
            _refuse_shared("copies of recordings", copies, one, other)
    for (one, left), (other, right) in itertools.combinations((windows or {}).items(), 2):
        check_windows(left, right, names=(one, other))


def check_windows(left: WindowSet, right: WindowSet, *, names: tuple[str, str]) -> None:
    """Refuse two sets of windows that share anything.

    Raises:
        InputError: what they share.
    """
    for what, shared in shared_by_windows(left, right).items():
        _refuse_shared(what, shared, *names)


def shared_by_windows(left: WindowSet, right: WindowSet) -> dict[str, set[str]]:
    """What stands on both sides, by kind; an honest split shares nothing."""
    twins = near_duplicates(left, right)
    return {
        "overlapping windows of": overlapping_recordings(left, right),
        "subjects": set(left.subjects) & set(right.subjects),
        "recordings": set(left.recording.tolist()) & set(right.recording.tolist()),
        "near-duplicate windows": {f"{a}~{b}" for a, b in twins},
    }


def overlapping_recordings(left: WindowSet, right: WindowSet) -> set[str]:
    """Recordings of which both sets hold common samples."""
    shared = set(left.recording.tolist()) & set(right.recording.tolist())
    found = set()
    for name in shared:
        ours = np.sort(left.start[left.recording == name])
        theirs = np.sort(right.start[right.recording == name])
        after = np.searchsorted(ours, theirs)
        gap_before = theirs - ours[np.maximum(after - 1, 0)]
        gap_after = ours[np.minimum(after, len(ours) - 1)] - theirs
        if (np.abs(gap_before) < left.length).any() or (np.abs(gap_after) < left.length).any():
            found.add(name)
    return found


def near_duplicates(left: WindowSet, right: WindowSet) -> list[tuple[int, int]]:
    """Pairs of positions whose windows are the same up to rounding."""
    ours, our_energy = _coarse(left)
    theirs, their_energy = _coarse(right)
    pairs: list[tuple[int, int]] = []
    for first in range(0, len(ours), _CHUNK):
        block = slice(first, first + _CHUNK)
        squared = our_energy[block, None] + their_energy[None] - 2 * ours[block] @ theirs.T
        near = squared < _NEAR**2 * np.minimum(our_energy[block, None], their_energy[None])
        pairs += [(first + int(a), int(b)) for a, b in np.argwhere(near)]
    return [pair for pair in pairs if _same_window(left.x[pair[0]], right.x[pair[1]])]


def _refuse_shared(what: str, shared: set[str], one: str, other: str) -> None:
    if not shared:
        return
    some = ", ".join(sorted(shared)[:5]) + (", ..." if len(shared) > 5 else "")
    raise InputError(
        f"leak: {what} {some} ({len(shared)}) stand in {one} and in {other}",
        hint="split by subject, and import each recording once",
    )


def _copied_recordings(left: list[_Hashes], right: Mapping[str, _Hashes]) -> set[str]:
    every, times = np.unique(np.concatenate(left), return_counts=True)
    known: _Hashes = every[times <= _OFTEN]
    return {
        name
        for name, hashes in right.items()
        if len(hashes) and _is_among(hashes, known).mean() > _COPIED_SHARE
    }


def _is_among(hashes: _Hashes, known: _Hashes) -> NDArray[np.bool_]:
    """Which of some hashes occur in a sorted list."""
    if not len(known):
        return np.zeros(len(hashes), bool)
    at = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    return np.asarray(known[at] == hashes)


def _run_hashes(recording: Recording) -> _Hashes:
    """One hash for every run of samples that holds enough movement."""
    samples = np.ascontiguousarray(recording.samples)
    if len(samples) < _RUN:
        return np.zeros(0, np.uint64)
    bits = samples.view(np.uint32).astype(np.uint64)
    rows = np.zeros(len(bits), np.uint64)
    for column in bits.T:
        rows = (rows ^ column) * _MULTIPLIER
    runs, length = rows, 1
    while length < _RUN:  # a run of twice the length is two that follow each other
        runs = ((runs[:-length] * _MULTIPLIER) ^ (runs[length:] >> np.uint64(7))) * _MULTIPLIER
        length *= 2
    changes = np.concatenate(([0], np.cumsum(rows[1:] != rows[:-1])))
    return runs[changes[_RUN - 1 :] - changes[: len(runs)] >= _FEWEST_CHANGES]


def _coarse(windows: WindowSet) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Each window without its mean, in a few steps, and the energy of that."""
    steps = min(_COARSE_STEPS, windows.length)
    kept = windows.length // steps * steps
    shape = (len(windows), steps, kept // steps, windows.x.shape[2])
    coarse = np.nan_to_num(windows.x[:, :kept]).reshape(shape).mean(axis=2)
    coarse -= coarse.mean(axis=1, keepdims=True)
    flat = coarse.reshape(len(windows), -1).astype(np.float32)
    return flat, np.einsum("ij,ij->i", flat, flat)


def _same_window(left: NDArray[np.float32], right: NDArray[np.float32]) -> bool:
    left, right = np.nan_to_num(left), np.nan_to_num(right)
    changes = np.count_nonzero((left[1:] != left[:-1]).any(axis=1))
    if changes < min(_FEWEST_CHANGES, len(left) // 2):
        return False
    movement = left - left.mean(axis=0)
    return bool(np.linalg.norm(left - right) < _NEAR * np.linalg.norm(movement))
