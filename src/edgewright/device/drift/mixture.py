"""The density of what is known: a mixture of Gaussians with a broad background. Pure.

The background is what keeps one odd window from deciding alone: no window is less likely than it.
"""

import msgspec
import numpy as np

from edgewright.device.drift.features import Array

_BACKGROUND_SHARE = 0.02
_BACKGROUND_WIDTH = 3.0
_NARROWEST = 0.05
"""Least width of a component, as a share of the data's own."""
_ROUNDS = 25


class Mixture(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Components [k, features] with diagonal covariance, and the background's centre and width."""

    mean: Array
    variance: Array
    log_weight: Array
    centre: Array
    width: Array

    def columns(
        self, columns: Array, *, share: Array | float = 0.0, more: Array | float = 0.0
    ) -> "Parts":
        """The density's parts that belong to some of the features; for features that are uncertain
        themselves, blurred by a share of each component's mean and by an amount.
        """
        mean = np.concatenate([self.mean, self.centre[None]])[:, columns]
        variance = np.concatenate([self.variance, self.width[None] ** 2])[:, columns]
        return Parts(mean, variance + (share * mean) ** 2 + np.square(more))

    def join(self, parts: Array) -> Array:
        """Log density [rows] from the summed parts of all columns."""
        weights = np.append(
            self.log_weight + np.log(1 - _BACKGROUND_SHARE), np.log(_BACKGROUND_SHARE)
        )
        weighted = parts + weights
        largest = weighted.max(axis=1)
        # Differences need few digits: float32 halves the time of the costliest line.
        # What is too far off for it becomes -inf, whose share is 0 as it would be.
        with np.errstate(over="ignore"):
            shares = np.exp((weighted - largest[:, None]).astype(np.float32))
        return np.asarray(largest + np.log(shares.sum(axis=1)))


class Parts:
    """Log densities of some columns per component and, last, the background; parts of disjoint
    columns add up.
    """

    def __init__(self, mean: Array, variance: Array) -> None:
        self._square = (-0.5 / variance).T
        self._linear = (mean / variance).T
        self._constant = -0.5 * (mean**2 / variance + np.log(2 * np.pi * variance)).sum(axis=1)

    def of(self, rows: Array) -> Array:
        """Rows [n, columns] to [n, components + 1]."""
        return np.asarray(rows**2 @ self._square + rows @ self._linear + self._constant)


def fit_mixture(features: Array, components: int, rng: np.random.Generator) -> Mixture:
    """A mixture for rows of features, by k-means and then expectation-maximisation.

    >>> rng = np.random.default_rng(0)
    >>> rows = np.concatenate([rng.normal(-5, 1, (200, 1)), rng.normal(5, 1, (200, 1))])
    >>> sorted(fit_mixture(rows, 2, rng).mean.round().ravel().tolist())
    [-5.0, 5.0]
    """
    centre, width = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-9)
    shares = _first_shares((features - centre) / width, components, rng)
    mixture = _maximise(features, shares, centre, width)
    for _ in range(_ROUNDS):
        every = mixture.columns(np.arange(features.shape[1])).of(features)
        weighted = every[:, :-1] + mixture.log_weight
        shares = np.exp(weighted - weighted.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        mixture = _maximise(features, shares, centre, width)
    return mixture


def _maximise(features: Array, shares: Array, centre: Array, width: Array) -> Mixture:
    weight = shares.sum(axis=0) + 1e-3
    mean = shares.T @ (features - centre) / weight[:, None]
    square = shares.T @ (features - centre) ** 2 / weight[:, None]
    variance = np.maximum(square - mean**2, (_NARROWEST * width) ** 2)
    return Mixture(
        mean=mean + centre,
        variance=variance,
        log_weight=np.log(weight / weight.sum()),
        centre=centre,
        width=_BACKGROUND_WIDTH * width,
    )


def _first_shares(scaled: Array, components: int, rng: np.random.Generator) -> Array:
    """Each row to the nearest of k-means' centres."""
    centres = scaled[rng.choice(len(scaled), components, replace=False)]
    for _ in range(_ROUNDS):
        nearest = _nearest(scaled, centres)
        counts = np.bincount(nearest, minlength=components)[:, None]
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, scaled)
        centres = np.where(counts > 0, sums / np.maximum(counts, 1), centres)
    return np.eye(components)[_nearest(scaled, centres)]


def _nearest(rows: Array, centres: Array) -> Array:
    distance = (centres**2).sum(axis=1) - 2 * rows @ centres.T
    return np.asarray(distance.argmin(axis=1))
