"""Parquet files, where pyarrow is installed."""

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from edgewright._fs import file_errors
from edgewright.errors import InputError, UnavailableError
from edgewright.workbench.data.mapping import SourceMapping
from edgewright.workbench.data.recordings import Dataset
from edgewright.workbench.data.sources.table import Table, dataset_from_table


def read_parquet(path: Path, mapping: SourceMapping) -> Dataset:
    """The recordings of one file.

    Raises:
        UnavailableError: pyarrow is not installed.
        InputError: absent, not Parquet, or without the mapped columns.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise UnavailableError(
            f"reading {path} needs the package pyarrow", hint="pip install pyarrow"
        )
    pyarrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    with file_errors(path, doing="reading"):
        try:
            read = parquet.read_table(path)
        except pyarrow.ArrowInvalid as error:
            raise InputError(
                f"{path}: not a Parquet file: {error}", hint="export it again"
            ) from error
    columns = {name: read.column(name).to_numpy(zero_copy_only=False) for name in read.column_names}
    return dataset_from_table(Table(columns, read.num_rows, path.name), mapping)
