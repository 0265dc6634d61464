"""A folder of files of any known kind, as one dataset, read file by file."""

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from edgewright._fs import file_errors
from edgewright.errors import InputError
from edgewright.workbench.data.mapping import SourceMapping
from edgewright.workbench.data.recordings import Dataset
from edgewright.workbench.data.sources.joined import join_datasets

Reader = Callable[[Path, SourceMapping], Dataset]


def read_folder(path: Path, mapping: SourceMapping, *, readers: Mapping[str, Reader]) -> Dataset:
    """Every file below the folder whose suffix is known, in the order of their names.

    A recording is named by its file where names would collide.

    Raises:
        InputError: no such file, or two that disagree on channels or rate.
    """
    files = folder_files(path, readers)
    if not files:
        raise InputError(f"{path}: no file in it is of a known kind", hint=" ".join(readers))
    return join_datasets(_parts(files, path, mapping, readers), mapping, source=path.name)


def folder_files(path: Path, suffixes: Collection[str]) -> tuple[Path, ...]:
    """The files of known kinds below a folder, in the order of their names."""
    with file_errors(path, doing="reading"):
        return tuple(
            sorted(p for p in path.rglob("*") if p.suffix.lower() in suffixes and p.is_file())
        )


def _parts(
    files: tuple[Path, ...], root: Path, mapping: SourceMapping, readers: Mapping[str, Reader]
) -> Iterator[tuple[str, Dataset]]:
    for file in files:
        name = file.relative_to(root).with_suffix("").as_posix()
        of_file = mapping.of_path(name, source=root.name)
        yield name, readers[file.suffix.lower()](file, of_file)
