"""A search over a project's options: the data stage, then trials in one or several processes."""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgewright._fs import remove_tree, write_atomic
from edgewright.chain.project import RunOrder, run_project
from edgewright.chain.ray_parts import ray_part
from edgewright.contract import decode_json, encode_json
from edgewright.errors import InputError, ResourceError
from edgewright.workbench.data import DatasetStore, Split
from edgewright.workbench.pipeline.manifests import StageStore
from edgewright.workbench.pipeline.project import Project, read_project
from edgewright.workbench.recipes import find_recipe
from edgewright.workbench.train import Progress, RunRecord, train, train_options
from edgewright.workbench.train.pages import PAGES
from edgewright.workbench.train.scores import check_metric
from edgewright.workbench.train.tuning import (
    Attempt,
    Dimension,
    Search,
    TuneReport,
    Value,
    read_space,
)

_STORE = ".edgewright"
_STOP_S = 10.0
_LOOK_S = 1.0
_TAIL_LINES = 10
_LEARNING = {
    "train.lr": {"low": 3e-4, "high": 1e-2, "log": True},
    "train.optimizer": ["adamw", "adam", "sgd"],
    "train.weight_decay": {"low": 1e-5, "high": 1e-1, "log": True},
}
_CLASSES = {
    "train.label_smoothing": {"low": 0.0, "high": 0.15},
    "train.mixup": {"low": 0.0, "high": 0.4},
}
_ACTIVITIES = {
    "recipe.architecture": ["har-quick", "tcn-vae", "gru", "cnn-lstm", "transformer"],
}


class TuneOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `edgewright tune` was asked for; `jobs` processes try at the same time."""

    folder: str
    trials: int = 20
    jobs: int = 1
    study: str = "default"
    seed: int = 0
    overrides: tuple[str, ...] = ()
    engine: str = "processes"
    cluster: str = ""

    @property
    def desk(self) -> Path:
        """Where trials lie while they run."""
        desk = Path(self.folder).absolute() / _STORE / "tune" / "desks"
        desk.mkdir(parents=True, exist_ok=True)
        return desk


Tell = Callable[[str, float], None]


def tune(order: TuneOrder, *, tell: Tell) -> TuneReport:
    """Search until the study has so many trials; leaves `reports/tune.json` and `tune.html`.

    Raises:
        InputError: the project has nobody to watch while training, or the space is wrong.
    """
    on_ray = _ray_search(order)
    folder = Path(order.folder)
    tell("reading the data", 0.0)
    run_project(
        RunOrder(folder=folder, stop="data", overrides=order.overrides), watch=lambda _: None
    )
    search = _search(order)
    recovered = search.recover()
    if recovered:
        tell(f"{recovered} trials of a killed process are tried again", 0.0)
    if on_ray is not None and search.done() < order.trials:
        remove_tree(order.desk)
        on_ray(msgspec.structs.replace(order, folder=str(folder.absolute())), search, tell=tell)
    elif order.jobs > 1 and search.done() < order.trials:
        _in_children(order, search, tell)
    else:
        work(order, tell=tell, search=search)
    report = search.report()
    write_atomic(folder / "reports" / "tune.json", encode_json(report))
    page = PAGES.get_template("tune.html.jinja").render(report=report, lines=settings(report))
    write_atomic(folder / "reports" / "tune.html", page.encode())
    return report


def work(order: TuneOrder, *, tell: Tell, search: Search | None = None) -> None:
    """One process's share of a study."""
    search = search or _search(order)
    search.run(attempt_of(order), until=order.trials, tell=tell)


def attempt_of(order: TuneOrder) -> Attempt:
    """How one trial of a project is tried, here."""
    project = _project(order)
    data = _Data(Path(order.folder))

    def attempt(options: Mapping[str, Value], watch: Callable[[Progress], None]) -> RunRecord:
        recipe_raw = _merged(project.recipe_options, options, "recipe.")
        recipe = find_recipe(project.recipe_name).with_options(recipe_raw, source="tune: recipe")
        train_raw = _merged(project.train, options, "train.")
        chosen = train_options(recipe, train_raw, source="tune: train")
        loaded, split = data.open(recipe, Path(order.folder))
        with tempfile.TemporaryDirectory(dir=order.desk) as desk:
            return train(
                recipe,
                recipe.cut(loaded, split.train),
                recipe.cut(loaded, split.val),
                chosen,
                Path(desk),
                on_progress=watch,
            )

    return attempt


def _ray_search(order: TuneOrder) -> "Callable[..., None] | None":
    """Ray Tune's way, when it is asked for.

    Raises:
        InputError: an engine that nobody knows.
        UnavailableError: Ray is not installed.
    """
    if order.engine == "processes":
        return None
    if order.engine != "ray":
        raise InputError(f"engine {order.engine!r}", hint="choose processes or ray")
    search: Callable[..., None] = ray_part("tuning_ray").search_on_ray
    return search


def settings(report: TuneReport) -> list[str]:
    """The best trial's options as `--set` takes them."""
    options = report.best.options if report.best else {}
    return [f"{key}={_toml(value)}" for key, value in options.items()]


class _Data:
    """The data and the split that the data stage decided."""

    def __init__(self, folder: Path) -> None:
        stages = StageStore(folder / _STORE).newest("data")
        self._name = (stages / "dataset.txt").read_text().strip()
        self._split = decode_json((stages / "split.json").read_bytes(), Split, source="split.json")
        self._datasets = DatasetStore(folder / _STORE / "datasets")
        if not self._split.val:
            raise InputError(
                "tune needs people to watch while training, and the split has none",
                hint="set recipe.split.val_count = 1 or more; test people are never looked at",
            )

    def open(self, recipe: Any, folder: Path) -> tuple[Any, Split]:
        if self._datasets.has(self._name):
            return self._datasets.open(self._name), self._split
        return recipe.load_data(folder), self._split


def _search(order: TuneOrder) -> Search:
    project = _project(order)
    recipe = find_recipe(project.recipe_name).with_options(
        project.recipe_options, source="[recipe]"
    )
    options = train_options(recipe, project.train, source="[train]")
    metric = check_metric(options.best_by, recipe.task)
    return Search(
        Path(order.folder) / _STORE / "tune" / "journal.log",
        order.study,
        _space(project, recipe.task.kind),
        metric=metric,
        seed=order.seed,
    )


def _project(order: TuneOrder) -> Project:
    return read_project(Path(order.folder), order.overrides)


def _space(project: Project, kind: str) -> tuple[Dimension, ...]:
    raw = project.tune.get("space")
    if raw is None:
        raw = {**_LEARNING, **(_CLASSES if kind == "classification" else {})}
        raw |= _ACTIVITIES if project.recipe_name == "har" else {}
    return read_space(raw, source="[tune.space]")


def _merged(base: Mapping[str, Any], options: Mapping[str, Value], prefix: str) -> dict[str, Any]:
    """The project's options with a trial's on top; `a.b` reaches into a table."""
    merged: dict[str, Any] = msgspec.to_builtins(dict(base))
    for key, value in options.items():
        if not key.startswith(prefix):
            continue
        *tables, last = key.removeprefix(prefix).split(".")
        place = merged
        for table in tables:
            place = place.setdefault(table, {})
        place[last] = value
    return merged


def _in_children(order: TuneOrder, search: Search, tell: Tell) -> None:
    remove_tree(order.desk)
    said = [tempfile.TemporaryFile("w+") for _ in range(order.jobs)]  # noqa: SIM115 - closed below
    children = []
    try:
        for number, log in enumerate(said):
            own = msgspec.structs.replace(order, seed=order.seed + number)
            command = [sys.executable, "-m", "edgewright.chain.tune_child"]
            children.append(
                subprocess.Popen([*command, encode_json(own).decode()], stdout=log, stderr=log)
            )
        while running := [child for child in children if child.poll() is None]:
            done = search.done()
            tell(f"{done} of {order.trials} trials", min(done / order.trials, 1.0))
            with contextlib.suppress(subprocess.TimeoutExpired):
                running[0].wait(_LOOK_S)
        for child, log in zip(children, said, strict=True):
            if child.returncode:
                log.seek(0)
                tail = "".join(log.readlines()[-_TAIL_LINES:])
                raise ResourceError(
                    f"a tuning process ended with {child.returncode}:\n{tail}",
                    hint="run the command again: it goes on where it was",
                )
    finally:
        for child in children:
            if child.poll() is None:
                child.terminate()
                child.wait(_STOP_S)
        for log in said:
            log.close()


def _toml(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else f"{value:.6g}"
