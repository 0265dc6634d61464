"""The best settings for one picture: the network ranks many, the best few are traced for real.

What is ranked lies near the tracer's default and writes few decimals, so that files stay small: far
from it the most faithful traces are many times as large. The best of each kind of outline are
traced, since which kind gives the smaller file differs from picture to picture.

Nothing is recommended on a prediction alone: what is shown was measured, beside the tracer's
default, and a pick never makes a larger file.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright._pictures import Picture
from edgewright.workbench.recipes.svg.features import Extractor, Vector
from edgewright.workbench.recipes.svg.settings import DEFAULT, MODES, PILOTS, Settings, encode
from edgewright.workbench.recipes.svg.tracing import Row, measure_logo

CANDIDATES = 600
TRACED_OF_A_MODE = 3

Predict = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
"""Features [n, F] and settings [n, 9] to predicted SSIM [n]."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One choice of settings: what was predicted and what was measured."""

    settings: Settings
    predicted_ssim: float
    true_ssim: float
    svg_bytes: int


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """The pick beside the default; `first` is what the network alone would have picked."""

    pick: Choice
    default: Choice
    first: Choice
    traced: int
    ranked: int

    @property
    def is_better(self) -> bool:
        """More faithful and not larger."""
        return (
            self.pick.true_ssim > self.default.true_ssim
            and self.pick.svg_bytes <= self.default.svg_bytes
        )


class Predicted(msgspec.Struct, frozen=True, kw_only=True):
    """One choice of settings and what the network expects of it."""

    settings: Settings
    ssim: float


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """What the network expects of each candidate, in their order; `best` is a position."""

    predictions: tuple[Predicted, ...]
    best: int


def predict_settings(
    picture: Picture, extractor: Extractor, predict: Predict, candidates: Sequence[Settings]
) -> Prediction:
    """The predicted SSIM of each candidate; nothing is traced but the extractor's pilots."""
    expected = _predicted(_vector(picture, extractor), predict, candidates)
    predictions = tuple(
        Predicted(settings=settings, ssim=round(float(value), 4))
        for settings, value in zip(candidates, expected, strict=True)
    )
    return Prediction(predictions=predictions, best=int(np.argmax(expected)))


def recommend(
    picture: Picture, extractor: Extractor, predict: Predict, *, seed: int = 0
) -> Recommendation:
    """Rank, trace the best few, pick."""
    candidates = [DEFAULT, *draw_candidates(np.random.default_rng(seed), CANDIDATES)]
    predicted = _predicted(_vector(picture, extractor), predict, candidates)
    order = _best_of_each_mode(candidates, predicted)
    (default,) = _measured(picture, [candidates[0]], predicted[:1])
    traced = _measured(picture, [candidates[at] for at in order], predicted[order])
    fitting = [each for each in traced if each.svg_bytes <= default.svg_bytes]
    pick = max([*fitting, default], key=lambda each: each.true_ssim)
    first = default if int(np.argmax(predicted)) == 0 else traced[0]
    return Recommendation(
        pick=pick, default=default, first=first, traced=len(traced), ranked=len(candidates)
    )


def draw_candidates(rng: np.random.Generator, count: int) -> list[Settings]:
    """The default with one to four parameters drawn anew, hardly in a direction that makes more
    shapes, and one to three decimals.
    """
    found = []
    for _ in range(count):
        drawn: dict[str, Any] = {
            "mode": MODES[int(rng.integers(len(MODES)))],
            "filter_speckle": int(rng.integers(3, 9)),
            "color_precision": int(rng.integers(DEFAULT.color_precision, 9)),
            "layer_difference": int(rng.integers(DEFAULT.layer_difference, 49)),
            "corner_threshold": int(rng.integers(15, 140)),
            "length_threshold": round(float(rng.uniform(3.5, 8)), 1),
            "splice_threshold": int(rng.integers(10, 140)),
        }
        kept = rng.permutation(list(drawn))[int(rng.integers(1, 5)) :]
        for name in kept.tolist():
            del drawn[name]
        drawn["path_precision"] = int(rng.integers(1, 4))
        found.append(msgspec.structs.replace(DEFAULT, **drawn))
    return found


def _best_of_each_mode(
    candidates: Sequence[Settings], predicted: NDArray[np.float32]
) -> NDArray[np.intp]:
    """Places of the best of each mode, the very best first; the default at 0 is not among them."""
    order = np.argsort(-predicted[1:], kind="stable") + 1
    of_mode: dict[str, list[int]] = {}
    for at in order.tolist():
        of_mode.setdefault(candidates[at].mode, []).append(at)
    chosen = {at for places in of_mode.values() for at in places[:TRACED_OF_A_MODE]}
    return np.array([at for at in order.tolist() if at in chosen], np.intp)


def _vector(picture: Picture, extractor: Extractor) -> Vector:
    pilots = measure_logo(picture, PILOTS) if extractor.needs_pilots else ()
    return extractor.features(picture, pilots)


def _predicted(
    vector: Vector, predict: Predict, candidates: Sequence[Settings]
) -> NDArray[np.float32]:
    rows = np.stack([encode(each) for each in candidates])
    return predict(np.repeat(vector[np.newaxis], len(rows), axis=0), rows)


def _measured(
    picture: Picture, settings: list[Settings], predicted: NDArray[np.float32]
) -> list[Choice]:
    rows: tuple[Row, ...] = measure_logo(picture, settings)
    return [
        Choice(
            settings=row.settings,
            predicted_ssim=round(float(value), 4),
            true_ssim=row.ssim,
            svg_bytes=row.svg_bytes,
        )
        for row, value in zip(rows, predicted, strict=True)
    ]
