"""The npz that samples are picked from."""

from pathlib import Path

import msgspec

from edgewright import _fs, _npz
from edgewright.errors import InputError
from edgewright.runtimes.base import Array

SCORE_NAMES = ("probabilities", "logits", "scores")
EMBEDDING_NAMES = ("embeddings", "latent", "latent_embedding")
_LIMIT_BYTES = 4 << 30


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """Scores of unlabelled samples, and where each lies in the model's own space if known."""

    scores: Array
    embeddings: Array | None = None


def read_pool(path: Path) -> Pool:
    """A file with `probabilities` or `logits`, and `embeddings` if there are any.

    Raises:
        InputError: no such file, or it has no scores.
    """
    content = _fs.read_limited(path, limit_bytes=_LIMIT_BYTES)
    arrays = _npz.decode_npz(content, source=str(path))
    scores = next((arrays[name] for name in SCORE_NAMES if name in arrays), None)
    if scores is None:
        raise InputError(
            f"{path} has no array called {' or '.join(SCORE_NAMES)}, it has {sorted(arrays)}",
            hint="store the model's class scores under one of these names",
        )
    embeddings = next((arrays[name] for name in EMBEDDING_NAMES if name in arrays), None)
    return Pool(scores=scores, embeddings=embeddings)
