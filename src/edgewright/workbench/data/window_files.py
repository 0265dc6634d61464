"""Windows and splits as files: an npz that `optimize` takes, and beside it what it was made of.

`FILE.npz` holds `x [n, length, channels]`, `y`, `group` (the person), `recording` and `start`;
`FILE.json` names the dataset by its hash, the split, the seed and the hash of the windows.
"""

from pathlib import Path
from typing import Any

import msgspec
from numpy.typing import NDArray

from edgewright._fs import read_limited, write_atomic
from edgewright._npz import encode_npz
from edgewright.contract import Channel, decode_json, encode_json
from edgewright.errors import InputError
from edgewright.workbench.data.calibration import windows_hash
from edgewright.workbench.data.splits import Split
from edgewright.workbench.data.windows import WindowSet

_LIMIT_BYTES = 16 * 2**20


class WindowsRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the windows of a file come from. `warning` is what every report must repeat."""

    sha256: str
    windows: int
    dataset: str
    split: str
    part: str
    made_by: str
    seed: int
    channels: tuple[Channel, ...]
    labels: tuple[str, ...]
    rate_hz: float
    warning: str = ""
    schema_version: int = 1


def write_windows(
    path: Path, windows: WindowSet, *, split: str, part: str, made_by: str, seed: int = 0
) -> WindowsRecord:
    """Write both files; the npz last, so that it never lies there without its record."""
    record = WindowsRecord(
        sha256=windows_hash(windows),
        windows=len(windows),
        dataset=windows.origin,
        split=split,
        part=part,
        made_by=made_by,
        seed=seed,
        channels=windows.channels,
        labels=windows.label_names,
        rate_hz=windows.rate_hz,
        warning=windows.warning,
    )
    write_atomic(path.with_suffix(".json"), encode_json(record))
    arrays: dict[str, NDArray[Any]] = {
        "x": windows.x,
        "y": windows.y,
        "group": windows.subject,
        "recording": windows.recording,
        "start": windows.start,
    }
    write_atomic(path, encode_npz(arrays))
    return record


def read_split(path: Path) -> Split:
    """A split that `data split` or a project's data stage wrote.

    Raises:
        InputError: absent, or no split.
    """
    content = read_limited(path, limit_bytes=_LIMIT_BYTES)
    return decode_json(content, Split, source=str(path))


def expect_npz(path: Path) -> Path:
    """The path, which must end like what is written there.

    Raises:
        InputError: it does not.
    """
    if path.suffix != ".npz":
        raise InputError(f"{path}: windows are written as .npz", hint=f"{path.stem}.npz")
    return path
