"""Writing a new project: a folder that a person can read, each file saying what it is for."""

import string
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from edgewright._fs import atomic_folder
from edgewright.errors import InputError

# What a template's path becomes in the project.
_RENAMED = {"gitignore": ".gitignore"}
_EXECUTABLE = {".sh"}
_TEMPLATE_SUFFIX = ".tmpl"


def scaffolds() -> tuple[str, ...]:
    """The recipes that have a scaffold."""
    return tuple(sorted(entry.name for entry in _templates().iterdir() if entry.is_dir()))


def write_project(folder: Path, recipe: str, values: Mapping[str, str]) -> tuple[Path, ...]:
    """Write a project into a folder that is absent or empty; it appears whole or not at all.

    Returns the relative paths of the files written.

    Raises:
        InputError: no such scaffold, or the folder holds something.
    """
    if recipe not in scaffolds():
        raise InputError(
            f"recipe {recipe!r} has no project scaffold", hint=f"known: {', '.join(scaffolds())}"
        )
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    if folder.exists():
        raise InputError(f"{folder} exists and is not empty", hint="choose a new folder")
    written = []
    with atomic_folder(folder) as temp:
        for relative, template in _walk(_templates() / recipe, Path()):
            path = temp / _place(relative, values)
            path.parent.mkdir(parents=True, exist_ok=True)
            text = string.Template(template.read_text()).substitute(values)
            path.write_text(text)
            path.chmod(0o755 if path.suffix in _EXECUTABLE else 0o644)
            written.append(path.relative_to(temp))
    return tuple(sorted(written))


def _templates() -> Traversable:
    return files("edgewright.workbench.pipeline") / "templates"


def _walk(folder: Traversable, relative: Path) -> list[tuple[Path, Traversable]]:
    found: list[tuple[Path, Traversable]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            if entry.name != "__pycache__":
                found += _walk(entry, relative / entry.name)
        else:
            found.append((relative / entry.name, entry))
    return found


def _place(relative: Path, values: Mapping[str, str]) -> Path:
    """`models/...` becomes `models/NAME/...`."""
    relative = relative.with_name(relative.name.removesuffix(_TEMPLATE_SUFFIX))
    parts = [_RENAMED.get(part, part) for part in relative.parts]
    if parts[0] == "models":
        parts.insert(1, values["name"])
    return Path(*parts)
