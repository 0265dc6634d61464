"""A new project; apart from `chain.project`, so that nobody waits for torch to write a few
files.
"""

from importlib.metadata import entry_points
from pathlib import Path

import msgspec

from edgewright.contract.decoding import suggestion
from edgewright.errors import InputError
from edgewright.workbench.pipeline.scaffold import check_is_free, scaffolds, write_project

GIVEN = "onnx"

_GROUP = "edgewright.recipes"
_OWN_SETS = {"har": "seglearn"}
"""Recipes that know where a public data set is."""


class InitOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What `edgewright init` was asked for; paths are absolute."""

    folder: Path
    recipe: str
    data: Path | None = None
    model: Path | None = None
    epochs: int = 30


def init_project(order: InitOrder) -> list[Path]:
    """Write a new project; returns the files written.

    Raises:
        InputError: no such recipe, an option that it does not take, or the folder holds something.
    """
    known = sorted({*scaffolds(), *_installed()})
    if order.recipe not in known:
        raise InputError(
            f"no recipe {order.recipe!r} is installed", hint=suggestion(order.recipe, known)
        )
    name = _project_name(order.folder)
    check_is_free(order.folder)
    if order.recipe == GIVEN:
        return _bring(order, name)
    if order.model:
        raise InputError(
            f"recipe {order.recipe!r} trains its own model, --model is for recipe {GIVEN!r}",
            hint=f"edgewright init {order.folder} --recipe {GIVEN} --model {order.model}",
        )
    if order.data and not order.data.exists():
        raise InputError(f"{order.data}: no such file or folder", hint="check --data")
    source = str(order.data) if order.data else _OWN_SETS.get(order.recipe, "")
    values = {
        "name": name,
        "recipe": order.recipe,
        "source": source,
        "epochs": str(order.epochs),
    }
    return list(write_project(order.folder, order.recipe, values))


def _installed() -> tuple[str, ...]:
    """Every recipe that a package brings; none is loaded."""
    return tuple(point.name for point in entry_points(group=_GROUP))


def _bring(order: InitOrder, name: str) -> list[Path]:
    from edgewright.chain.given_model import bring_model  # noqa: PLC0415 - it may bring torch along

    if order.model is None:
        raise InputError(
            f"recipe {GIVEN!r} needs a model", hint="add --model FILE and --data samples.npz"
        )
    brought = bring_model(order.model, order.data, name)
    written = write_project(order.folder, GIVEN, brought.values, contents=brought.contents)
    return list(written)


def _project_name(folder: Path) -> str:
    own = folder.resolve().name
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._+-") else "-" for c in own)
    if not name or not name[0].isalnum():
        raise InputError(
            f"{folder.name!r} gives no project name", hint="begin with a letter or digit"
        )
    return name
