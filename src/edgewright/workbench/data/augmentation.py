"""More training windows from those there are, changed as nature changes them. Pure; the seed
decides. Only windows of people who train are taken: a varied window of a tested person is a leak.

A channel that is absent (NaN or zero for the whole window) stays absent.

    >>> sorted(TRANSFORMATIONS)  # doctest: +NORMALIZE_WHITESPACE
    ['channel-drop', 'jitter', 'magnitude-warp', 'permutation', 'rotation', 'scaling', 'time-warp']
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgewright.contract.decoding import suggestion
from edgewright.errors import InputError
from edgewright.workbench.data._axes import triads
from edgewright.workbench.data.splits import Split
from edgewright.workbench.data.windows import WindowSet

Windows = NDArray[np.float32]
Axes = Sequence[Sequence[int]]
Transformation = Callable[[Windows, Axes, np.random.Generator], Windows]

_ROTATION_DEG = 25.0
_SCALING = 0.1
_JITTER = 0.02
_WARP = 0.2
_KNOTS = 4
_PIECES = 4


def augment_windows(
    windows: WindowSet, split: Split, names: Sequence[str], *, copies: int = 1, seed: int = 0
) -> WindowSet:
    """Each window `copies` times, every time changed by all the named transformations in turn.

    Raises:
        InputError: a transformation is unknown, or a window's person does not train.
    """
    strangers = sorted(set(windows.subjects) - set(split.train))
    if strangers:
        raise InputError(
            f"augmentation is for training windows only; subjects {strangers} do not train in "
            f"split {split.name!r}",
            hint="cut the windows of the split's train part",
        )
    for name in names:
        if name not in TRANSFORMATIONS:
            raise InputError(
                f"transformation {name!r} is not known",
                hint=suggestion(name, sorted(TRANSFORMATIONS)),
            )
    if copies < 1 or not names:
        raise InputError("nothing to do", hint="name a transformation, and 1 copy or more")
    axes = list(triads(windows.channels).values())
    rng = np.random.default_rng(seed)
    x = np.concatenate([_varied(windows.x, axes, names, rng) for _ in range(copies)])
    rows = np.tile(np.arange(len(windows)), copies)
    return replace(windows.take(rows), x=x)


def _varied(x: Windows, axes: Axes, names: Sequence[str], rng: np.random.Generator) -> Windows:
    absent = (np.isnan(x) | (x == 0)).all(axis=1, keepdims=True)
    varied = np.where(absent, np.float32(0), x)
    for name in names:
        varied = TRANSFORMATIONS[name](varied, axes, rng)
    return np.where(absent, x, varied).astype(np.float32)


def _rotate(x: Windows, axes: Axes, rng: np.random.Generator) -> Windows:
    """All sensors of a window turned together about a random axis, as a device that sits askew."""
    turned = x.copy()
    matrices = _rotations(len(x), rng)
    for columns in axes:
        turned[:, :, list(columns)] = x[:, :, list(columns)] @ matrices
    return turned


def _rotations(count: int, rng: np.random.Generator) -> Windows:
    """Rodrigues' formula for random axes and angles."""
    axis = rng.normal(size=(count, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    angle = rng.uniform(-1, 1, (count, 1, 1)) * np.radians(_ROTATION_DEG)
    x, y, z = axis.T
    zero = np.zeros(count)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(count, 3, 3)
    matrices = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
    return np.asarray(matrices, np.float32)


def _scale(x: Windows, _axes: Axes, rng: np.random.Generator) -> Windows:
    """Every channel with a gain of its own."""
    gains = 1 + _SCALING * rng.normal(size=(len(x), 1, x.shape[2]))
    return np.asarray(x * gains, np.float32)


def _add_jitter(x: Windows, _axes: Axes, rng: np.random.Generator) -> Windows:
    """Noise in proportion to how much the channel moves."""
    noise = _JITTER * x.std(axis=(0, 1), keepdims=True) * rng.normal(size=x.shape)
    return np.asarray(x + noise, np.float32)


def _warp_time(x: Windows, _axes: Axes, rng: np.random.Generator) -> Windows:
    """The same movement, now faster and now slower; it begins and ends where it did."""
    length = x.shape[1]
    speed = _smooth_curves(len(x), length, rng)
    at = np.cumsum(speed, axis=1) - speed[:, :1]
    at *= (length - 1) / at[:, -1:]
    left = np.minimum(at.astype(np.intp), length - 2)
    share = (at - left)[:, :, None].astype(np.float32)
    rows = np.arange(len(x))[:, None]
    return np.asarray(x[rows, left] * (1 - share) + x[rows, left + 1] * share, np.float32)


def _warp_magnitude(x: Windows, _axes: Axes, rng: np.random.Generator) -> Windows:
    """A gain that drifts through the window."""
    return np.asarray(x * _smooth_curves(len(x), x.shape[1], rng)[:, :, None], np.float32)


def _drop_channel(x: Windows, _axes: Axes, rng: np.random.Generator) -> Windows:
    """One channel of each window held at its mean."""
    rows, dropped = np.arange(len(x)), rng.integers(x.shape[2], size=len(x))
    held = x.copy()
    held[rows, :, dropped] = x[rows, :, dropped].mean(axis=1, keepdims=True)
    return held


def _permute(x: Windows, _axes: Axes, rng: np.random.Generator) -> Windows:
    """Each window cut into pieces, and the pieces put together in another order."""
    pieces = np.array_split(np.arange(x.shape[1]), min(_PIECES, x.shape[1]))
    orders = [rng.permutation(len(pieces)) for _ in range(len(x))]
    rows = np.stack([np.concatenate([pieces[at] for at in order]) for order in orders])
    return np.asarray(x[np.arange(len(x))[:, None], rows])


def _smooth_curves(count: int, length: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Curves about 1 through random knots, never near 0."""
    knots = np.clip(1 + _WARP * rng.normal(size=(count, _KNOTS + 2)), 0.3, 1.7)
    at = np.linspace(0, _KNOTS + 1, length)
    left = np.minimum(at.astype(np.intp), _KNOTS)
    share = (1 - np.cos(np.pi * (at - left))) / 2
    return np.asarray(knots[:, left] * (1 - share) + knots[:, left + 1] * share)


TRANSFORMATIONS: dict[str, Transformation] = {
    "rotation": _rotate,
    "scaling": _scale,
    "jitter": _add_jitter,
    "time-warp": _warp_time,
    "magnitude-warp": _warp_magnitude,
    "channel-drop": _drop_channel,
    "permutation": _permute,
}
