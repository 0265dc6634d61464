"""The search's own folder: variants and scores made so far, so that a killed search goes on where
it stopped. It lies inside the output folder, belongs to one set of inputs, and goes when the report
is written.
"""

import hashlib
from pathlib import Path

import msgspec

from edgewright import _fs, _npz
from edgewright.errors import UnavailableError
from edgewright.runtimes.base import Array
from edgewright.workbench.optimize.variants import VariantRecipe

_PREFIX = ".search-"
_SPENT = "cpu_s.json"
_LIMIT_BYTES = 2**31 - 1


class Workspace:
    """Files by recipe. Whole or absent: everything is written as one step."""

    def __init__(self, out: Path, key: str) -> None:
        self.folder = out / f"{_PREFIX}{key[:16]}"

    def open(self) -> None:
        """Make the folder and remove those of other searches."""
        for other in self.folder.parent.glob(f"{_PREFIX}*"):
            if other != self.folder:
                _fs.remove_tree(other)
        _fs.make_dirs(self.folder)
        _fs.remove_leftovers(self.folder)

    def close(self) -> None:
        """The search is over."""
        _fs.remove_tree(self.folder)

    def path(self, recipe: VariantRecipe, suffix: str) -> Path:
        """Where the file of a recipe lies, made or not."""
        return self.folder / f"{_digest(recipe)}{suffix}"

    def refusal(self, recipe: VariantRecipe) -> str | None:
        """Why this recipe could not be applied, when that is known."""
        path = self.path(recipe, ".refused")
        if not path.exists():
            return None
        return _fs.read_limited(path, limit_bytes=_LIMIT_BYTES).decode()

    def keep_refusal(self, recipe: VariantRecipe, error: UnavailableError) -> None:
        """Remember it."""
        _fs.write_atomic(self.path(recipe, ".refused"), error.message.encode())

    def scores(self, recipe: VariantRecipe, split: str) -> Array | None:
        """Sample scores of an earlier run."""
        path = self.path(recipe, f".{split}.npz")
        if not path.exists():
            return None
        content = _fs.read_limited(path, limit_bytes=_LIMIT_BYTES)
        return _npz.decode_npz(content, source=str(path))["scores"]

    def keep_scores(self, recipe: VariantRecipe, split: str, scores: Array) -> None:
        """Remember them."""
        _fs.write_atomic(self.path(recipe, f".{split}.npz"), _npz.encode_npz({"scores": scores}))

    def spent_s(self) -> float:
        """CPU seconds that earlier calls of this search took."""
        path = self.folder / _SPENT
        if not path.exists():
            return 0.0
        return msgspec.json.decode(_fs.read_limited(path, limit_bytes=64), type=float)

    def keep_spent(self, seconds: float) -> None:
        """Remember them, for a call that goes on where this one was stopped."""
        _fs.write_atomic(self.folder / _SPENT, msgspec.json.encode(seconds))


def key_of(*parts: bytes) -> str:
    """One key for all inputs of a search."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def _digest(recipe: VariantRecipe) -> str:
    return hashlib.sha256(msgspec.json.encode(recipe, order="sorted")).hexdigest()[:24]
