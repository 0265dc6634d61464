"""How much one file may hold: a source is read into memory, so its size is told before it is
read. A folder of files is read file by file and may be larger.
"""

from pathlib import Path

from edgewright.errors import InputError

MOST_BYTES = 4 * 2**30
MOST_VALUES = 2**28


def check_bytes(path: Path) -> None:
    """Refuse a file that is too large to read as one.

    Raises:
        InputError: it is.
    """
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise InputError(
            f"{path}: {size / 2**30:.1f} GiB, the most for one file is {MOST_BYTES >> 30}",
            hint="split it and import the folder",
        )


def check_values(count: int, path: Path) -> None:
    """Refuse a file that says, or turns out, to hold too many values.

    Raises:
        InputError: it does.
    """
    if count > MOST_VALUES:
        raise InputError(
            f"{path}: {count:.3g} values, the most for one file is {MOST_VALUES:.3g}",
            hint="split it and import the folder, which is read file by file",
        )
