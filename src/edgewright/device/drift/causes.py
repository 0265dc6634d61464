"""The faults that can be named, and how well each explains a window. Pure.

A fault is a known change of the features. Undoing it on a window of a faulty sensor makes the
window likely again under the reference; undoing it on a good one makes it less likely. The gain in
log likelihood (in nats a window, with the change of volume counted) is the evidence for the fault.
"""

import itertools
from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from edgewright.device.drift.features import MEAN, PACE, SPREAD, Array
from edgewright.device.drift.mixture import Mixture, Parts

Kind = Literal["gain", "bias", "axis swap", "axis inverted", "rate"]

_UNIT_FACTORS = (9.80665, 57.29578, 1000.0)
"""m/s2 for g, degrees for radians, milli for one: gains that a wrong unit makes."""
_GAINS = np.delete(np.exp(np.linspace(-np.log(4), np.log(4), 31)), 15)
"""A gain or rate of 1 is no fault, so the middle is left out."""
_BIASES = np.sqrt(2.0) ** np.arange(-12, 5)
"""In units of how far the channel's samples usually spread."""
_RATES = np.delete(np.exp(np.linspace(-np.log(2), np.log(2), 13)), 6)
_GAIN_CELL = 0.05
_BIAS_CELL = 0.17
"""Half the distance to the next size tried, as a share of the size; what lies between the sizes is
covered by blurring the density that much.
"""
_MANY_CHANNELS = 12
_CHUNK_ROWS = 256


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of fault on some channels, with the sizes that are tried.

    `sources` are the channels whose signal appears on `channels`: others than themselves for a
    swap.
    """

    kind: Kind
    channels: tuple[int, ...]
    sources: tuple[int, ...]
    sizes: tuple[float, ...]


def faults_of(scale: Array) -> tuple[Fault, ...]:
    """All faults that are tried for channels whose samples spread that far.

    Neighbours in threes (a sensor's x, y, z) also fail together: a wrong unit, a turned device.
    """
    count = len(scale)
    triads = (
        [tuple(range(at, at + 3)) for at in range(0, count - count % 3, 3)] if count > 1 else []
    )
    gains = (*sorted(1 / factor for factor in _UNIT_FACTORS), *_GAINS.tolist(), *_UNIT_FACTORS)
    faults = [_fault("gain", (c,), gains) for c in range(count)]
    faults += [_fault("gain", triad, gains) for triad in triads if count > 1]
    for c, spread in enumerate(scale.tolist()):
        sizes = (_BIASES * spread).tolist()
        faults.append(_fault("bias", (c,), (*(-size for size in reversed(sizes)), *sizes)))
    faults += [_fault("axis inverted", (c,), (1.0,)) for c in range(count)]
    faults += [_swap(pair, pair[::-1]) for pair in _pairs(count, triads)]
    if len(triads) > 1:
        faults += [_turn(triads, a, b) for a, b in itertools.combinations(range(3), 2)]
    faults.append(_fault("rate", tuple(range(count)), tuple(_RATES.tolist())))
    return tuple(faults)


def explain(mixture: Mixture, features: Array, faults: Sequence[Fault]) -> tuple[Array, Array]:
    """Log likelihood of each row as it is [rows], and with each fault and size undone [rows, all
    sizes of all faults].
    """
    parts = [
        _explain_chunk(mixture, features[at : at + _CHUNK_ROWS], faults)
        for at in range(0, len(features), _CHUNK_ROWS)
    ]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _explain_chunk(
    mixture: Mixture, features: Array, faults: Sequence[Fault]
) -> tuple[Array, Array]:
    rows, channels, kinds = features.shape
    by_channel = [_columns((c,), range(kinds)) for c in range(channels)]
    flat = features.reshape(rows, -1)
    alone = [mixture.columns(columns).of(flat[:, columns]) for columns in by_channel]
    whole = np.sum(alone, axis=0)
    undone = []
    for fault in faults:
        rest = whole - np.sum([alone[c] for c in fault.channels], axis=0)
        columns = _columns(fault.channels, range(kinds))
        for size in fault.sizes:
            part = _blurred(mixture, columns, fault, size)
            changed, log_volume = undo(fault, size, features)
            undone.append(mixture.join(rest + part.of(changed.reshape(rows, -1))) + log_volume)
    return mixture.join(whole), np.stack(undone, axis=1)


def _blurred(mixture: Mixture, columns: Array, fault: Fault, size: float) -> Parts:
    """The density over a fault's columns, as uncertain as the size between two that are tried."""
    kinds = np.tile(np.arange(3), len(fault.channels))
    if fault.kind == "gain":
        return mixture.columns(
            columns, share=_GAIN_CELL * (kinds == MEAN), more=_GAIN_CELL * (kinds == SPREAD)
        )
    if fault.kind == "bias":
        return mixture.columns(columns, more=_BIAS_CELL * abs(size) * (kinds == MEAN))
    return mixture.columns(columns)


def undo(fault: Fault, size: float, features: Array) -> tuple[Array, float]:
    """The features of the fault's channels as they were before it, and the logarithm of how much
    undoing stretches volume.
    """
    before = features[:, fault.sources].copy()
    match fault.kind:
        case "gain":
            before[..., MEAN] /= size
            before[..., SPREAD] -= np.log(size)
            return before, -float(np.log(size)) * len(fault.channels)
        case "bias":
            before[..., MEAN] -= size
        case "axis inverted":
            before[..., MEAN] *= -1
        case "rate":
            before[..., PACE] -= np.log(size)
        case "axis swap":
            pass
    return before, 0.0


def _columns(channels: Sequence[int], kinds: Sequence[int]) -> Array:
    """Where the features of some channels stand in a flat row."""
    return np.array([c * len(kinds) + kind for c in channels for kind in kinds])


def _fault(kind: Kind, channels: tuple[int, ...], sizes: Sequence[float]) -> Fault:
    return Fault(kind=kind, channels=channels, sources=channels, sizes=tuple(sizes))


def _swap(channels: tuple[int, ...], sources: tuple[int, ...]) -> Fault:
    return Fault(kind="axis swap", channels=channels, sources=sources, sizes=(1.0,))


def _turn(triads: Sequence[tuple[int, ...]], a: int, b: int) -> Fault:
    """The same two axes exchanged in every sensor: the device is mounted turned."""
    channels = tuple(triad[axis] for triad in triads for axis in (a, b))
    sources = tuple(triad[axis] for triad in triads for axis in (b, a))
    return _swap(channels, sources)


def _pairs(count: int, triads: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """All pairs of few channels; of many only those within a sensor."""
    if count <= _MANY_CHANNELS:
        return list(itertools.combinations(range(count), 2))
    return [pair for triad in triads for pair in itertools.combinations(triad, 2)]
