"""What can be wrong with one channel of one recording. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HUGE = 1e6
"""No sensor reads more, in any unit that datasets hold."""

_FLAT_S = 1.0
_CLIPPED_SHARE = 1e-3
_OUTLIER_SIGMAS = 12.0

_Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class SignalFault:
    """How many samples are wrong, and the position of the first or worst of them."""

    code: str
    count: int
    at: int
    text: str


def check_channel(values: NDArray[np.float32], rate_hz: float) -> Iterator[SignalFault]:
    """Holes, huge values, standstill, clipping and outliers."""
    finite = np.isfinite(values)
    if not finite.all():
        bad = int((~finite).sum())
        at, longest = _longest_run(~finite)
        yield SignalFault(
            "not-finite",
            bad,
            at,
            f"{bad} samples are NaN or infinite, {longest / rate_hz:.2f} s at most in one piece",
        )
    if int(finite.sum()) < 2:
        return
    is_huge = np.abs(np.where(finite, values, 0.0)) > HUGE
    huge = int(is_huge.sum())
    if huge:
        at = int(np.argmax(is_huge))
        text = f"{huge} samples are beyond {HUGE:g}; no sensor reads that"
        yield SignalFault("huge", huge, at, text)
    at, flat = _longest_run(np.diff(values) == 0)
    known = np.where(finite & ~is_huge, values, np.nan).astype(np.float64)
    if flat + 1 > _FLAT_S * rate_hz:
        text = f"stands still for {(flat + 1) / rate_hz:.2f} s; a stuck sensor?"
        yield SignalFault("flat", flat + 1, at, text)
    else:
        yield from _check_clipping(known)
    yield from _check_outliers(known)


def _check_clipping(values: NDArray[np.float64]) -> Iterator[SignalFault]:
    """Several samples in a row on the very extreme are a full scale that was reached."""
    known = values[~np.isnan(values)]
    if not len(known):
        return
    for edge in (known.min(), known.max()):
        at_edge = values == edge
        pairs = at_edge[1:] & at_edge[:-1]
        clipped = int(pairs.sum())
        if clipped > max(2, _CLIPPED_SHARE * len(values)):
            text = f"{clipped} samples in a row lie on {edge:g}"
            yield SignalFault("clipped", clipped, int(np.argmax(pairs)), text)


def _check_outliers(values: NDArray[np.float64]) -> Iterator[SignalFault]:
    known = values[~np.isnan(values)]
    if not len(known):
        return
    std = float(known.std())
    if np.abs(known - known.mean()).max() < (_OUTLIER_SIGMAS - 1.0) * std:
        return  # the median is within one std of the mean: nothing can be far enough from it
    middle = np.median(known)
    away = np.abs(values - middle)
    spread = max(1.4826 * float(np.nanmedian(away)), std)
    if spread <= 0:
        return
    is_far = away > _OUTLIER_SIGMAS * spread
    far = int(is_far.sum())
    if far:
        text = f"{far} samples are over {_OUTLIER_SIGMAS:g} spreads from the median"
        yield SignalFault("outlier", far, int(np.nanargmax(away)), text)


def _longest_run(flags: _Bools) -> tuple[int, int]:
    """Where the longest run of true begins, and how long it is."""
    if not flags.any():
        return 0, 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    lengths = edges[1::2] - edges[::2]
    longest = int(np.argmax(lengths))
    return int(edges[2 * longest]), int(lengths[longest])
