"""How good the activity recipe is on people who were not trained on.

    python bench/har.py                    all that is reported: spar, hapt6, hapt12, leak, merged
    python bench/har.py spar               SPAR, 5 folds by subject, 2 s windows
    python bench/har.py hapt6-choose       3 folds over the 21 official training people, to choose
    python bench/har.py hapt12-choose      likewise, 12 classes
    python bench/har.py hapt6              the 9 official test people, once a seed: to report
    python bench/har.py hapt12             likewise, 12 classes
    python bench/har.py leak               what a random split of the same windows would claim
    python bench/har.py merged             one model of both sets beside a model of each

Nobody who is tested is looked at before the end: the loop watches training windows, the last
averaged weights are kept, and the test people are scored once a run. What was chosen stands in
CHOSEN; `leak` and `merged` compare figures to each other and take BRIEF, for minutes.
`--set train.epochs=40` changes one option; `--try` prints without writing a result file.
"""

import argparse
import contextlib
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from _har_merged import HAPT, OFFICIAL_TEST, SIX, learnt_on
from _results import ROOT, Recording
from edgewright.workbench.data import (
    Dataset,
    Split,
    WindowSet,
    check_leaks,
    k_folds,
    split_by_subject,
    split_windows_at_random,
)
from edgewright.workbench.recipes.har import HarRecipe
from edgewright.workbench.train import Metrics, evaluate, load_run, train, train_options

CHOSEN = {
    "recipe": {
        "architecture": "har-branches",
        "branches": 2,
        "widths": [48, 64, 96],
        "hop_s": 0.5,
        "augment": {"rotation_deg": 35.0, "time_warp": 0.15, "shift": 10},
    },
    "train": {"epochs": 12, "threads": 1},
}
BRIEF = {
    "recipe": {"architecture": "har-quick", "hop_s": 1.0},
    "train": {"epochs": 6, "threads": 1},
}
MORE_EPOCHS = {"spar": 30}
"""Its folds have two fifths of the windows: about as many steps as on `hapt`."""
REPORTED = {"spar": (0,), "hapt6": (0, 1, 2), "hapt12": (0, 1, 2), "leak": (0,), "merged": (0,)}
TEST_HOP_S = 1.0
WATCHED = 100


def main() -> None:
    arguments = _arguments()
    for protocol in REPORTED if arguments.protocol == "all" else (arguments.protocol,):
        recording = Recording(f"har-{protocol}")
        with contextlib.nullcontext() if arguments.trial else recording:
            _measure(protocol, arguments, recording)


def _measure(protocol: str, arguments: argparse.Namespace, recording: Recording) -> None:
    options = _options(arguments.set)
    chosen = BRIEF if protocol in ("leak", "merged") else CHOSEN
    epochs = MORE_EPOCHS.get(protocol, chosen["train"]["epochs"])
    raw = {**chosen["train"], "epochs": epochs, **options["train"]}
    if protocol == "merged":
        _measure_merged({**chosen["recipe"], **options["recipe"]}, raw, recording)
        return
    recipe = HarRecipe().with_options(
        {**chosen["recipe"], **_data(protocol), **options["recipe"]}, source="--set recipe"
    )
    dataset = recipe.load_data(ROOT)
    runs = []
    for split in _splits(protocol, dataset)[: arguments.folds]:
        for seed in arguments.seeds or REPORTED.get(protocol, (0,)):
            runs.append(_run(recipe, dataset, split, {**raw, "seed": seed}))
            _say(split.name, seed, runs[-1])
            if protocol == "leak":
                runs.append(_run_leaky(recipe, dataset, {**raw, "seed": seed}))
                _say("random split, leaks", seed, runs[-1])
    keep = runs[-1:] if protocol == "leak" else runs
    for name in ("accuracy", "macro_f1"):
        values = np.array([getattr(metrics, name) for metrics, _ in keep])
        recording.figures[f"{name}_percent"] = round(100 * float(values.mean()), 2)
        recording.figures[f"{name}_lowest_run_percent"] = round(100 * float(values.min()), 2)
        for end in ("low", "high"):
            bounds = [getattr(metrics, f"{name}_{end}") for metrics, _ in keep]
            recording.figures[f"{name}_{end}_percent"] = round(100 * float(np.mean(bounds)), 2)
    if protocol == "leak":
        recording.figures["accuracy_by_subject_percent"] = round(100 * runs[0][0].accuracy, 2)
    used = msgspec.to_builtins(recipe.options)
    if "source" in used:
        used["source"] = Path(used["source"]).name
    recording.raw["recipe"] = used
    recording.raw["train"] = msgspec.to_builtins(train_options(recipe, raw, source="--set train"))
    recording.raw["dataset"] = dataset.content_hash
    recording.raw["runs"] = [
        {"seconds": round(seconds, 1), **msgspec.to_builtins(metrics)} for metrics, seconds in runs
    ]
    print(recording.figures)


def _measure_merged(
    recipe_raw: dict[str, Any], train_raw: dict[str, Any], recording: Recording
) -> None:
    both = ("hapt", "spar")
    models = {"merged": both, "hapt": both[:1], "spar": both[1:]}
    for model, names in models.items():
        kind = "merged" if len(names) > 1 else "single"
        for name, found in learnt_on(names, recipe_raw, {**train_raw, "seed": 0}).items():
            recording.raw[f"{name}_{kind}"] = msgspec.to_builtins(found)
            for figure in ("accuracy_percent", "macro_f1_percent"):
                recording.figures[f"{name}_{kind}_{figure}"] = getattr(found, figure)
            if kind == "merged":
                recording.figures[f"{name}_{kind}_elsewhere_percent"] = found.elsewhere_percent
            print(f"{model} on {name}: {msgspec.to_builtins(found)}", file=sys.stderr, flush=True)
    recording.raw["recipe"], recording.raw["train"] = recipe_raw, train_raw
    print(recording.figures)


def _splits(protocol: str, dataset: Dataset) -> list[Split]:
    """Folds for choosing never hold an official test person."""
    if protocol == "spar":
        return list(k_folds(dataset, 5))
    official = split_by_subject(dataset, test=OFFICIAL_TEST)
    if protocol.endswith("-choose"):
        return list(k_folds(dataset.of_subjects(official.train), 3))
    return [official]


def _run(
    recipe: HarRecipe, dataset: Dataset, split: Split, raw: dict[str, Any]
) -> tuple[Metrics, float]:
    learnt = recipe.cut(dataset, split.train)
    tested = _with_hop(recipe, TEST_HOP_S).cut(dataset, split.test)
    check_leaks(dataset, split, {"train": learnt, "test": tested})
    return _train_and_score(recipe, learnt, tested, raw)


def _run_leaky(recipe: HarRecipe, dataset: Dataset, raw: dict[str, Any]) -> tuple[Metrics, float]:
    windows = recipe.cut(dataset, dataset.subjects)
    learnt, tested = split_windows_at_random(
        windows, test_share=0.3, seed=raw["seed"], leaks_accepted=True
    )
    return _train_and_score(recipe, learnt, tested, raw)


def _train_and_score(
    recipe: HarRecipe, learnt: WindowSet, tested: WindowSet, raw: dict[str, Any]
) -> tuple[Metrics, float]:
    options = train_options(recipe, raw, source="--set train")
    watched = learnt.take(np.linspace(0, len(learnt) - 1, WATCHED).astype(np.intp))
    with tempfile.TemporaryDirectory() as folder:
        record = train(recipe, learnt, watched, options, Path(folder))
        module, _ = load_run(Path(folder))
    return evaluate(module, tested), record.seconds


def _with_hop(recipe: HarRecipe, hop_s: float) -> HarRecipe:
    return HarRecipe(msgspec.structs.replace(recipe.options, hop_s=hop_s))


def _data(protocol: str) -> dict[str, Any]:
    if protocol == "spar":
        return {}
    six = {"labels": list(SIX)} if protocol.startswith(("hapt6", "leak")) else {}
    return {"source": str(HAPT), **six}


def _options(pairs: list[str]) -> dict[str, dict[str, Any]]:
    """`train.lr=1e-3` as {"train": {"lr": 0.001}}."""
    parsed: dict[str, Any] = {"recipe": {}, "train": {}}
    for pair in pairs:
        key, _, value = pair.partition("=")
        *path, last = key.split(".")
        table = parsed
        for part in path:
            table = table.setdefault(part, {})
        table[last] = tomllib.loads(f"value = {value}")["value"]
    return parsed


def _say(name: str, seed: int, run: tuple[Metrics, float]) -> None:
    metrics, seconds = run
    print(
        f"{name}, seed {seed}: accuracy {100 * metrics.accuracy:.2f}, "
        f"macro-F1 {100 * metrics.macro_f1:.2f}, worst subject {metrics.worst_subject}, "
        f"{seconds:.0f} s",
        file=sys.stderr,
        flush=True,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    protocols = ("all", *REPORTED, "hapt6-choose", "hapt12-choose")
    parser.add_argument("protocol", nargs="?", default="all", choices=protocols)
    parser.add_argument("--seeds", type=int, nargs="+", default=None)
    parser.add_argument("--folds", type=int, default=99)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--try", dest="trial", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
