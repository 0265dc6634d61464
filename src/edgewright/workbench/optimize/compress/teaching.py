"""The loop in which a student learns from its teacher and from the labels, and can be stopped.

It is the training loop's arithmetic (batches, augmentation, schedule, averaged weights) with
another loss: half the task's own, half the distance to what the teacher answers.
"""

import hashlib
from pathlib import Path

import msgspec
import torch
from torch import nn
from torch.nn import functional

from edgewright.workbench.optimize.compress.lessons import Lessons
from edgewright.workbench.optimize.space import Tell
from edgewright.workbench.recipes import Inputs, Task
from edgewright.workbench.train.averaging import Averaged
from edgewright.workbench.train.batches import Batches
from edgewright.workbench.train.checkpoint import load_tensors, save_tensors
from edgewright.workbench.train.options import TrainOptions
from edgewright.workbench.train.schedule import lr_at

TEMPERATURE = 2.0
_OWN_SHARE = 0.5
_REST_SHARE = 0.1
_LARGEST_SEED = 2**63


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how fast a student is taught. `in_training` is off for graphs whose norms are
    folded already.
    """

    epochs: int
    lr: float
    in_training: bool = True


def teach(
    student: nn.Module, lessons: Lessons, course: Course, *, checkpoint: Path, tell: Tell
) -> None:
    """Teach the student in place. It goes on after the last whole epoch that `checkpoint` holds,
    with the same numbers as if it had not been stopped.
    """
    options = _options(lessons.record.options, course)
    torch.set_num_threads(options.threads)
    device = torch.device("cpu")
    batches = Batches(lessons.train, lessons.recipe.task, options, device)
    optimizer = _optimizer(student, options)
    averaged = Averaged(student, decay=options.averaging)
    done = _restore(checkpoint, student, optimizer, averaged)
    for epoch in range(done, course.epochs):
        generator = _seeded(options.seed, epoch)
        student.train(course.in_training)
        for position, batch in enumerate(
            batches.epoch(lessons.recipe, lessons.record.facts, generator)
        ):
            step = epoch * batches.steps + position
            for group in optimizer.param_groups:
                group["lr"] = lr_at(step, steps_an_epoch=batches.steps, options=options)
            with torch.no_grad():
                taught = tuple(lessons.teacher(*batch.inputs))
            loss = lesson_loss(
                _answers(student, batch.inputs), taught, batch.target, lessons.recipe.task
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(student.parameters(), options.grad_clip)
            optimizer.step()
            averaged.update(student, step=step)
            if position % 10 == 0:
                share = (epoch + position / batches.steps) / course.epochs
                tell(share, f"epoch {epoch + 1} of {course.epochs}, loss {loss.item():.3f}")
        _save(checkpoint, epoch + 1, student, optimizer, averaged)
    student.load_state_dict(averaged.state)
    student.eval()


def lesson_loss(answers: Inputs, taught: Inputs, target: torch.Tensor, task: Task) -> torch.Tensor:
    """The last answer is what the task predicts; the others only follow the teacher."""
    last, known = answers[-1], taught[-1]
    if task.kind == "regression":
        own = functional.mse_loss(last, target.view_as(last))
        copied = functional.mse_loss(last, known)
    else:
        own = _own_loss(last, target)
        log_p = functional.log_softmax(last / TEMPERATURE, dim=1)
        log_q = functional.log_softmax(known / TEMPERATURE, dim=1)
        apart = (log_q.exp() * (log_q - log_p)).sum(dim=1).mean()
        copied = apart * TEMPERATURE**2
    loss = _OWN_SHARE * own + (1 - _OWN_SHARE) * copied
    for answer, wanted in zip(answers[:-1], taught[:-1], strict=True):
        spread = wanted.var().clamp_min(1e-6)
        loss = loss + _REST_SHARE * functional.mse_loss(answer, wanted) / spread
    return loss


def _own_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Against a probability for each class, or class numbers of pixels (negative: nobody knows)."""
    if target.dtype != torch.long:
        return functional.cross_entropy(logits, target)
    known = target.clamp_min(-1)
    return functional.cross_entropy(logits, known, ignore_index=-1)


def _answers(student: nn.Module, inputs: Inputs) -> Inputs:
    given = student(*inputs)
    return given if isinstance(given, tuple) else (given,)


def _options(options: TrainOptions, course: Course) -> TrainOptions:
    return msgspec.structs.replace(
        options,
        epochs=course.epochs,
        lr=course.lr,
        schedule="one-cycle",
        batch_size=options.batch_size or TrainOptions().batch_size,
    )


def _optimizer(module: nn.Module, options: TrainOptions) -> torch.optim.Optimizer:
    matrices = [p for p in module.parameters() if p.ndim > 1]
    vectors = [p for p in module.parameters() if p.ndim <= 1]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": options.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=options.lr,
    )


def _seeded(seed: int, epoch: int) -> torch.Generator:
    """The randomness of one epoch, dropout's included."""
    digest = hashlib.sha256(f"student {seed} {epoch}".encode()).digest()
    mixed = int.from_bytes(digest[:8], "big") % _LARGEST_SEED
    torch.manual_seed(mixed)
    return torch.Generator().manual_seed(mixed ^ 1)


def _save(
    path: Path, epochs: int, student: nn.Module, optimizer: torch.optim.Optimizer, mean: Averaged
) -> None:
    save_tensors(
        path,
        {
            "epochs": epochs,
            "module": student.state_dict(),
            "optimizer": optimizer.state_dict(),
            "averaged": mean.state,
        },
    )


def _restore(
    path: Path, student: nn.Module, optimizer: torch.optim.Optimizer, mean: Averaged
) -> int:
    if not path.exists():
        return 0
    kept = load_tensors(path)
    student.load_state_dict(kept["module"])
    optimizer.load_state_dict(kept["optimizer"])
    mean.load(kept["averaged"])
    return int(kept["epochs"])
