"""Parquet files, where pyarrow is installed (extra `parquet`)."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright.errors import UnavailableError
from edgewright.workbench.data.mapping import SourceMapping
from edgewright.workbench.data.recordings import Dataset
from edgewright.workbench.data.sources.table import dataset_from_table

if TYPE_CHECKING:
    from edgewright.workbench.data.sources.table import Table


def read_parquet(path: Path, mapping: SourceMapping) -> Dataset:
    """The recordings of one file.

    Raises:
        UnavailableError: pyarrow is not installed.
        InputError: absent, not Parquet, too large, or without the mapped columns.
    """
    try:
        arrow = importlib.import_module("edgewright.workbench.data.sources._arrow")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise UnavailableError(
            f"reading {path} needs the package pyarrow", hint="pip install 'edgewright[parquet]'"
        ) from error
    table: Table = arrow.read_parquet_table(path)
    return dataset_from_table(table, mapping)
