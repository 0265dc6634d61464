"""Reads a pickled numpy object without running anything else: only array, dtype and bytes
reconstruction are allowed.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from edgewright._fs import file_errors
from edgewright.errors import InputError

_LIMIT_BYTES = 256 * 2**20


def _latin1_bytes(text: str, encoding: str) -> bytes:
    """What `_codecs.encode` does in such a file, and nothing else."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding!r} is not allowed")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]  # noqa: SLF001 - the one entry point that such files name
    ("numpy._core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]  # noqa: SLF001 - likewise
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1_bytes,
}


class _NumpyOnly(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        try:
            return _ALLOWED[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module_name}.{global_name} is not allowed") from None


def read_object_npy(path: Path) -> Any:
    """The object in a `.npy` file of dtype object.

    Raises:
        InputError: the file is absent, no such file, too large, or asks for anything but arrays.
    """
    with file_errors(path, doing="reading"), path.open("rb") as file:
        if path.stat().st_size > _LIMIT_BYTES:
            raise InputError(f"{path}: larger than {_LIMIT_BYTES} bytes", hint="not such a file")
        try:
            version = npy_format.read_magic(file)
            if version != (1, 0):
                raise InputError(f"{path}: .npy version {version}, expected (1, 0)")
            npy_format.read_array_header_1_0(file)
            loaded = _NumpyOnly(file).load()
        except (ValueError, EOFError, pickle.UnpicklingError, TypeError, IndexError) as error:
            raise InputError(
                f"{path}: not a pickled numpy object that is safe to read: {error}",
                hint="install the package again",
            ) from error
    return loaded.item() if isinstance(loaded, np.ndarray) and loaded.ndim == 0 else loaded
