"""Where recordings come from: one file for each kind, all of the shape
`read_*(path, mapping) -> Dataset`.

    >>> from pathlib import Path
    >>> source_files("walk.csv", folder=Path("recordings"))
    (PosixPath('recordings/walk.csv'),)
"""

from pathlib import Path

from edgewright.errors import InputError
from edgewright.workbench.data.mapping import SourceMapping
from edgewright.workbench.data.recordings import Dataset
from edgewright.workbench.data.sources.csv import read_csv
from edgewright.workbench.data.sources.edge_impulse import read_edge_impulse
from edgewright.workbench.data.sources.folder import Reader, folder_files, read_folder
from edgewright.workbench.data.sources.json_file import read_json
from edgewright.workbench.data.sources.label_studio import read_label_studio
from edgewright.workbench.data.sources.lines import read_json_lines
from edgewright.workbench.data.sources.npz import read_npz
from edgewright.workbench.data.sources.parquet import read_parquet
from edgewright.workbench.data.sources.seglearn import read_seglearn, seglearn_file
from edgewright.workbench.data.store import STORE_FOLDER, DatasetStore

_BY_SUFFIX: dict[str, Reader] = {
    ".cbor": read_edge_impulse,
    ".csv": read_csv,
    ".json": read_json,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".npz": read_npz,
    ".parquet": read_parquet,
}
_PACKAGED = "seglearn"
_STORED = "dataset:"


def source_files(source: str, *, folder: Path) -> tuple[Path, ...]:
    """The files that `read_source` would read. An export of Label Studio points at .csv files
    beside it, so those count.
    """
    if source == _PACKAGED:
        return (seglearn_file(),)
    if source.startswith(_STORED):
        return _store(folder).files(source.removeprefix(_STORED))
    path = folder / source
    if path.is_dir():
        return folder_files(path, _BY_SUFFIX)
    beside = folder_files(path.parent, (".csv",)) if path.suffix.lower() == ".json" else ()
    return (path, *beside)


def read_source(source: str, mapping: SourceMapping, *, folder: Path) -> Dataset:
    """A dataset by the word that a project file uses: a file, a folder, a packaged set, or
    `dataset:HASH` for a version in the project's store, which needs no mapping any more.

    Raises:
        InputError: the kind is unknown, or the file is wrong.
        UnavailableError: a package that the kind needs is not installed.
    """
    if source == _PACKAGED:
        return read_seglearn(None, mapping)
    if source.startswith(_STORED):
        return _store(folder).open(source.removeprefix(_STORED))
    path = folder / source
    if path.is_dir():
        return read_folder(path, mapping, readers=_BY_SUFFIX)
    reader = _BY_SUFFIX.get(path.suffix.lower())
    if reader is None:
        known = " ".join([*sorted(_BY_SUFFIX), _PACKAGED, f"{_STORED}HASH"])
        raise InputError(f"{source}: cannot tell its kind", hint=f"known: {known}")
    return reader(path, mapping)


def _store(folder: Path) -> DatasetStore:
    return DatasetStore(folder / STORE_FOLDER)


__all__ = [
    "read_csv",
    "read_edge_impulse",
    "read_folder",
    "read_json",
    "read_json_lines",
    "read_label_studio",
    "read_npz",
    "read_parquet",
    "read_seglearn",
    "read_source",
    "source_files",
]
