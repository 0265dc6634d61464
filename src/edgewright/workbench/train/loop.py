"""Training, top to bottom: build or resume, epochs of steps, keep, write."""

import hashlib
from pathlib import Path

import msgspec
import torch

from edgewright._fs import make_dirs, remove_leftovers, remove_tree, write_atomic
from edgewright.clock import Clock, SystemClock
from edgewright.contract import encode_json
from edgewright.workbench.data import Samples
from edgewright.workbench.recipes import Moment, Recipe
from edgewright.workbench.train import checkpoint as checkpoints
from edgewright.workbench.train.admission import check_samples
from edgewright.workbench.train.batches import Batches
from edgewright.workbench.train.evaluation import evaluate_task
from edgewright.workbench.train.options import TrainOptions
from edgewright.workbench.train.progress import Meter, OnProgress
from edgewright.workbench.train.record import SCHEMA_VERSION, RunOrigin, RunRecord
from edgewright.workbench.train.runs import MODEL_FILE, RUN_FILE, versions, weights_hash
from edgewright.workbench.train.schedule import lr_at
from edgewright.workbench.train.state import TrainingState

_LARGEST_SEED = 2**63


def train(
    recipe: Recipe,
    train: Samples,
    val: Samples,
    options: TrainOptions,
    out_dir: Path,
    *,
    on_progress: OnProgress = lambda _: None,
    resume: bool = False,
    origin: RunOrigin | None = None,
    clock: Clock | None = None,
) -> RunRecord:
    """Train on `train`, watch `val`, leave `model.pt`, `run.json` and a checkpoint in `out_dir`.

    With `resume` a run that was stopped at any moment goes on after its last whole epoch and ends
    with the same numbers, bit for bit, on the same machine with the same threads and versions.

    Raises:
        InputError: samples that do not fit together, or a checkpoint of another run.
        GateError: the loss is no finite number any more; the checkpoint of the last good epoch
            stays.
        UnavailableError: the device asked for is not here.
    """
    clock = clock or SystemClock()
    check_samples(train, val, recipe.task)
    torch.set_num_threads(options.threads)
    identity = _identity(recipe, options, train, val)
    make_dirs(out_dir)
    remove_leftovers(out_dir)
    if not resume:
        _clear(out_dir)
    found = checkpoints.load(out_dir, identity=identity)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        state = TrainingState(recipe, train, options)
        if found is not None:
            state.restore(found)
        batches = Batches(train, recipe.task, options, state.engine.device)
        while len(state.epochs) < options.epochs and not _is_done(state, options):
            epoch = len(state.epochs)
            began_s, before_s = clock.monotonic_s(), state.seconds
            generator = _seeded(options.seed, epoch)
            moment = Moment(epoch=epoch, epochs=options.epochs, generator=generator)
            meter = Meter(options, batches, epoch, on_progress, clock)
            state.module.train()
            for batch in batches.epoch(recipe, state.facts, generator):
                lr = lr_at(meter.step, steps_an_epoch=batches.steps, options=options)
                meter.note(state.step(batch, moment, step=meter.step, lr=lr), lr)
            scores = evaluate_task(state.averaged_module(), val, recipe.task)
            state.note(meter.epoch_record(scores))
            state.seconds = before_s + clock.monotonic_s() - began_s
            checkpoints.save(out_dir, state.checkpoint(identity))
            meter.tell_epoch(state.epochs[-1])
        kept = state.kept_module(recipe)
    record = RunRecord(
        schema_version=SCHEMA_VERSION,
        weights=weights_hash(state.kept),
        recipe=recipe.name,
        recipe_options=msgspec.json.decode(msgspec.json.encode(recipe.options)),
        facts=state.facts,
        options=options,
        origin=origin or RunOrigin(dataset=train.origin),
        versions=versions(),
        device=state.engine.name,
        precision=state.engine.precision,
        parameters=sum(p.numel() for p in kept.parameters()),
        train_rows=len(train),
        train_groups=tuple(sorted(set(train.group.tolist()))),
        epochs=tuple(state.epochs),
        kept_epoch=state.kept_epoch,
        ending="all epochs" if len(state.epochs) == options.epochs else "no better epoch",
        seconds=state.seconds,
        val=evaluate_task(kept, val, recipe.task),
    )
    checkpoints.save_tensors(out_dir / MODEL_FILE, state.kept)
    write_atomic(out_dir / RUN_FILE, encode_json(record))
    return record


def _is_done(state: TrainingState, options: TrainOptions) -> bool:
    return bool(options.patience) and state.epochs_without_better >= options.patience


def _seeded(seed: int, epoch: int) -> torch.Generator:
    """The randomness of one epoch: order and augmentation from the generator, dropout from torch's
    own.
    """
    digest = hashlib.sha256(f"{seed} {epoch}".encode()).digest()
    mixed = int.from_bytes(digest[:8], "big") % _LARGEST_SEED
    torch.manual_seed(mixed)
    return torch.Generator().manual_seed(mixed ^ 1)


def _clear(out_dir: Path) -> None:
    for name in (RUN_FILE, MODEL_FILE, checkpoints.FILE):
        remove_tree(out_dir / name)


def _identity(recipe: Recipe, options: TrainOptions, train: Samples, val: Samples) -> str:
    """What must be the same for a checkpoint to be continued."""
    digest = hashlib.sha256(msgspec.json.encode([recipe.name, recipe.options, options]))
    for samples in (train, val):
        digest.update(samples.content_hash().encode())
    return digest.hexdigest()
