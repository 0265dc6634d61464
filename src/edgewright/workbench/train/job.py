"""One training as a value that can be sent to other processes, and the way to do it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edgewright._fs import read_limited
from edgewright.contract import decode_json, encode_json
from edgewright.errors import InputError
from edgewright.stores import ObjectStore
from edgewright.workbench.data import DatasetStore, Split
from edgewright.workbench.recipes import Recipe, find_recipe
from edgewright.workbench.train.loop import train
from edgewright.workbench.train.options import TrainOptions
from edgewright.workbench.train.progress import OnProgress
from edgewright.workbench.train.record import RunOrigin, RunRecord

_LIMIT_BYTES = 16 << 20


class Job(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to train, on what, and where the run goes.

    `store` is a folder of datasets; data that are no recordings are loaded from `folder` by the
    recipe. `mirror` is an address of a second place for checkpoints.
    """

    recipe: str
    recipe_options: dict[str, object]
    folder: str
    store: str
    dataset: str
    split: Split
    options: TrainOptions
    out_dir: str
    command: str = ""
    mirror: str = ""
    resume: bool = True


@dataclass(frozen=True, kw_only=True)
class Means:
    """How a job is done: in how many processes, by which engine, and who is told. `cluster` is the
    address of a Ray cluster; without one Ray starts on this machine.
    """

    processes: int = 1
    engine: str = "torchrun"
    cluster: str = ""
    mirror: str = ""
    resume: bool = True
    tensorboard: bool = False


Trainer = Callable[[Job, OnProgress], RunRecord]
"""Does a job and tells how far it is."""


def do_job(
    job: Job,
    on_progress: OnProgress,
    *,
    recipe: Recipe | None = None,
    mirror: ObjectStore | None = None,
) -> RunRecord:
    """The job, in this process; a recipe that is not installed is handed in.

    Raises:
        InputError: the data are not those that the job names, or nobody is watched to choose by.
    """
    _expect_watched(job)
    bound = recipe or find_recipe(job.recipe).with_options(job.recipe_options, source="the job")
    data = open_data(
        bound, dataset=job.dataset, folder=Path(job.folder), store=DatasetStore(Path(job.store))
    )
    return train(
        bound,
        bound.cut(data, job.split.train),
        bound.cut(data, job.split.val or job.split.train),
        job.options,
        Path(job.out_dir),
        on_progress=on_progress,
        resume=job.resume,
        origin=RunOrigin(dataset=job.dataset, split=job.split, command=job.command),
        mirror=mirror,
    )


def _expect_watched(job: Job) -> None:
    """The epoch that fits the training rows best is the one that learnt them by heart."""
    options = job.options
    asked = {
        'keep = "best"': options.keep == "best",
        "patience": options.patience > 0,
        "stop_at": options.stop_at is not None,
    }
    chosen = [name for name, is_asked in asked.items() if is_asked]
    if chosen and not job.split.val:
        raise InputError(
            f"[train] {', '.join(chosen)}: an epoch is chosen by rows that are watched, and the "
            "split watches nobody",
            hint="set recipe.split.val_count = 1 or more, or train all epochs and keep the last",
        )


def open_data(
    recipe: Recipe, *, dataset: str, folder: Path, store: DatasetStore | None = None
) -> Any:
    """The data of a hash: stored recordings, or the recipe's own data, read again from `folder`.
    A project keeps its datasets in `.edgewright/datasets`.

    Raises:
        InputError: the data that are there now are others.
    """
    datasets = store or DatasetStore(folder / ".edgewright" / "datasets")
    if datasets.has(dataset):
        return datasets.open(dataset)
    loaded = recipe.load_data(folder)
    if loaded.content_hash != dataset:
        raise InputError(
            f"the data are {loaded.content_hash[:12]}, {dataset[:12]} are wanted",
            hint="run the data stage again: --from data",
        )
    return loaded


def encode_job(job: Job) -> bytes:
    """The job as JSON."""
    return encode_json(job)


def read_job(path: Path) -> Job:
    """A job from its JSON file.

    Raises:
        InputError: absent, or no job.
    """
    return decode_json(read_limited(path, limit_bytes=_LIMIT_BYTES), Job, source=str(path))
