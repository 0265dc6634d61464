"""A finished run on disk: `model.pt` beside `run.json`, and the way back to a module."""

import hashlib
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import edgewright
from edgewright._fs import read_limited
from edgewright.contract import decode_json
from edgewright.contract.decoding import convert
from edgewright.errors import InputError
from edgewright.workbench.recipes import Recipe, find_recipe
from edgewright.workbench.train.checkpoint import load_tensors
from edgewright.workbench.train.record import SCHEMA_VERSION, RunRecord, upgraded
from edgewright.workbench.train.scores import Scores

RUN_FILE = "run.json"
MODEL_FILE = "model.pt"
_LIMIT_BYTES = 64 * 2**20


def load_record(folder: Path) -> RunRecord:
    """What `run.json` says.

    Raises:
        InputError: there is no finished run in the folder, or a newer edgewright wrote it.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        raise InputError(f"{folder}: no finished run in it", hint="train first, or --resume")
    content = read_limited(path, limit_bytes=_LIMIT_BYTES)
    raw = decode_json(content, dict[str, Any], source=str(path))
    version = raw.get("schema_version")
    if version not in (1, SCHEMA_VERSION):
        raise InputError(
            f"{path}: schema_version is {version}, this edgewright reads 1 to {SCHEMA_VERSION}",
            hint="train again, or install the edgewright that wrote it",
        )
    try:
        return convert(upgraded(raw), RunRecord, source=str(path))
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: not a run record: {error}", hint="train again") from error


def read_scores(path: Path) -> Scores:
    """Scores from their JSON file; one without a kind is a classifier's, of an older edgewright.

    Raises:
        InputError: absent, or no scores.
    """
    content = read_limited(path, limit_bytes=_LIMIT_BYTES)
    raw = decode_json(content, dict[str, Any], source=str(path))
    scores: Scores = convert(
        {"kind": "classification", **raw},
        Scores,  # type: ignore[arg-type]  # mypy takes no union for a type
        source=str(path),
    )
    return scores


def load_run(folder: Path, *, recipe: Recipe | None = None) -> tuple[nn.Module, RunRecord]:
    """The kept module in evaluation mode on the CPU, and the run's record.

    A recipe that is installed is found by its name; another one is handed in.

    Raises:
        InputError: no finished run, or weights that are not the record's.
    """
    record = load_record(folder)
    bound = (recipe or find_recipe(record.recipe)).with_options(
        record.recipe_options, source=str(folder / RUN_FILE)
    )
    state = load_tensors(folder / MODEL_FILE)
    if weights_hash(state) != record.weights:
        raise InputError(
            f"{folder / MODEL_FILE}: the weights are not those of {RUN_FILE}",
            hint="train again; one of the two was replaced",
        )
    module = bound.build(record.facts)
    module.load_state_dict(state)
    return module.eval(), record


def weights_hash(state: dict[str, Any]) -> str:
    """sha256 over names and values, whatever the memory layout or the device."""
    digest = hashlib.sha256()
    for name in sorted(state):
        array = state[name].detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype} {list(array.shape)}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """What took part in the arithmetic."""
    return {
        "edgewright": edgewright.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
    }
