"""What an embedding is worth: two simple classifiers on it, tested on people never trained on.

A linear probe (ridge regression on one-hot classes, which has one solution) and the five nearest
neighbours by cosine. Pure.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.workbench.train.metrics import Metrics, score

MOST_ROWS = 5000
_NEIGHBOURS = 5
_RIDGE = 1.0
_BLOCK = 512

_Floats = NDArray[np.float32]
_Ints = NDArray[np.int64]


class EmbeddingQuality(msgspec.Struct, frozen=True, kw_only=True):
    """Scores of both classifiers; `rows` were learnt from."""

    name: str
    size: int
    rows: int
    linear_probe: Metrics
    nearest_neighbours: Metrics


def embedding_quality(
    train: tuple[_Floats, _Ints],
    test: tuple[_Floats, _Ints],
    *,
    group: NDArray[np.str_],
    labels: tuple[str, ...],
    name: str = "latent",
    warning: str = "",
) -> EmbeddingQuality:
    """Embeddings [n, size] with classes; `group` names the people of the test rows."""
    x, y = _some(train)
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    known, asked = (x - mean) / spread, (test[0] - mean) / spread
    found = {
        "linear": linear_probe(known, y, asked, classes=len(labels)),
        "near": nearest_neighbours(known, y, asked, classes=len(labels)),
    }
    scored = {
        way: score(logits, test[1], subject=group, labels=labels, warning=warning)
        for way, logits in found.items()
    }
    return EmbeddingQuality(
        name=name,
        size=x.shape[1],
        rows=len(x),
        linear_probe=scored["linear"],
        nearest_neighbours=scored["near"],
    )


def linear_probe(x: _Floats, y: _Ints, asked: _Floats, *, classes: int) -> _Floats:
    """Scores of a ridge classifier that learnt from x and y."""
    one = np.c_[x, np.ones(len(x), np.float32)].astype(np.float64)
    wanted = np.eye(classes)[y]
    gram = one.T @ one + _RIDGE * np.diag([*np.ones(x.shape[1]), 0.0])
    weights = np.linalg.solve(gram, one.T @ wanted)
    logits: _Floats = (np.c_[asked, np.ones(len(asked))] @ weights).astype(np.float32)
    return logits


def nearest_neighbours(x: _Floats, y: _Ints, asked: _Floats, *, classes: int) -> _Floats:
    """Votes of the nearest five by cosine; a nearer one breaks a tie."""
    known = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    count = min(_NEIGHBOURS, len(x))
    votes = np.zeros((len(asked), classes), np.float32)
    for first in range(0, len(asked), _BLOCK):
        block = asked[first : first + _BLOCK]
        alike = block @ known.T
        near = np.argpartition(-alike, count - 1, axis=1)[:, :count]
        weight = 1.0 + 1e-3 * np.take_along_axis(alike, near, axis=1) / np.maximum(
            np.linalg.norm(block, axis=1, keepdims=True), 1e-12
        )
        rows = np.repeat(np.arange(first, first + len(block)), count)
        np.add.at(votes, (rows, y[near].reshape(-1)), weight.reshape(-1))
    return votes


def _some(rows: tuple[_Floats, _Ints]) -> tuple[_Floats, _Ints]:
    x, y = rows
    if len(x) <= MOST_ROWS:
        return x, y
    chosen = np.sort(np.random.default_rng(0).permutation(len(x))[:MOST_ROWS])
    return x[chosen], y[chosen]
