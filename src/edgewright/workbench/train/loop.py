"""Training, top to bottom: build or resume, epochs of steps, keep, write."""

import contextlib
import hashlib
import logging
from pathlib import Path

import msgspec
import torch

from edgewright._fs import make_dirs, remove_leftovers, remove_tree, write_atomic
from edgewright.clock import Clock, SystemClock
from edgewright.contract import encode_json
from edgewright.errors import TransportError
from edgewright.stores import ObjectStore
from edgewright.workbench.data import Samples
from edgewright.workbench.recipes import Moment, Recipe
from edgewright.workbench.train import checkpoint as checkpoints
from edgewright.workbench.train.admission import check_samples
from edgewright.workbench.train.batch_size import automatic_batch_size
from edgewright.workbench.train.batches import Batches
from edgewright.workbench.train.checkpoint import Checkpoint
from edgewright.workbench.train.evaluation import evaluate_task
from edgewright.workbench.train.mirror import Mirror
from edgewright.workbench.train.options import TrainOptions
from edgewright.workbench.train.progress import Meter, OnProgress
from edgewright.workbench.train.record import SCHEMA_VERSION, Ending, RunOrigin, RunRecord
from edgewright.workbench.train.runs import MODEL_FILE, RUN_FILE, versions, weights_hash
from edgewright.workbench.train.schedule import lr_at
from edgewright.workbench.train.scores import Scores
from edgewright.workbench.train.state import TrainingState
from edgewright.workbench.train.team import Team, joined_team

logger = logging.getLogger(__name__)

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
    mirror: ObjectStore | None = None,
) -> RunRecord:
    """Train on `train`, watch `val`, leave `model.pt`, `run.json` and a checkpoint in `out_dir`.

    With `resume` a run that was stopped at any moment goes on after its last whole epoch and ends
    with the same numbers, bit for bit, on the same machine with the same threads and versions. It
    goes on from `mirror` where that is further. In a process group (torchrun, Ray) every process
    calls this with the same arguments and learns its part of each batch.

    Raises:
        InputError: samples that do not fit together, or a checkpoint of another run.
        GateError: the loss is no finite number any more, or memory runs out; the last checkpoint
            stays.
        UnavailableError: the device asked for is not here.
        TransportError: nothing to resume from is here, and the mirror is away.
    """
    clock, team = clock or SystemClock(), joined_team()
    check_samples(train, val, recipe.task)
    torch.set_num_threads(options.threads)
    identity = _identity(recipe, options, train, val)
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=range(torch.cuda.device_count())))
        sent = stack.enter_context(Mirror(mirror, identity)) if mirror and team.leads else None
        found = team.share(_begin(out_dir, identity, sent, resume=resume) if team.leads else None)
        state = TrainingState(recipe, train, options, team)
        options = _with_batch_size(state, recipe, train, options, found=found, team=team)
        if found is not None:
            state.restore(found)
        batches = Batches(train, recipe.task, options, state.engine.device, team)
        while len(state.epochs) < options.epochs and not _is_done(state, options):
            epoch = len(state.epochs)
            began_s, before_s = clock.monotonic_s(), state.seconds
            generator = _seeded(options.seed, epoch)
            moment = Moment(
                epoch=epoch,
                epochs=options.epochs,
                generator=generator,
                part=team.rank,
                parts=team.size,
            )
            meter = Meter(
                options, batches, epoch, on_progress, clock, device=state.engine.device, team=team
            )
            state.module.train()
            for batch in batches.epoch(recipe, state.facts, generator):
                lr = lr_at(meter.step, steps_an_epoch=batches.steps, options=options)
                meter.note(state.step(batch, moment, step=meter.step, lr=lr), lr)
            scores = _watched(state, val, recipe, team)
            state.note(meter.epoch_record(scores))
            state.seconds = before_s + clock.monotonic_s() - began_s
            if team.leads and _is_due(state, options):
                content = checkpoints.save(
                    out_dir, state.checkpoint(identity), keep=options.keep_checkpoints
                )
                if sent is not None:
                    sent.offer(len(state.epochs), content)
            meter.tell_epoch(state.epochs[-1], scores)
        record = _record(recipe, state, options, (train, val), origin) if team.leads else None
        if record is not None:
            checkpoints.save_tensors(out_dir / MODEL_FILE, state.kept)
            write_atomic(out_dir / RUN_FILE, encode_json(record))
    shared = team.share(record)
    assert shared is not None  # noqa: S101 - the leader has one
    return shared


def _begin(
    out_dir: Path, identity: str, mirror: Mirror | None, *, resume: bool
) -> Checkpoint | None:
    """The state to go on from, here or in the mirror, whichever is further."""
    make_dirs(out_dir)
    remove_leftovers(out_dir)
    if (out_dir / checkpoints.OLDER).is_dir():
        remove_leftovers(out_dir / checkpoints.OLDER)
    if not resume:
        _clear(out_dir)
        return None
    here = checkpoints.load(out_dir, identity=identity)
    if mirror is None:
        return here
    try:
        there = mirror.newest()
    except TransportError:
        if here is None:
            raise
        logger.warning("mirror: away; going on from the checkpoint here")
        return here
    if there is None or (here is not None and len(here.epochs) >= there[0]):
        return here
    write_atomic(out_dir / checkpoints.FILE, there[1])
    return checkpoints.load(out_dir, identity=identity)


def _with_batch_size(
    state: TrainingState,
    recipe: Recipe,
    train: Samples,
    options: TrainOptions,
    *,
    found: Checkpoint | None,
    team: Team,
) -> TrainOptions:
    """The options with a batch size: the one chosen, the checkpoint's, or one that fits."""
    if options.batch_size:
        return options

    def try_step(size: int) -> None:
        trial = msgspec.structs.replace(options, batch_size=size)
        batches = Batches(train, recipe.task, trial, state.engine.device)
        generator = _seeded(options.seed, 0)
        moment = Moment(epoch=0, epochs=options.epochs, generator=generator)
        state.try_step(next(batches.epoch(recipe, state.facts, generator)), moment)

    size = (
        found.batch_size
        if found is not None
        else team.share(automatic_batch_size(len(train), state.engine.device, try_step))
    )
    chosen = msgspec.structs.replace(options, batch_size=size)
    state.adopt(chosen)
    return chosen


def _watched(state: TrainingState, val: Samples, recipe: Recipe, team: Team) -> Scores:
    """The scores on the rows that are watched, taken by the leader alone."""
    scores = evaluate_task(state.averaged_module(), val, recipe.task) if team.leads else None
    shared = team.share(scores)
    assert shared is not None  # noqa: S101 - the leader has them
    return shared


def _is_due(state: TrainingState, options: TrainOptions) -> bool:
    done = len(state.epochs)
    return (
        done % options.checkpoint_epochs == 0 or done == options.epochs or _is_done(state, options)
    )


def _record(
    recipe: Recipe,
    state: TrainingState,
    options: TrainOptions,
    sets: tuple[Samples, Samples],
    origin: RunOrigin | None,
) -> RunRecord:
    train, val = sets
    kept = state.kept_module(recipe)
    return RunRecord(
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
        ending=_ending(state, options),
        seconds=state.seconds,
        val=evaluate_task(kept, val, recipe.task),
    )


def _is_done(state: TrainingState, options: TrainOptions) -> bool:
    if state.has_reached(options.stop_at):
        return True
    return bool(options.patience) and state.epochs_without_better >= options.patience


def _ending(state: TrainingState, options: TrainOptions) -> Ending:
    if state.has_reached(options.stop_at):
        return "good enough"
    return "all epochs" if len(state.epochs) == options.epochs else "no better epoch"


def _seeded(seed: int, epoch: int) -> torch.Generator:
    """The randomness of one epoch: order and augmentation from the generator, dropout from torch's
    own.
    """
    digest = hashlib.sha256(f"{seed} {epoch}".encode()).digest()
    mixed = int.from_bytes(digest[:8], "big") % _LARGEST_SEED
    torch.manual_seed(mixed)
    return torch.Generator().manual_seed(mixed ^ 1)


def _clear(out_dir: Path) -> None:
    for name in (RUN_FILE, MODEL_FILE, checkpoints.FILE, checkpoints.OLDER):
        remove_tree(out_dir / name)


def _identity(recipe: Recipe, options: TrainOptions, train: Samples, val: Samples) -> str:
    """What must be the same for a checkpoint to be continued."""
    arithmetic = msgspec.structs.replace(options, seeds=1, groups={})
    digest = hashlib.sha256(msgspec.json.encode([recipe.name, recipe.options, arithmetic]))
    for samples in (train, val):
        digest.update(samples.content_hash().encode())
    return digest.hexdigest()
