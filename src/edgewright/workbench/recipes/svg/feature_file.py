"""Features are computed once: a file with a row for each picture, mapped into memory afterwards.

A file is named by all that decides its numbers (the extractor with its weights, the pictures, the
pilots and the tools that traced them), so that a second stage or run reads and computes nothing.
"""

import hashlib
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgewright._fs import file_errors, make_dirs, write_atomic
from edgewright.contract import encode_json
from edgewright.errors import InputError
from edgewright.workbench.recipes.svg.factory import Made
from edgewright.workbench.recipes.svg.features import Extractor
from edgewright.workbench.recipes.svg.settings import PILOTS


def feature_rows(made: Made, extractor: Extractor, cache: Path) -> NDArray[np.float32]:
    """Features [pictures, size] of everything that was made, on disk.

    Raises:
        InputError: the file that was kept is not what was written.
    """
    make_dirs(cache)
    path = cache / f"features-{_key(made, extractor)}.npy"
    if not path.exists():
        write_atomic(path, _computed(made, extractor))
    with file_errors(path, doing="reading"):
        try:
            rows: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            raise InputError(
                f"{path}: not the features that were kept: {error}", hint="delete it"
            ) from error
        expected = (len(made.logos), extractor.size)
        if rows.shape != expected or rows.dtype != np.float32:
            raise InputError(
                f"{path}: {rows.dtype} {list(rows.shape)}, expected float32 {list(expected)}",
                hint="delete it",
            )
        return rows


def _computed(made: Made, extractor: Extractor) -> bytes:
    rows = np.empty((len(made.logos), extractor.size), np.float32)
    for at, (logo, picture) in enumerate(zip(made.logos, made.pictures, strict=True)):
        rows[at] = extractor.features(picture, logo.pilots)
    buffer = io.BytesIO()
    np.save(buffer, rows, allow_pickle=False)
    return buffer.getvalue()


def _key(made: Made, extractor: Extractor) -> str:
    facts = {
        "extractor": extractor.identity,
        "size": extractor.size,
        "pictures": [(logo.pixels_sha256, logo.tools) for logo in made.logos],
        "pilots": PILOTS,
    }
    return hashlib.sha256(encode_json(facts)).hexdigest()[:32]
