"""The shell around the statistics: windows and references from `.npz` files, references to them."""

import itertools
from pathlib import Path

import msgspec
import numpy as np

from edgewright._fs import read_limited, write_atomic
from edgewright._npz import decode_npz, encode_npz
from edgewright.device.drift.features import Array
from edgewright.device.drift.mixture import Mixture
from edgewright.device.drift.monitor import DriftMonitor
from edgewright.device.drift.reference import Limits, Reference, build_reference
from edgewright.device.drift.report import DriftReport, report_of
from edgewright.device.drift.sketch import ChannelSketch
from edgewright.errors import InputError
from edgewright.steps import window

FILE_LIMIT_BYTES = 4 << 30
DEFAULT_LENGTH = 100
_FORMAT = "edgewright-drift-1"
_WINDOW_NAMES = ("windows", "X", "x", "samples")
_GROUP_NAMES = ("subject", "group", "recording")
_SEED = 0
"""A reference is a pure function of its file."""


class WindowFile(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Windows [rows, length, channels] in their order in time; whom each is from; channel names."""

    windows: Array
    groups: Array | None
    channels: tuple[str, ...]


def drift_report(reference_path: Path, stream_path: Path, *, length: int) -> DriftReport:
    """Judge one file of windows by another.

    Raises:
        InputError: a file holds no windows, too few, or other ones than the reference.
    """
    reference = load_reference(reference_path, length=length)
    stream = read_windows(stream_path, length=reference.length)
    is_whole = np.isfinite(stream.windows).all(axis=(1, 2))
    monitor = DriftMonitor(reference)
    monitor.push(stream.windows[is_whole])
    if not monitor.is_enough:
        raise InputError(
            f"{stream_path}: {int(is_whole.sum())} usable windows are too few for a verdict",
            hint="at least 64 are needed",
        )
    return report_of(monitor, reference, dropped=int((~is_whole).sum()))


def load_reference(path: Path, *, length: int = DEFAULT_LENGTH) -> Reference:
    """A reference that was saved, or one built now from training windows."""
    arrays = _read(path)
    if "format" in arrays:
        return _decode(arrays, path)
    file = _windows_of(arrays, path, length=length)
    is_whole = np.isfinite(file.windows).all(axis=(1, 2))
    return build_reference(
        file.windows[is_whole],
        channels=file.channels,
        groups=None if file.groups is None else file.groups[is_whole],
        rng=np.random.default_rng(_SEED),
    )


def decode_reference(content: bytes, *, source: str) -> Reference:
    """A reference that was saved, from its file's content.

    Raises:
        InputError: it is none.
    """
    return _decode(decode_npz(content, source=source), Path(source))


def save_reference(reference: Reference, path: Path) -> None:
    """Keep a reference for devices."""
    write_atomic(path, encode_reference(reference))


def encode_reference(reference: Reference) -> bytes:
    """A reference as its file's content."""
    mixture, limits, sketch = reference.mixture, reference.limits, reference.sketch
    arrays = {
        "format": np.array(_FORMAT),
        "channels": np.array(reference.channels),
        "noise": reference.noise,
        "scale": reference.scale,
        "numbers": np.array([reference.odd_below, limits.false_alarm]),
        "counts": np.array(
            [
                reference.length,
                reference.windows,
                reference.groups,
                reference.is_grouped,
                sketch.count,
            ]
        ),
    }
    for name, value in (("mixture", mixture), ("limits", limits), ("sketch", sketch)):
        fields = msgspec.structs.asdict(value)
        arrays |= {f"{name}.{k}": v for k, v in fields.items() if isinstance(v, np.ndarray)}
    return encode_npz(arrays)


def read_windows(path: Path, *, length: int = DEFAULT_LENGTH) -> WindowFile:
    """Windows [rows, length, channels], or samples [n, channels] cut into windows.

    The array is called windows, X, x or samples; `subject`, `group` or `recording` say whom rows
    are from, `channels` what the columns are.
    """
    return _windows_of(_read(path), path, length=length)


def _read(path: Path) -> dict[str, Array]:
    return decode_npz(read_limited(path, limit_bytes=FILE_LIMIT_BYTES), source=str(path))


def _windows_of(arrays: dict[str, Array], path: Path, *, length: int) -> WindowFile:
    values = _values(arrays, path)
    groups = next((arrays[name] for name in _GROUP_NAMES if name in arrays), None)
    if groups is not None and groups.shape != values.shape[:1]:
        raise InputError(
            f"{path}: groups have shape {list(groups.shape)}, expected [{len(values)}]",
            hint="one group per row",
        )
    channels = tuple(str(name) for name in arrays.get("channels", np.arange(values.shape[-1])))
    if len(channels) != values.shape[-1]:
        raise InputError(f"{path}: {len(channels)} channel names for {values.shape[-1]} channels")
    if values.ndim == 2:
        stretches = arrays.get("recording", groups)
        values, starts = _cut(values, stretches, length)
        groups = None if groups is None else groups[starts]
    return WindowFile(windows=values, groups=groups, channels=channels)


def _values(arrays: dict[str, Array], path: Path) -> Array:
    named = [arrays[name] for name in _WINDOW_NAMES if name in arrays]
    for values in (*named, *arrays.values()):
        if values.ndim in (2, 3) and values.dtype.kind == "f":
            return values
    shapes = {name: list(array.shape) for name, array in arrays.items()}
    raise InputError(
        f"{path}: no windows [rows, length, channels] among {shapes}",
        hint="save them as numpy.savez(FILE, windows=...)",
    )


def _cut(samples: Array, stretches: Array | None, length: int) -> tuple[Array, Array]:
    """Windows that overlap by half and never span two recordings, and where each starts."""
    if stretches is None:
        stretches = np.zeros(len(samples))
    hop = max(length // 2, 1)
    cuts = [0, *(np.flatnonzero(stretches[1:] != stretches[:-1]) + 1).tolist(), len(samples)]
    windows, starts = [np.empty((0, length, samples.shape[1]))], [np.empty(0, np.int64)]
    for at, end in itertools.pairwise(cuts):
        windows.append(window(samples[at:end], length=length, hop=hop))
        starts.append(at + hop * np.arange(len(windows[-1])))
    return np.concatenate(windows), np.concatenate(starts)


def _decode(arrays: dict[str, Array], path: Path) -> Reference:
    try:
        if str(arrays["format"]) != _FORMAT:
            raise InputError(
                f"{path}: format {arrays['format']!s}, this edgewright reads {_FORMAT}",
                hint="build the reference again",
            )
        parts: dict[str, dict[str, Array]] = {"mixture": {}, "limits": {}, "sketch": {}}
        for name, array in arrays.items():
            part, _, field = name.partition(".")
            if field:
                parts[part][field] = array
        odd_below, false_alarm = arrays["numbers"].tolist()
        length, windows, groups, is_grouped, count = arrays["counts"].tolist()
        return Reference(
            channels=tuple(str(name) for name in arrays["channels"]),
            length=length,
            noise=arrays["noise"],
            scale=arrays["scale"],
            mixture=Mixture(**parts["mixture"]),
            odd_below=odd_below,
            limits=Limits(**parts["limits"], false_alarm=false_alarm),
            sketch=ChannelSketch(**parts["sketch"], count=count),
            windows=windows,
            groups=groups,
            is_grouped=bool(is_grouped),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: not a whole drift reference: {error}", hint="build the reference again"
        ) from error
