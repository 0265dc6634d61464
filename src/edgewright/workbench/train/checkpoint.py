"""Everything that the next epoch depends on, in one file that is replaced as one step.

Randomness is no part of it: order, augmentation and dropout of an epoch come from generators seeded
with (seed, epoch), so a run that was killed and resumed does the same arithmetic as one that was
not.
"""

import io
import pickle
from pathlib import Path
from typing import Any

import msgspec
import torch

from edgewright._fs import make_dirs, read_limited, remove_tree, write_atomic
from edgewright.errors import InputError
from edgewright.workbench.train.record import EpochRecord

FILE = "checkpoint.pt"
OLDER = "checkpoints"
_LIMIT_BYTES = 8 * 2**30


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The state after a finished epoch. `identity` says which run it belongs to."""

    identity: str
    epochs: tuple[EpochRecord, ...]
    module: dict[str, Any]
    averaged: dict[str, Any]
    kept: dict[str, Any]
    kept_epoch: int
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    seconds: float
    batch_size: int


def save(folder: Path, checkpoint: Checkpoint, *, keep: int = 1) -> bytes:
    """Replace the folder's checkpoint, and return its content; with `keep` above 1 the last ones
    also stay by epoch.
    """
    buffer = io.BytesIO()
    torch.save(
        {
            "identity": checkpoint.identity,
            "epochs": msgspec.to_builtins(checkpoint.epochs),
            "module": checkpoint.module,
            "averaged": checkpoint.averaged,
            "kept": checkpoint.kept,
            "kept_epoch": checkpoint.kept_epoch,
            "optimizer": checkpoint.optimizer,
            "scaler": checkpoint.scaler,
            "seconds": checkpoint.seconds,
            "batch_size": checkpoint.batch_size,
        },
        buffer,
    )
    content = buffer.getvalue()
    if keep > 1:
        kept = make_dirs(folder / OLDER)
        write_atomic(kept / f"epoch-{len(checkpoint.epochs):05d}.pt", content)
        for path in sorted(kept.glob("epoch-*.pt"))[:-keep]:
            remove_tree(path)
    write_atomic(folder / FILE, content)
    return content


def load(folder: Path, *, identity: str) -> Checkpoint | None:
    """The folder's checkpoint, or None where there is none yet.

    Raises:
        InputError: it belongs to another run, or is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return None
    raw = load_tensors(path)
    try:
        checkpoint = Checkpoint(
            **{**raw, "epochs": msgspec.convert(raw["epochs"], tuple[EpochRecord, ...])}
        )
    except (KeyError, TypeError, msgspec.ValidationError) as error:
        raise InputError(
            f"{path}: not a checkpoint: {error}", hint="train without --resume"
        ) from error
    if checkpoint.identity != identity:
        raise InputError(
            f"{path}: it was written with other options or other data",
            hint="resume with the same ones, or train without --resume",
        )
    return checkpoint


def save_tensors(path: Path, state: dict[str, Any]) -> None:
    """Replace a file of weights."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomic(path, buffer.getvalue())


def load_tensors(path: Path) -> dict[str, Any]:
    """Tensors and plain values from a file; nothing else is unpickled.

    Raises:
        InputError: absent, or not such a file.
    """
    content = read_limited(path, limit_bytes=_LIMIT_BYTES)
    try:
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
        raise InputError(f"{path}: not a file of weights: {error}", hint="train again") from error
    if not isinstance(loaded, dict):
        raise InputError(f"{path}: not a file of weights", hint="train again")
    return loaded
