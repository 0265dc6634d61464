"""Labels that people gave to picked samples, and a challenger that learnt them."""

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright import _fs, _npz
from edgewright.chain.project import RunOrder, walk_project
from edgewright.contract import decode_json, encode_json
from edgewright.errors import InputError
from edgewright.workbench.data import DatasetStore, Samples
from edgewright.workbench.improve import (
    Challenge,
    challenge,
    labelled_archive,
    parse_sheet,
    windows_of,
)
from edgewright.workbench.pipeline.manifests import StageStore
from edgewright.workbench.pipeline.project import read_project
from edgewright.workbench.pipeline.stage import STORE, Watcher
from edgewright.workbench.recipes import find_recipe
from edgewright.workbench.train import RunRecord, load_record, load_run, predict

REPORT = "improve.json"
_LOOKS = "looks.json"
_LIMIT_BYTES = 4 << 30
_SHEET_LIMIT_BYTES = 64 << 20


class Labelled(msgspec.Struct, frozen=True, kw_only=True):
    """What went into an archive."""

    archive: str
    samples: int
    labels: dict[str, int]


class Retrained(msgspec.Struct, frozen=True, kw_only=True):
    """A challenger and how it did; `run` is the folder of its weights and record."""

    run: str
    weights: str
    champion_weights: str
    added: tuple[str, ...]
    added_rows: int
    challenge: Challenge


def label_samples(project: Path, windows: Path, sheet: Path, out: Path) -> Labelled:
    """Write the samples that a sheet labels as an archive that the project can train on.

    Raises:
        InputError: the project was not trained yet, or windows and sheet do not fit its model.
    """
    record = load_record(StageStore(project / STORE).newest("train"))
    facts = record.facts
    if not facts.length:
        raise InputError(
            f"recipe {record.recipe} does not learn from windows of a sensor",
            hint="add labelled rows to the recipe's own data instead",
        )
    content = _fs.read_limited(windows, limit_bytes=_LIMIT_BYTES)
    arrays = _npz.decode_npz(content, source=str(windows))
    rows = windows_of(arrays, (facts.length, len(facts.channels)), source=str(windows))
    text = _fs.read_limited(sheet, limit_bytes=_SHEET_LIMIT_BYTES).decode(errors="replace")
    labels = parse_sheet(text, facts.labels, rows=len(rows), source=str(sheet))
    archive = labelled_archive(
        rows, arrays.get("subject"), labels, channels=facts.channels, rate_hz=facts.rate_hz
    )
    _fs.write_atomic(out, archive)
    given = list(labels.values())
    counts = {name: given.count(name) for name in facts.labels if name in given}
    return Labelled(archive=str(out), samples=len(labels), labels=counts)


def retrain(
    order: RunOrder, added: tuple[Path, ...], *, max_drop: float, watch: Watcher
) -> Retrained:
    """Train a challenger on the project's data and the added archives, and judge it beside the
    champion on the champion's test; nothing of the project is replaced.

    Raises:
        InputError: an archive is absent or does not fit, or the recipe cannot take any.
    """
    settings = read_project(order.folder, order.overrides)
    if settings.recipe_name != "har":
        raise InputError(f"recipe {settings.recipe_name} takes no added windows")
    before = tuple(map(str, settings.recipe_options.get("added", ())))
    more = tuple(str(path.resolve()) for path in added)
    listed = ", ".join(map(_quoted, (*before, *more)))
    challenging = msgspec.structs.replace(
        order, overrides=(*order.overrides, f"recipe.added=[{listed}]")
    )
    champion = walk_project(order, watch=watch)["train"].folder
    challenger = walk_project(challenging, watch=watch)["train"].folder
    result = _judged(order.folder, champion, challenger, max_drop=max_drop, added=more)
    reports = _fs.make_dirs(order.folder / "reports")
    _fs.write_atomic(reports / REPORT, encode_json(result))
    return result


def _judged(
    folder: Path, champion: Path, challenger: Path, *, max_drop: float, added: tuple[str, ...]
) -> Retrained:
    old, new = load_record(champion), load_record(challenger)
    test = _test_of(folder, old)
    if test.content_hash() != _test_of(folder, new).content_hash():
        raise InputError(
            "champion and challenger were not tested on the same samples",
            hint="keep [recipe] split as it was, or train the champion again",
        )
    return Retrained(
        run=str(challenger),
        weights=new.weights,
        champion_weights=old.weights,
        added=added,
        added_rows=new.train_rows - old.train_rows,
        challenge=challenge(
            _hits(champion, test),
            _hits(challenger, test),
            test.group,
            max_drop=max_drop,
            earlier_looks=_count_look(folder, test.content_hash(), new.weights),
        ),
    )


def _test_of(folder: Path, record: RunRecord) -> Samples:
    """The samples that a run is tested on and never trained on."""
    split = record.origin.split
    if split is None or not split.test:
        raise InputError("nobody is kept for a test", hint="set [recipe.split] test or test_count")
    recipe = find_recipe(record.recipe).with_options(record.recipe_options, source="the run")
    datasets = DatasetStore(folder / STORE / "datasets")
    return recipe.cut(datasets.open(record.origin.dataset), split.test)


def _hits(run: Path, test: Samples) -> NDArray[np.float64]:
    """1 for each row that the run's model gets right, else 0."""
    module, _ = load_run(run)
    logits = predict(module, test)[-1]
    hits: NDArray[np.float64] = (logits.argmax(axis=1) == test.target).astype(np.float64)
    return hits


def _count_look(folder: Path, test: str, weights: str) -> int:
    """How many other challengers were judged on this test before; remembers this one."""
    path = folder / STORE / _LOOKS
    looks: dict[str, list[str]] = {}
    if path.exists():
        content = _fs.read_limited(path, limit_bytes=_SHEET_LIMIT_BYTES)
        looks = decode_json(content, dict[str, list[str]], source=str(path))
    seen = looks.setdefault(test, [])
    if weights in seen:
        return seen.index(weights)
    seen.append(weights)
    _fs.write_atomic(path, encode_json(looks))
    return len(seen) - 1


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
