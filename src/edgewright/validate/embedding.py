"""Do the answers still depend on the questions? Norms, spread and collapse of float outputs.

A model that lost its input (a dead layer, a server that answers from a cache, random weights scaled
to nothing) gives vectors of plausible shape. Faults are only what no sound model does: all answers
the same to the last digit or all but so, or vectors of norm zero. The figures beside them are for
people.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

LEAST_ANSWERS = 4
LEAST_WIDTH = 8
COLLAPSED_COSINE = 0.999999
_STILL = 1e-9

Outputs = Mapping[str, NDArray[Any]]


class EmbeddingSanity(msgspec.Struct, frozen=True, kw_only=True):
    """Of the widest float output over distinct questions: `norm_low`, `norm_high`; `cosine`, the
    mean between different answers (1: all point one way); `dead_share` of the dimensions that never
    change. Empty `output` where there was nothing to look at.
    """

    output: str = ""
    answers: int = 0
    width: int = 0
    norm_low: float = 0.0
    norm_high: float = 0.0
    cosine: float = 0.0
    dead_share: float = 0.0
    fault: str = ""


def embedding_sanity(answers: Sequence[Outputs]) -> EmbeddingSanity:
    """Look at the answers to different questions.

    >>> still = [{"z": np.ones((1, 8), np.float32)}] * 4
    >>> embedding_sanity(still).fault
    '4 different questions all got the same answer'
    """
    floats = [
        {name: array for name, array in one.items() if array.dtype.kind == "f" and array.size}
        for one in answers
    ]
    if len(floats) < LEAST_ANSWERS or not all(floats):
        return EmbeddingSanity()
    names = set.intersection(*(set(one) for one in floats))
    shared = [name for name in sorted(names) if len({one[name].size for one in floats}) == 1]
    if len(shared) < len(floats[0]) or not shared:
        return EmbeddingSanity()
    if all(_is_still(np.stack([one[name].ravel() for one in floats])) for name in shared):
        fault = f"{len(floats)} different questions all got the same answer"
        return EmbeddingSanity(answers=len(floats), fault=fault)
    flat = [name for name in shared if floats[0][name].ndim <= 2]
    if not flat:
        return EmbeddingSanity()
    name = max(flat, key=lambda one: floats[0][one].size)
    vectors = np.stack([one[name].ravel() for one in floats]).astype(np.float64)
    return _sanity(name, vectors)


def _is_still(vectors: NDArray[Any]) -> bool:
    return bool((vectors == vectors[0]).all())


def _sanity(name: str, vectors: NDArray[np.float64]) -> EmbeddingSanity:
    count, width = vectors.shape
    norms = np.linalg.norm(vectors, axis=1)
    if width < LEAST_WIDTH or not np.isfinite(vectors).all() or _are_probabilities(vectors):
        return EmbeddingSanity()
    zero = int((norms == 0).sum())
    cosine = 0.0
    if not zero:
        mean = (vectors / norms[:, None]).sum(axis=0)
        cosine = float((mean @ mean - count) / (count * (count - 1)))
    spread = vectors.max(axis=0) - vectors.min(axis=0)
    dead = float((spread <= _STILL * np.abs(vectors).max(initial=0.0)).mean())
    return EmbeddingSanity(
        output=name,
        answers=count,
        width=width,
        norm_low=float(norms.min()),
        norm_high=float(norms.max()),
        cosine=cosine,
        dead_share=dead,
        fault=_fault(name, count, zero, cosine, norms),
    )


def _are_probabilities(vectors: NDArray[np.float64]) -> bool:
    """A sure classifier may well give many questions the same class."""
    return bool((vectors >= 0).all() and (np.abs(vectors.sum(axis=1) - 1) < 1e-3).all())


def _fault(name: str, count: int, zero: int, cosine: float, norms: NDArray[np.float64]) -> str:
    if zero:
        return f"output {name!r}: {zero} of {count} answers are all zero"
    is_one_length = float(norms.max() / norms.min()) < 1.001
    if cosine > COLLAPSED_COSINE and is_one_length:
        return (
            f"output {name!r} has collapsed: answers to {count} different questions have a mean "
            f"cosine of {cosine:.7f}"
        )
    return ""
