"""Writing a new project: a folder that a person can read, each file saying what it is for."""

import string
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType

from edgewright._fs import atomic_folder, write_atomic
from edgewright.errors import InputError

# What a template's path becomes in the project.
_RENAMED = {"gitignore": ".gitignore"}
_EXECUTABLE = {".sh"}
_TEMPLATE_SUFFIX = ".tmpl"
_COMMON = "_common"
_ANY = "_any"


def scaffolds() -> tuple[str, ...]:
    """The recipes that have a scaffold of their own; others get a plain one."""
    folders = (entry.name for entry in _templates().iterdir() if entry.is_dir())
    return tuple(sorted(name for name in folders if not name.startswith("_")))


def write_project(
    folder: Path,
    recipe: str,
    values: Mapping[str, str],
    *,
    contents: Mapping[Path, bytes] = MappingProxyType({}),
) -> tuple[Path, ...]:
    """Write a project into a folder that is absent or empty; it appears whole or not at all.

    What every recipe has comes from one common folder, `contents` from the caller (by relative
    path). Returns the relative paths of the files written.

    Raises:
        InputError: the folder holds something.
    """
    own = recipe if recipe in scaffolds() else _ANY
    check_is_free(folder)
    if folder.is_dir():
        folder.rmdir()
    written = []
    with atomic_folder(folder) as temp:
        templates = dict(_walk(_templates() / _COMMON, Path()))
        templates |= dict(_walk(_templates() / own, Path()))
        for relative, content in contents.items():
            write_atomic(temp / relative, content)
            written.append(relative)
        for relative, template in templates.items():
            path = temp / _place(relative, values)
            path.parent.mkdir(parents=True, exist_ok=True)
            text = string.Template(template.read_text()).substitute(values)
            path.write_text(text)
            path.chmod(0o755 if path.suffix in _EXECUTABLE else 0o644)
            written.append(path.relative_to(temp))
    return tuple(sorted(written))


def check_is_free(folder: Path) -> None:
    """A project is written into a folder that is absent or empty.

    Raises:
        InputError: it is neither.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not empty", hint="choose a new folder")


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
