"""One model of both shared sets beside a model of each: the same network, epochs and test people.

The merged model takes nine axes and knows 13 activities, through the label map below; what a set
did not measure is masked. A single model takes the six axes of its set and knows its activities.
"""

import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from _results import ROOT
from edgewright.workbench.data import WindowSet, check_leaks
from edgewright.workbench.recipes.har import HarOptions, HarRecipe, MergeOptions
from edgewright.workbench.train import Metrics, evaluate, load_run, train, train_options

DATA = ROOT.parent / "shared" / "data"
HAPT, SPAR = DATA / "hapt" / "hapt.npz", DATA / "spar-watch" / "spar_watch.npz"
SIX = ("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING")
CHANGES = ("STAND_TO_SIT", "SIT_TO_STAND", "SIT_TO_LIE")
CHANGES += ("LIE_TO_SIT", "STAND_TO_LIE", "LIE_TO_STAND")
EXERCISES = ("PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW")
OFFICIAL_TEST = ("2", "4", "9", "10", "12", "13", "18", "20", "24")

SOURCES = {"hapt": HAPT, "spar": SPAR}
LABELS = {
    "hapt": {**{name: name.lower() for name in SIX}, **dict.fromkeys(CHANGES, "")},
    "spar": {name: name.lower() for name in EXERCISES},
}
TEST = {"hapt": OFFICIAL_TEST, "spar": ("1", "2")}
CLASSES = 13
WATCHED = 100

Raw = dict[str, Any]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a model did on one set's test people."""

    accuracy_percent: float
    macro_f1_percent: float
    elsewhere_percent: float
    """Windows that were taken for an activity of the other set."""
    windows: int
    classes: int


def recipe_of(names: tuple[str, ...], raw: Raw) -> HarRecipe:
    """The recipe on some of the sets; nine axes with masks where there are several."""
    merge = tuple(
        MergeOptions(name=name, source=str(SOURCES[name]), labels=LABELS[name]) for name in names
    )
    base = HarRecipe().with_options(raw, source="bench").options
    is_merged = len(names) > 1
    return HarRecipe(
        msgspec.structs.replace(
            base,
            merge=merge,
            masks_absent=is_merged,
            sensors=("acc", "gyro", "mag") if is_merged else (),
        )
    )


def learnt_on(names: tuple[str, ...], recipe_raw: Raw, train_raw: Raw) -> dict[str, Found]:
    """Train on some sets' other people; what came of it on the test people of each."""
    recipe = recipe_of(names, recipe_raw)
    dataset = recipe.load_data(ROOT)
    test = tuple(f"{name}/{who}" for name in names for who in TEST[name])
    options: HarOptions = msgspec.structs.replace(
        recipe.options,
        split=msgspec.structs.replace(recipe.options.split, test=test, val=(), val_count=0),
    )
    recipe = HarRecipe(options)
    split = recipe.split(dataset)
    learnt, tested = recipe.cut(dataset, split.train), recipe.cut(dataset, split.test)
    check_leaks(dataset, split, {"train": learnt, "test": tested})
    if len(names) > 1 and (len(learnt.label_names), len(learnt.channels)) != (CLASSES, 9):
        raise SystemExit(f"merged: {learnt.label_names}, {len(learnt.channels)} axes")
    watched = learnt.take(np.linspace(0, len(learnt) - 1, WATCHED).astype(np.intp))
    chosen = train_options(recipe, train_raw, source="bench")
    with tempfile.TemporaryDirectory() as folder:
        train(recipe, learnt, watched, chosen, Path(folder))
        module, _ = load_run(Path(folder))
    return {name: _found(evaluate(module, _of(tested, name)), name) for name in names}


def _of(windows: WindowSet, name: str) -> WindowSet:
    return windows.take(np.flatnonzero(np.char.startswith(windows.subject, f"{name}/")))


def _found(metrics: Metrics, name: str) -> Found:
    """F1 over the activities of the set: a window that is taken for the other set's is a miss."""
    own = [label for label in LABELS[name].values() if label]
    scores = [each for each in metrics.classes if each.name in own]
    at = [position for position, each in enumerate(metrics.classes) if each.name in own]
    matrix = np.array(metrics.confusion)
    strays = matrix.sum() - matrix[:, at].sum()
    return Found(
        accuracy_percent=round(100 * metrics.accuracy, 2),
        macro_f1_percent=round(100 * float(np.mean([each.f1 for each in scores])), 2),
        elsewhere_percent=round(100 * float(strays / matrix.sum()), 2),
        windows=metrics.windows,
        classes=len(metrics.classes),
    )
