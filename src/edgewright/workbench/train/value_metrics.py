"""How good predicted values are, with intervals over groups and the worst group named. Pure.

>>> y = np.array([0.1, 0.4, 0.2, 0.9])
>>> found = score_values(y, y, group=np.array(["a", "a", "b", "b"]))
>>> round(found.pearson, 6), found.mae, found.worst_group
(1.0, 0.0, 'a')
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.errors import InputError
from edgewright.workbench.train.figures import Figure
from edgewright.workbench.train.resampling import interval_over_groups

_Floats = NDArray[np.float64]
_MOST_PAIRS = 200


class ValueGroup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The errors of one group's rows; `spearman` is absent where its rows are too few or alike."""

    name: str
    rows: int
    mae: float
    bias: float
    spearman: float | None


class ValueMetrics(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="regression",
):
    """Scores of predicted values, in the target's unit. The intervals are 95 % bootstrap intervals
    over groups; with fewer than two groups they are as wide as nothing is known. `loss` is the mean
    squared error, `within_group_spearman` the mean over groups: how well rows of one group are
    ranked. `pairs` are some rows' true and predicted values (of the first column), for a plot.
    """

    rows: int
    pearson: float
    pearson_low: float
    pearson_high: float
    spearman: float
    within_group_spearman: float | None
    mae: float
    mae_low: float | None
    mae_high: float | None
    rmse: float
    loss: float
    groups: tuple[ValueGroup, ...]
    worst_group: str
    warning: str = ""
    pairs: tuple[tuple[float, float], ...] = ()

    @property
    def figures(self) -> tuple[Figure, ...]:
        """The figures of a report."""
        low, high = self.pearson_low, self.pearson_high
        shown = [
            Figure(name="Pearson correlation", value=self.pearson, low=low, high=high),
            Figure(
                name="mean absolute error", value=self.mae, low=self.mae_low, high=self.mae_high
            ),
            Figure(name="Spearman correlation", value=self.spearman),
            Figure(name="root mean squared error", value=self.rmse),
        ]
        if self.within_group_spearman is not None:
            name = "Spearman correlation within a group, mean"
            shown.append(Figure(name=name, value=self.within_group_spearman))
        return tuple(shown)

    @property
    def group_rows(self) -> list[dict[str, str | int | float | None]]:
        """The table of groups of a report, the worst first."""
        return [
            {"group": g.name, "rows": g.rows, "MAE": g.mae, "bias": g.bias, "Spearman": g.spearman}
            for g in sorted(self.groups, key=lambda g: -g.mae)
        ]

    @property
    def headline(self) -> dict[str, float]:
        """The figures that a line of progress or a table shows."""
        shown = {
            "pearson": self.pearson,
            "spearman": self.spearman,
            "mae": self.mae,
            "rmse": self.rmse,
        }
        if self.within_group_spearman is not None:
            shown["within_group_spearman"] = self.within_group_spearman
        return shown


def score_values(
    predicted: NDArray[np.floating],
    target: NDArray[np.floating],
    *,
    group: NDArray[np.str_],
    warning: str = "",
) -> ValueMetrics:
    """Every score of predicted values [n] or [n, k]; correlations of several columns are averaged.

    Raises:
        InputError: nothing to score, or arrays that do not fit together.
    """
    y = target.reshape(len(target), -1).astype(np.float64)
    guess = predicted.reshape(len(predicted), -1).astype(np.float64)
    if not len(y) or y.shape != guess.shape or len(group) != len(y):
        raise InputError(
            f"predictions {list(predicted.shape)} do not fit targets {list(target.shape)}"
        )
    names, where = np.unique(group, return_inverse=True)
    error = guess - y
    groups = tuple(
        _group(str(name), guess[where == at], y[where == at]) for at, name in enumerate(names)
    )
    counts = np.bincount(where).astype(np.float64)
    sums = np.stack([np.bincount(where, np.abs(error).mean(axis=1)), counts], axis=1)
    mae_low, mae_high = interval_over_groups(sums, lambda s: s[:, 0] / s[:, 1], none=(0.0, 0.0))
    low, high = interval_over_groups(_moments(guess, y, where), _pearson_of, none=(-1.0, 1.0))
    ranked = [each.spearman for each in groups if each.spearman is not None]
    return ValueMetrics(
        rows=len(y),
        pearson=float(_pearson_of(_moments(guess, y, where).sum(axis=0)[None])[0]),
        pearson_low=low,
        pearson_high=high,
        spearman=spearman(guess, y) or 0.0,
        within_group_spearman=float(np.mean(ranked)) if ranked else None,
        mae=float(np.abs(error).mean()),
        mae_low=None if len(groups) < 2 else mae_low,
        mae_high=None if len(groups) < 2 else mae_high,
        rmse=float(np.sqrt(np.square(error).mean())),
        loss=float(np.square(error).mean()),
        groups=groups,
        worst_group=max(groups, key=lambda each: each.mae).name,
        warning=warning,
        pairs=_some_pairs(y[:, 0], guess[:, 0]),
    )


def _some_pairs(y: _Floats, guess: _Floats) -> tuple[tuple[float, float], ...]:
    """At most so many rows, evenly, in few digits."""
    rows = np.unique(np.linspace(0, len(y) - 1, min(len(y), _MOST_PAIRS)).astype(np.intp))
    values = np.round(np.stack([y[rows], guess[rows]], axis=1), 4)
    return tuple((float(true), float(found)) for true, found in values)


def spearman(guess: _Floats, y: _Floats) -> float | None:
    """Rank correlation, ties at their mean rank, averaged over columns; None where one side of
    every column is constant.
    """
    found = []
    for column in range(y.shape[1]):
        a, b = _ranks(guess[:, column]), _ranks(y[:, column])
        if len(a) > 1 and a.std() > 0 and b.std() > 0:
            found.append(float(np.corrcoef(a, b)[0, 1]))
    return float(np.mean(found)) if found else None


def _ranks(values: _Floats) -> _Floats:
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: _Floats = (last - (counts - 1) / 2.0)[where]
    return ranks


def _group(name: str, guess: _Floats, y: _Floats) -> ValueGroup:
    error = guess - y
    return ValueGroup(
        name=name,
        rows=len(y),
        mae=float(np.abs(error).mean()),
        bias=float(error.mean()),
        spearman=spearman(guess, y),
    )


def _moments(guess: _Floats, y: _Floats, where: NDArray[np.intp]) -> _Floats:
    """For each group count, sums and products [groups, 6 * columns], about the overall means."""
    a, b = guess - guess.mean(axis=0), y - y.mean(axis=0)
    parts = np.concatenate([np.ones_like(a), a, b, a * a, b * b, a * b], axis=1)
    sums = np.zeros((int(where.max()) + 1, parts.shape[1]))
    np.add.at(sums, where, parts)
    return sums


def _pearson_of(sums: _Floats) -> _Floats:
    n, a, b, aa, bb, ab = np.split(sums, 6, axis=1)
    spread = np.sqrt(np.maximum(aa - a * a / n, 0) * np.maximum(bb - b * b / n, 0))
    together = ab - a * b / n
    found: _Floats = np.where(spread > 0, together / np.where(spread > 0, spread, 1), 0.0)
    mean: _Floats = found.mean(axis=1)
    return mean
