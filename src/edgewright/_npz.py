"""Arrays in one deterministic file: `.npz` without pickles, stored, sorted, without times.

>>> import numpy as np
>>> content = encode_npz({"x": np.arange(3)})
>>> content == encode_npz({"x": np.arange(3)})
True
>>> decode_npz(content, source="x.npz")["x"].tolist()
[0, 1, 2]
"""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.errors import InputError


def encode_npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The one text of some arrays."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(
                member, np.asarray(arrays[name], order="C"), allow_pickle=False
            )
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return buffer.getvalue()


def decode_npz(content: bytes, *, source: str) -> dict[str, NDArray[Any]]:
    """The arrays of a file that somebody wrote.

    Raises:
        InputError: it is not an `.npz`, or it holds pickled objects (which could run code).
    """
    if content[:2] != b"PK":
        raise InputError(f"{source}: not an npz file", hint="write it with numpy.savez")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise InputError(
            f"{source}: not an npz of plain arrays: {error}", hint="write it with numpy.savez"
        ) from error
