"""How far confidence can be believed: the bins behind the expected calibration error. Pure."""

import msgspec
import numpy as np
from numpy.typing import NDArray

BINS = 15


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """Rows whose confidence lies in [low, high): how sure the model was, how often it was right."""

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: float


def reliability(logits: NDArray[np.floating], y: NDArray[np.integer]) -> tuple[Bin, ...]:
    """The bins that hold any row.

    >>> [(b.rows, b.accuracy) for b in reliability(np.array([[9.0, 0], [0, 9]]), np.array([0, 0]))]
    [(2, 0.5)]
    """
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    share = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    confidence, right = share.max(axis=1), share.argmax(axis=1) == y
    where = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return tuple(
        Bin(
            low=at / BINS,
            high=(at + 1) / BINS,
            rows=int((where == at).sum()),
            confidence=float(confidence[where == at].mean()),
            accuracy=float(right[where == at].mean()),
        )
        for at in np.unique(where).tolist()
    )
