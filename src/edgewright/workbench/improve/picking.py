"""Which samples are worth a label: those the model is unsure of, and no two alike.

Uncertainty decides which samples are looked at, distance between embeddings spreads the choice
over them: the next pick is the uncertain sample that is farthest from all picked so far.
"""

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.errors import InputError
from edgewright.runtimes.base import Array

Uncertainty = Literal["entropy", "margin", "confidence"]

POOL_FACTOR = 5
"""Diversity is looked for among this many times the budget of the most uncertain samples."""

_TOLERANCE = 1e-3


class Pick(msgspec.Struct, frozen=True, kw_only=True):
    """One chosen sample, in the order of choice."""

    index: int
    uncertainty: float
    distance: float


def pick(
    scores: Array,
    embeddings: Array | None,
    budget: int,
    *,
    uncertainty: Uncertainty = "margin",
) -> tuple[Pick, ...]:
    """The samples to label, at most `budget`. `scores` are probabilities or logits.

    >>> import numpy as np
    >>> scores = np.array([[0.9, 0.1], [0.5, 0.5], [0.55, 0.45], [0.99, 0.01]])
    >>> places = np.array([[0.0], [1.0], [1.01], [9.0]])
    >>> [chosen.index for chosen in pick(scores, places, 2)]
    [1, 3]

    Raises:
        InputError: the arrays do not fit together, or the budget is not 1 or more.
    """
    _check(scores, embeddings, budget)
    doubt = doubt_of(probabilities(scores), uncertainty)
    pool = np.argsort(-doubt, kind="stable")[: max(POOL_FACTOR * budget, budget)]
    if embeddings is None:
        return tuple(_pick(int(row), doubt, 0.0) for row in pool[:budget])
    return _spread(pool, doubt, embeddings.reshape(len(embeddings), -1), budget)


def probabilities(scores: Array) -> NDArray[np.float64]:
    """Rows that sum to 1; logits go through a softmax."""
    values = scores.astype(np.float64)
    if (values >= 0).all() and np.allclose(values.sum(axis=1), 1.0, atol=_TOLERANCE):
        return values
    shifted = np.exp(values - values.max(axis=1, keepdims=True))
    normalised: NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
    return normalised


def doubt_of(shares: NDArray[np.float64], uncertainty: Uncertainty) -> NDArray[np.float64]:
    """How unsure the model is, 0 (sure) to 1, per row."""
    ordered = np.sort(shares, axis=1)
    match uncertainty:
        case "margin":
            doubt = 1.0 - (ordered[:, -1] - ordered[:, -2])
        case "confidence":
            doubt = 1.0 - ordered[:, -1]
        case "entropy":
            logs = np.log(np.maximum(shares, 1e-12))
            doubt = -(shares * logs).sum(axis=1) / np.log(shares.shape[1])
    return np.asarray(doubt, np.float64)


def _spread(
    pool: NDArray[np.intp], doubt: NDArray[np.float64], places: Array, budget: int
) -> tuple[Pick, ...]:
    """Farthest first, from the most uncertain sample on."""
    spots = places[pool].astype(np.float64)
    spots /= np.maximum(spots.std(axis=0), 1e-12)
    nearest = np.full(len(pool), np.inf)
    chosen: list[Pick] = []
    position = 0
    while len(chosen) < min(budget, len(pool)):
        reached = float(nearest[position])
        chosen.append(_pick(int(pool[position]), doubt, 0.0 if np.isinf(reached) else reached))
        distances = np.linalg.norm(spots - spots[position], axis=1)
        nearest = np.minimum(nearest, distances)
        nearest[position] = -1.0
        position = int(np.argmax(nearest * (0.5 + doubt[pool])))
    return tuple(chosen)


def _pick(row: int, doubt: NDArray[np.float64], distance: float) -> Pick:
    return Pick(index=row, uncertainty=float(doubt[row]), distance=distance)


def _check(scores: Array, embeddings: Array | None, budget: int) -> None:
    if budget < 1:
        raise InputError(f"budget is {budget}, expected 1 or more")
    if scores.ndim != 2 or scores.shape[1] < 2 or not len(scores):
        raise InputError(
            f"scores have shape {list(scores.shape)}, expected [samples, 2 or more classes]"
        )
    if not np.isfinite(scores).all():
        raise InputError("scores hold NaN or infinity", hint="drop these samples")
    if embeddings is not None and len(embeddings) != len(scores):
        raise InputError(f"{len(embeddings)} embeddings and {len(scores)} scores do not pair")
    if embeddings is not None and not np.isfinite(embeddings).all():
        raise InputError("embeddings hold NaN or infinity", hint="drop these samples")
