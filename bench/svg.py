"""How well the SSIM of a trace is predicted on a collection of logos that was not trained on.

    python bench/svg.py            train on one collection, test on the other, and the reverse
    python bench/svg.py networks   the same for the networks as specified, on EfficientNet features

Figures are on drawn settings only (never on pilots), for whole collections. Side by side, on the
same rows and features: the recipe's network and gradient boosting. Then, for unseen logos: is the
recommended setting's true SSIM above the tracer's default, in no larger a file? Measured rows and
features are kept in build/svg, so a second run measures nothing again.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

from _results import ROOT, Recording
from edgewright.chain.engines import engine_for_format
from edgewright.workbench.convert.torch_onnx import export_onnx
from edgewright.workbench.data import SampleSet
from edgewright.workbench.recipes.svg import SvgQuality
from edgewright.workbench.recipes.svg.factory import FactoryOrder, Made, make_rows
from edgewright.workbench.recipes.svg.features import Extractor, find_extractor
from edgewright.workbench.recipes.svg.networks import WIDE_FEATURES
from edgewright.workbench.recipes.svg.recipe import SvgOptions, drawn_samples
from edgewright.workbench.recipes.svg.recommending import recommend
from edgewright.workbench.train import load_run, train, train_options
from edgewright.workbench.train.record import RunRecord
from edgewright.workbench.train.value_metrics import ValueMetrics, score_values

DATA = ROOT.parent / "shared" / "data"
LOGOS = DATA / "svg-logos"
EFFICIENTNET = DATA / "models" / "efficientnet-lite0" / "efficientnet_lite0_fp32.onnx"
CACHE = ROOT / "build" / "svg"
COLLECTIONS = {"devicon": "devicon_original.zip", "simple_icons": "simple_icons_600.zip"}
DIRECTIONS = (("devicon", "simple_icons"), ("simple_icons", "devicon"))
RECOMMENDED = 60
TIMED = 300
SEED = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("protocol", nargs="?", choices=("recipe", "networks"), default="recipe")
    protocol = parser.parse_args().protocol
    torch.set_num_threads(1)
    with Recording("svg" if protocol == "recipe" else "svg-networks") as recording:
        made = {name: _made(LOGOS / file) for name, file in COLLECTIONS.items()}
        recording.raw["logos"] = {name: len(one.logos) for name, one in made.items()}
        recording.raw["tools"] = next(iter(made.values())).logos[0].tools
        for trained, tested in DIRECTIONS:
            name = f"{trained}_to_{tested}"
            if protocol == "recipe":
                _recipe(recording, name, made[trained], made[tested])
            else:
                _networks(recording, name, made[trained], made[tested])


def _recipe(recording: Recording, name: str, trained: Made, tested: Made) -> None:
    """The recipe as it comes, beside gradient boosting, and what its recommendations are worth."""
    extractor = find_extractor("pilots", None)
    known = drawn_samples(trained, extractor, CACHE)
    unseen = drawn_samples(tested, extractor, CACHE)
    recording.raw[f"{name}_rows"] = [len(known), len(unseen)]
    module, record = _trained(SvgQuality(SvgOptions(source="bench")), known)
    _note(recording, name, _scores(_answers(module, unseen), unseen))
    _note_training(recording, name, record)
    _note(recording, f"{name}_boosting", _scores(_boosted(known, unseen), unseen))
    _recommendations(recording, name, tested, extractor, module)
    _gates(recording, name, module, unseen)


def _networks(recording: Recording, name: str, trained: Made, tested: Made) -> None:
    """The specified network on zero-padded features, and its head on the features as they are."""
    extractor = find_extractor("efficientnet-lite0", EFFICIENTNET)
    known = drawn_samples(trained, extractor, CACHE)
    unseen = drawn_samples(tested, extractor, CACHE)
    recording.raw["features"] = (
        f"{extractor.name}, {extractor.size} numbers; mlp-2056 sees zeros from column "
        f"{extractor.size} to {WIDE_FEATURES}"
    )
    for network in ("mlp-2056", "head-1280"):
        options = SvgOptions(source="bench", features="efficientnet-lite0", network=network)
        module, record = _trained(SvgQuality(options), known)
        label = f"{name}_{network.replace('-', '_')}"
        _note(recording, label, _scores(_answers(module, unseen), unseen))
        _note_training(recording, label, record)
        _gates(recording, label, module, unseen)
    _note(recording, f"{name}_boosting", _scores(_boosted(known, unseen), unseen))


def _trained(recipe: SvgQuality, rows: SampleSet) -> tuple[Any, RunRecord]:
    """A run on nine of ten logos, watched on the tenth."""
    watched = np.isin(rows.group, np.unique(rows.group)[::10])
    options = train_options(recipe, {"threads": 1, "seed": SEED}, source="bench")
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        record = train(recipe, rows.take(~watched), rows.take(watched), options, Path(folder))
        return load_run(Path(folder))[0], record


def _note_training(recording: Recording, name: str, record: RunRecord) -> None:
    reached = [epoch.epoch for epoch in record.epochs if epoch.val["pearson"] >= 0.90]
    recording.figures[f"{name}_epochs_to_pearson_090"] = reached[0] if reached else -1
    recording.figures[f"{name}_parameters"] = record.parameters
    recording.raw[f"{name}_training"] = {
        "train_s": round(record.seconds, 1),
        "ending": record.ending,
        "watched_pearson_by_epoch": [round(epoch.val["pearson"], 4) for epoch in record.epochs],
    }


def _boosted(known: SampleSet, unseen: SampleSet) -> NDArray[np.float32]:
    boosting = HistGradientBoostingRegressor(
        max_iter=200, learning_rate=0.08, max_leaf_nodes=24, random_state=SEED
    )
    boosting.fit(_flat(known), known.target)
    return np.asarray(boosting.predict(_flat(unseen)), np.float32)


def _recommendations(
    recording: Recording, name: str, made: Made, extractor: Extractor, module: Any
) -> None:
    """Unseen logos, evenly over the collection."""
    chosen = np.linspace(0, len(made.logos) - 1, RECOMMENDED).astype(int)
    found = [recommend(made.pictures[at], extractor, _predictor(module)) for at in chosen]
    alone = [
        one.first.true_ssim > one.default.true_ssim and one.first.svg_bytes <= one.default.svg_bytes
        for one in found
    ]
    better = [one.is_better for one in found]
    gains = [one.pick.true_ssim - one.default.true_ssim for one in found]
    figures = recording.figures
    figures[f"{name}_recommended_better_percent"] = round(100 * float(np.mean(better)), 1)
    figures[f"{name}_first_ranked_better_percent"] = round(100 * float(np.mean(alone)), 1)
    figures[f"{name}_median_ssim_gain"] = round(float(np.median(gains)), 4)
    recording.raw[f"{name}_recommended"] = {
        "logos": len(found),
        "default_ssim": [one.default.true_ssim for one in found],
        "ssim_gain": [round(gain, 4) for gain in gains],
        "bytes_over_default": [
            round(one.pick.svg_bytes / one.default.svg_bytes, 3) for one in found
        ],
        "picks": [msgspec.to_builtins(one.pick.settings) for one in found],
    }


def _predictor(module: Any) -> Callable[..., NDArray[np.float32]]:
    def predict(
        features: NDArray[np.float32], settings: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        with torch.inference_mode():
            (answer,) = module(torch.from_numpy(features), torch.from_numpy(settings))
        return np.asarray(answer.numpy(), np.float32)

    return predict


def _gates(recording: Recording, name: str, module: Any, rows: SampleSet) -> None:
    """The exported file's size, and the time of one answer in the engine that serves it."""
    arrays = {key: np.asarray(array[:2]) for key, array in rows.inputs.items()}
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(module, tuple(arrays.values()), path, inputs=tuple(arrays), outputs=("ssim",))
        recording.figures[f"{name}_onnx_mb"] = round(path.stat().st_size / 1e6, 2)
        session = engine_for_format("onnx").open(path)
        one = {key: array[:1] for key, array in arrays.items()}
        times_ms = []
        for _ in range(TIMED):
            began_s = time.perf_counter()
            session.run(one)
            times_ms.append(1000 * (time.perf_counter() - began_s))
        session.close()
    recording.figures[f"{name}_answer_p95_ms"] = round(float(np.percentile(times_ms, 95)), 3)


def _scores(answers: NDArray[np.float32], rows: SampleSet) -> ValueMetrics:
    return score_values(answers, rows.target, group=rows.group)


def _note(recording: Recording, name: str, metrics: ValueMetrics) -> None:
    recording.figures[f"{name}_pearson"] = round(metrics.pearson, 4)
    recording.figures[f"{name}_mae"] = round(metrics.mae, 4)
    within = metrics.within_group_spearman
    recording.figures[f"{name}_within_spearman"] = round(within, 4) if within is not None else -1
    recording.raw[f"{name}_intervals"] = {
        "pearson": [metrics.pearson_low, metrics.pearson_high],
        "mae": [metrics.mae_low, metrics.mae_high],
    }


def _made(collection: Path) -> Made:
    return make_rows(FactoryOrder(collection=collection, processes=2), CACHE)


def _answers(module: Any, rows: SampleSet) -> NDArray[np.float32]:
    arrays = [np.asarray(each[:]) for each in rows.inputs.values()]
    return np.clip(_predictor(module)(*arrays), 0, 1)


def _flat(rows: SampleSet) -> NDArray[np.float32]:
    return np.concatenate([np.asarray(each[:]) for each in rows.inputs.values()], axis=1)


if __name__ == "__main__":
    main()
