"""A new project; apart from `chain.project`, so that nobody waits for torch to write a few
files.
"""

from pathlib import Path

from edgewright.contract.decoding import suggestion
from edgewright.errors import InputError
from edgewright.workbench.pipeline.scaffold import scaffolds, write_project


def init_project(folder: Path, recipe: str, *, source: str = "", epochs: int = 30) -> list[Path]:
    """Write a new project; returns the files written.

    Raises:
        InputError: no such recipe, or the folder holds something.
    """
    if recipe not in scaffolds():
        raise InputError(
            f"no project can be written for recipe {recipe!r}",
            hint=suggestion(recipe, list(scaffolds())),
        )
    name = "".join(c if c.isalnum() or c in "._+-" else "-" for c in folder.resolve().name)
    if not name or not name[0].isalnum():
        raise InputError(
            f"{folder.name!r} gives no project name", hint="begin with a letter or digit"
        )
    values = {"name": name, "source": source or "seglearn", "epochs": str(epochs)}
    return list(write_project(folder, recipe, values))
