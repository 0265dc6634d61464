"""How much worse a variant is, with a one-sided 95 % upper bound.

The bound is the larger of two: the paired bootstrap (over groups where there are enough), which
sees how the drop varies between people or sites, and for accuracy a score interval that stays
above zero when no sample differed: a hundred equal answers do not prove a drop below half a point.

    >>> import numpy as np
    >>> from edgewright.workbench.verify import Accuracy
    >>> right = np.ones((200, 1))
    >>> drop = drop_of(Accuracy(), right, right, groups=None, rng=np.random.default_rng(0))
    >>> drop.value, 0.5 < drop.upper < 1.0
    (0.0, True)
"""

import math

import msgspec
import numpy as np

from edgewright.evidence.intervals import paired_bootstrap_drop, sums_interval
from edgewright.runtimes.base import Array
from edgewright.workbench.verify import Accuracy, TaskMetric
from edgewright.workbench.verify.metric import Scores

CONFIDENCE = 0.95
_ONE_SIDED_Z = 1.6448536269514722
_ROUNDS = 2000


class Drop(msgspec.Struct, frozen=True):
    """The metric of a variant, how far it fell, and how far it may have fallen, in points."""

    metric: float
    value: float
    upper: float


def drop_of(
    metric: TaskMetric,
    reference: Scores,
    candidate: Scores,
    *,
    groups: Array | None,
    rng: np.random.Generator,
) -> Drop:
    """The drop from paired sample scores."""
    before, after = metric.value(reference), metric.value(candidate)
    if np.array_equal(reference, candidate) and not isinstance(metric, Accuracy):
        return Drop(after, 0.0, 0.0)
    if isinstance(metric, Accuracy):
        upper = _accuracy_upper(reference[:, 0], candidate[:, 0], groups, rng)
    else:
        upper = _resampled_upper(metric, reference, candidate, groups, rng)
    return Drop(after, before - after, max(upper, before - after))


def least_upper(rows: int) -> float:
    """The smallest accuracy bound that this many samples can give: no answer differed."""
    return 100 * _score_upper(np.zeros(rows))


def _accuracy_upper(
    reference: Scores, candidate: Scores, groups: Array | None, rng: np.random.Generator
) -> float:
    drawn = paired_bootstrap_drop(
        reference,
        candidate,
        groups=groups,
        confidence=CONFIDENCE,
        sides="upper",
        rng=rng,
        rounds=_ROUNDS,
    )
    return 100 * max(drawn.high or 0.0, _score_upper(reference - candidate))


def _score_upper(losses: Scores) -> float:
    """Agresti and Min's interval for a paired difference: half a sample is added to each kind of
    change, so that it holds for few or no changes too.
    """
    rows = len(losses) + 2
    lost = float(losses[losses > 0].sum()) + 0.5
    won = -float(losses[losses < 0].sum()) + 0.5
    difference = (lost - won) / rows
    variance = (lost + won) / rows - difference**2
    return difference + _ONE_SIDED_Z * math.sqrt(variance / rows)


def _resampled_upper(
    metric: TaskMetric,
    reference: Scores,
    candidate: Scores,
    groups: Array | None,
    rng: np.random.Generator,
) -> float:
    """A metric that is no mean of samples: draw samples, compute both metrics anew."""
    columns = reference.shape[1]

    def statistic(sums: Scores, counts: Scores) -> Scores:
        before, after = sums[:, :columns], sums[:, columns:]
        return metric.of_sums(before, counts) - metric.of_sums(after, counts)

    interval = sums_interval(
        np.hstack([reference, candidate]),
        statistic=statistic,
        groups=groups,
        confidence=2 * CONFIDENCE - 1,
        rng=rng,
        rounds=_ROUNDS,
    )
    return interval.high if interval.high is not None else math.inf
