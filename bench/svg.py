"""How well the SSIM of a trace is predicted on a collection of logos that was not trained on.

    python bench/svg.py        train on one shared collection, test on the other, and the reverse

Figures are on drawn settings only (never on pilots), for whole collections. Side by side: the
recipe's network and gradient boosting, on the same rows and features. Then, for unseen logos: is
the recommended setting's true SSIM above the tracer's default, in no larger a file? Measured rows
are kept in build/svg, so a second run measures nothing again.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

from _results import ROOT, Recording
from edgewright.workbench.data import SampleSet
from edgewright.workbench.recipes.svg import SvgQuality
from edgewright.workbench.recipes.svg.factory import FactoryOrder, Made, make_rows
from edgewright.workbench.recipes.svg.features import find_extractor
from edgewright.workbench.recipes.svg.recipe import SvgOptions
from edgewright.workbench.recipes.svg.recommending import recommend
from edgewright.workbench.recipes.svg.settings import encode
from edgewright.workbench.train import load_run, train, train_options
from edgewright.workbench.train.value_metrics import ValueMetrics, score_values

LOGOS = ROOT.parent / "shared" / "data" / "svg-logos"
CACHE = ROOT / "build" / "svg"
COLLECTIONS = {"devicon": "devicon_original.zip", "simple_icons": "simple_icons_600.zip"}
RECOMMENDED = 40
EPOCHS = 24


def main() -> None:
    with Recording("svg") as recording:
        made = {name: _made(LOGOS / file) for name, file in COLLECTIONS.items()}
        recording.raw["logos"] = {name: len(one.logos) for name, one in made.items()}
        recording.raw["rows"] = {name: len(_samples(one)) for name, one in made.items()}
        recording.raw["tools"] = next(iter(made.values())).logos[0].tools
        for trained, tested in (("devicon", "simple_icons"), ("simple_icons", "devicon")):
            _direction(recording, made, trained, tested)


def _direction(recording: Recording, made: dict[str, Made], trained: str, tested: str) -> None:
    recipe = SvgQuality(SvgOptions(source=COLLECTIONS[trained]))
    train_rows, test_rows = _samples(made[trained]), _samples(made[tested])
    watched = np.isin(train_rows.group, np.unique(train_rows.group)[::10])
    chosen = {
        "epochs": EPOCHS,
        "batch_size": 128,
        "lr": 3e-3,
        "weight_decay": 1e-2,
        "averaging": 0.98,
        "threads": 1,
        "seed": 1,
    }
    options = train_options(recipe, chosen, source="bench")
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        started_s = time.monotonic()
        record = train(
            recipe, train_rows.take(~watched), train_rows.take(watched), options, Path(folder)
        )
        module, _ = load_run(Path(folder))
        seconds = time.monotonic() - started_s
    metrics = score_values(_answers(module, test_rows), test_rows.target, group=test_rows.group)
    _note(recording, f"{trained}_to_{tested}", metrics)
    recording.raw[f"{trained}_to_{tested}"] = {
        "train_s": round(seconds, 1),
        "parameters": record.parameters,
        "watched_pearson_by_epoch": [round(epoch.val["pearson"], 4) for epoch in record.epochs],
    }
    reached = [epoch.epoch for epoch in record.epochs if epoch.val["pearson"] >= 0.90]
    recording.figures[f"{trained}_epochs_to_pearson_090"] = reached[0] if reached else -1
    boosted = HistGradientBoostingRegressor(max_iter=200, learning_rate=0.08, max_leaf_nodes=24)
    boosted.fit(_flat(train_rows), train_rows.target)
    answers = boosted.predict(_flat(test_rows)).astype(np.float32)
    _note(
        recording,
        f"{trained}_to_{tested}_boosting",
        score_values(answers, test_rows.target, group=test_rows.group),
    )
    _recommendations(recording, made[tested], module, f"{trained}_to_{tested}")


def _recommendations(recording: Recording, made: Made, module: Any, name: str) -> None:
    """Unseen logos, evenly over the collection."""

    def predict(
        features: NDArray[np.float32], settings: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        with torch.inference_mode():
            (answer,) = module(torch.from_numpy(features), torch.from_numpy(settings))
        return np.asarray(answer.numpy(), np.float32)

    extractor = find_extractor("pilots", None)
    chosen = np.linspace(0, len(made.logos) - 1, RECOMMENDED).astype(int)
    found = [recommend(made.pictures[at], extractor, predict) for at in chosen]
    alone = [
        one.first.true_ssim > one.default.true_ssim and one.first.svg_bytes <= one.default.svg_bytes
        for one in found
    ]
    better = [one.is_better for one in found]
    recording.figures[f"{name}_recommended_better_percent"] = round(100 * float(np.mean(better)), 1)
    recording.figures[f"{name}_first_ranked_better_percent"] = round(100 * float(np.mean(alone)), 1)
    gains = [one.pick.true_ssim - one.default.true_ssim for one in found]
    recording.figures[f"{name}_median_ssim_gain"] = round(float(np.median(gains)), 4)
    recording.raw[f"{name}_recommended"] = {
        "logos": len(found),
        "ssim_gain": [round(gain, 4) for gain in gains],
        "bytes_over_default": [
            round(one.pick.svg_bytes / one.default.svg_bytes, 3) for one in found
        ],
    }


def _note(recording: Recording, name: str, metrics: ValueMetrics) -> None:
    recording.figures[f"{name}_pearson"] = round(metrics.pearson, 4)
    recording.figures[f"{name}_mae"] = round(metrics.mae, 4)
    within = metrics.within_group_spearman
    recording.figures[f"{name}_within_spearman"] = round(within, 4) if within is not None else -1


def _made(collection: Path) -> Made:
    return make_rows(FactoryOrder(collection=collection, processes=2), CACHE)


def _samples(made: Made) -> SampleSet:
    extractor = find_extractor("pilots", None)
    vectors, settings, values, groups = [], [], [], []
    for logo, picture in zip(made.logos, made.pictures, strict=True):
        vector = extractor.features(picture, logo.pilots)
        for row in logo.drawn:
            vectors.append(vector)
            settings.append(encode(row.settings))
            values.append(row.ssim)
            groups.append(logo.source.file)
    return SampleSet(
        inputs={"features": np.stack(vectors), "settings": np.stack(settings)},
        target=np.array(values, np.float32),
        group=np.array(groups),
    )


def _answers(module: Any, rows: SampleSet) -> NDArray[np.float32]:
    with torch.inference_mode():
        inputs = [torch.from_numpy(np.asarray(each[:])) for each in rows.inputs.values()]
        return np.asarray(module(*inputs)[-1].numpy(), np.float32)


def _flat(rows: SampleSet) -> NDArray[np.float32]:
    return np.concatenate([np.asarray(each[:]) for each in rows.inputs.values()], axis=1)


if __name__ == "__main__":
    main()
