"""What is normal, built once from training windows: their density, and how far normal people,
devices or recordings stray from each other by themselves. Pure.

Limits come from the reference's own groups (people, as a rule): each is run through the monitor
against a density that never saw it, from its first window to its last, and its largest scores are
kept. A group's score is the largest of all its faults and moments in units of what is usual, and
the limit is above the scores of all but a share `false_alarm` of the groups (and, for each fault,
above every group). So a new group that is like those of the reference raises an alarm with that
chance at most (approximately: limits and units come from the same groups), however often one looks:
split conformal over groups, no distribution is assumed.
"""

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from edgewright.device.drift.causes import Fault, explain, faults_of
from edgewright.device.drift.features import (
    Array,
    is_stuck,
    noise_floor,
    window_features,
)
from edgewright.device.drift.horizon import BLOCK_WINDOWS, LEVELS, Horizon
from edgewright.device.drift.mixture import Mixture, fit_mixture
from edgewright.device.drift.sketch import ChannelSketch, channel_edges
from edgewright.errors import InputError

_LEAST_GROUP = BLOCK_WINDOWS * LEVELS[0]
FEWEST_WINDOWS = 4 * _LEAST_GROUP
_FOLDS = 4
_COMPONENTS = 48
_WINDOWS_A_COMPONENT = 60
_WINDOWS_A_CHUNK = 2 * _LEAST_GROUP
_MOST_CHUNKS = 24
_ODD_SHARE = 0.01
_LEAST_GAIN = 0.2
"""Nats a window below which a fault is of no practical size."""
_LEAST_GAIN_UNGROUPED = 0.5
"""The same for the longest level where nobody said whom the windows are from, and more in
proportion for shorter ones: people stray from each other by about that much, and a mixed order of
windows does not show it.
"""
_LOOKS_LIKE = {"bias": "tilt", "axis swap": "tilt", "axis inverted": "tilt"}
_LEAST_ODD = 0.05
_USUAL_SHARE = 0.75
_LEAST_STUCK = 0.02


class Limits(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Alarm is above these: nats a window [levels, faults], the share of odd windows [levels], the
    share of stuck windows [channels]. `false_alarm` bounds the chance of one for a normal group.
    """

    gain: Array
    odd: Array
    stuck: Array
    false_alarm: float


class Reference(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """All that a device needs to know about normal; a few hundred kilobytes."""

    channels: tuple[str, ...]
    length: int
    noise: Array
    scale: Array
    mixture: Mixture
    odd_below: float
    limits: Limits
    sketch: ChannelSketch
    windows: int
    groups: int
    is_grouped: bool

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults that are tried, in the order of the limits."""
        return faults_of(self.scale)


def build_reference(
    windows: Array,
    *,
    channels: Sequence[str],
    groups: Array | None = None,
    false_alarm: float = 0.1,
    rng: np.random.Generator,
) -> Reference:
    """The reference of training windows [rows, length, channels] in their order in time.

    `groups` says whom each row is from; without it stretches of the order stand for groups, the
    promise on false alarms holds for streams that are like such stretches, and small faults are
    let pass.

    Raises:
        InputError: too few windows or groups, or values that are not finite.
    """
    _check(windows, channels)
    codes = _group_codes(len(windows), groups)
    noise = noise_floor(windows)
    features = window_features(windows, noise)
    scale = np.maximum(windows.std(axis=(0, 1)), 1e-9)
    faults = faults_of(scale)
    alone, undone = _explain_held_out(features, codes, faults, rng)
    odd_below = float(np.quantile(alone, _ODD_SHARE))
    largest = [
        _largest(alone[codes == code], undone[codes == code], faults, odd_below)
        for code in range(int(codes.max()) + 1)
    ]
    samples = windows.reshape(-1, windows.shape[2])
    return Reference(
        channels=tuple(channels),
        length=windows.shape[1],
        noise=noise,
        scale=scale,
        mixture=_fit(features, rng),
        odd_below=odd_below,
        limits=_limits(
            np.array(largest),
            faults,
            _stuck_limits(windows, codes),
            false_alarm=false_alarm,
            least=_least_gain(is_grouped=groups is not None),
        ),
        sketch=ChannelSketch.empty(channel_edges(samples)).add(samples),
        windows=len(windows),
        groups=len(largest),
        is_grouped=groups is not None,
    )


def _check(windows: Array, channels: Sequence[str]) -> None:
    if windows.ndim != 3 or windows.shape[2] != len(channels) or windows.shape[1] < 4:
        raise InputError(
            f"reference windows have shape {list(windows.shape)}, expected "
            f"[rows, length (4 or more), {len(channels)} channels]"
        )
    if len(windows) < FEWEST_WINDOWS:
        raise InputError(
            f"the reference has {len(windows)} windows, at least {FEWEST_WINDOWS} are needed",
            hint="use more of the training data",
        )
    if not np.isfinite(windows).all():
        raise InputError("the reference holds values that are not finite", hint="clean it first")


def _group_codes(rows: int, groups: Array | None) -> Array:
    """A number per group; groups too small for a verdict join one another."""
    if groups is None:
        chunks = int(np.clip(rows // _WINDOWS_A_CHUNK, _FOLDS, _MOST_CHUNKS))
        return np.arange(rows) * chunks // rows
    if len(groups) != rows:
        raise InputError(f"{len(groups)} groups were given for {rows} windows")
    _, codes = np.unique(groups, return_inverse=True)
    counts = np.bincount(codes)
    is_small = counts < _LEAST_GROUP
    codes = np.where(is_small[codes], len(counts), codes)
    if len(np.unique(codes)) < _FOLDS:
        raise InputError(
            f"the reference has {len(np.unique(codes))} groups with "
            f"{_LEAST_GROUP} windows or more, at least {_FOLDS} are needed",
            hint="add people or recordings, or leave the groups out",
        )
    return np.asarray(np.unique(codes, return_inverse=True)[1])


def _fit(features: Array, rng: np.random.Generator) -> Mixture:
    rows = features.reshape(len(features), -1)
    components = int(np.clip(len(rows) // _WINDOWS_A_COMPONENT, 4, _COMPONENTS))
    return fit_mixture(rows, components, rng)


def _explain_held_out(
    features: Array, codes: Array, faults: Sequence[Fault], rng: np.random.Generator
) -> tuple[Array, Array]:
    """Every row judged by a mixture that never saw its group."""
    fold = rng.permutation(int(codes.max()) + 1)[codes] % _FOLDS
    alone = np.empty(len(features))
    undone = np.empty((len(features), sum(len(fault.sizes) for fault in faults)), np.float32)
    for held_out in range(_FOLDS):
        is_out = fold == held_out
        mixture = _fit(features[~is_out], rng)
        alone[is_out], undone[is_out] = explain(mixture, features[is_out], faults)
    return alone, undone


def _largest(alone: Array, undone: Array, faults: Sequence[Fault], odd_below: float) -> Array:
    """The largest gain of each fault, and last the largest odd share, that a group ever shows at
    each level [levels, faults + 1]; -inf at levels that it is too short for.
    """
    largest = np.full((len(LEVELS), len(faults) + 1), -np.inf)
    horizon = Horizon(faults, odd_below=odd_below)
    for at in range(0, len(alone) - BLOCK_WINDOWS + 1, BLOCK_WINDOWS):
        block = slice(at, at + BLOCK_WINDOWS)
        horizon.add(alone[block], undone[block])
        for level in range(horizon.levels):
            evidence = horizon.evidence(level)
            seen = np.append(evidence.gain, evidence.odd)
            largest[level] = np.maximum(largest[level], seen)
    return largest


def _limits(
    largest: Array, faults: Sequence[Fault], stuck: Array, *, false_alarm: float, least: Array
) -> Limits:
    """Limits from [groups, levels, faults + 1]; a level that no group reached has those of the
    level below.
    """
    for level in range(1, len(LEVELS)):
        is_short = np.isneginf(largest[:, level]).all(axis=1)
        largest[is_short, level] = largest[is_short, level - 1]
    unit = np.concatenate(
        [
            _usual_gain(largest[:, :, :-1], faults, least),
            _usual(largest[:, :, -1:], np.full(len(LEVELS), _LEAST_ODD)),
        ],
        axis=1,
    )
    scores = np.sort((largest / unit).max(axis=(1, 2)))
    groups = len(scores)
    rank = min(math.ceil((1 - false_alarm) * (groups + 1)), groups)
    limit = np.maximum(unit * max(float(scores[rank - 1]), 1.0), largest.max(axis=0))
    return Limits(
        gain=limit[:, :-1],
        odd=np.minimum(limit[:, -1], 0.95),
        stuck=stuck,
        false_alarm=(groups + 1 - rank) / (groups + 1),
    )


def _usual_gain(gains: Array, faults: Sequence[Fault], least: Array) -> Array:
    """What is usual among groups for each fault [levels, faults]. The axes of a sensor lend each
    other their spread, and so do the faults that a tilt can look like: which of them a person
    shows is chance.
    """
    families = [
        (_LOOKS_LIKE.get(fault.kind, f"{fault.kind} {len(fault.channels)}"), fault.channels[0] // 3)
        for fault in faults
    ]
    unit = np.empty(gains.shape[1:])
    for family in set(families):
        members = [at for at, each in enumerate(families) if each == family]
        unit[:, members] = _usual(gains[:, :, members], least).max(axis=1, keepdims=True)
    return unit


def _usual(seen: Array, least: Array) -> Array:
    """What is usual [levels, scores] of [groups, levels, scores], above the least per level."""
    usual = np.quantile(seen, _USUAL_SHARE, axis=0)
    return np.asarray(least[:, None] + np.maximum(usual, 0))


def _least_gain(*, is_grouped: bool) -> Array:
    """Per level."""
    levels = np.array(LEVELS)
    if is_grouped:
        return np.full(len(levels), _LEAST_GAIN)
    return np.asarray(_LEAST_GAIN_UNGROUPED * levels[-1] / levels)


def _stuck_limits(windows: Array, codes: Array) -> Array:
    """Twice the largest share of stuck windows that a group has."""
    stuck = is_stuck(windows)
    shares = [stuck[codes == code].mean(axis=0) for code in np.unique(codes)]
    return np.asarray(np.clip(2 * np.max(shares, axis=0), _LEAST_STUCK, 0.9))
