"""A few windows that stand for all: what a quantiser looks at. Pure; the seed decides.

Every class, person and third of intensity (how much a window moves within its class) gets the same
number of places; what one cannot fill goes to the others.
"""

import hashlib
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgewright.errors import InputError
from edgewright.workbench.data.samples import Samples
from edgewright.workbench.data.windows import WindowSet

DEFAULT_COUNT = 2_000
_THIRDS = (1 / 3, 2 / 3)

S = TypeVar("S", bound=Samples)


def draw_calibration(samples: S, *, count: int = DEFAULT_COUNT, seed: int = 0) -> S:
    """At most `count` rows, stratified; all of them when there are fewer. Rows that are no windows
    are drawn evenly over classes, or over groups where there are none.

    Raises:
        InputError: `count` is not above 0.
    """
    if count < 1:
        raise InputError(f"a calibration set of {count} windows", hint="ask for 1 or more")
    rng = np.random.default_rng(seed)
    found = _strata(samples) if isinstance(samples, WindowSet) else _plain_strata(samples)
    strata = [rng.permutation(rows) for rows in found]
    turns = max((len(rows) for rows in strata), default=0)
    order = [
        rows[turn] for turn in range(turns) for rows in _shuffled(strata, rng) if turn < len(rows)
    ]
    return samples.take(np.sort(np.array(order[:count], np.intp)))


def windows_hash(windows: WindowSet) -> str:
    """sha256 of the windows themselves, which lineage carries."""
    digest = hashlib.sha256(repr(windows.x.shape).encode())
    digest.update(np.ascontiguousarray(windows.x).data)
    digest.update(np.ascontiguousarray(windows.y).data)
    return digest.hexdigest()


def _strata(windows: WindowSet) -> list[NDArray[np.intp]]:
    intensity = np.nan_to_num(windows.x.std(axis=1)).mean(axis=1)
    found = []
    for label in np.unique(windows.y):
        of_class = windows.y == label
        third = np.searchsorted(np.quantile(intensity[of_class], _THIRDS), intensity, side="right")
        for who in windows.subjects:
            for part in range(3):
                rows = np.flatnonzero(of_class & (windows.subject == who) & (third == part))
                if len(rows):
                    found.append(rows)
    return found


def _plain_strata(samples: Samples) -> list[NDArray[np.intp]]:
    has_classes = bool(samples.labels) and samples.target.ndim == 1
    key = samples.target if has_classes else samples.group
    return [np.flatnonzero(key == one) for one in np.unique(key)]


def _shuffled(strata: list[NDArray[np.intp]], rng: np.random.Generator) -> list[NDArray[np.intp]]:
    """In another order every turn, so that a cut in the middle of one favours nobody."""
    return [strata[at] for at in rng.permutation(len(strata))]
