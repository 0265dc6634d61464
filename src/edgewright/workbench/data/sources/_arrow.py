"""The part of reading Parquet that needs pyarrow; imported when such a file is read."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from edgewright._fs import file_errors
from edgewright.errors import InputError
from edgewright.workbench.data.sources._limits import check_values
from edgewright.workbench.data.sources.table import Column, Table


def read_parquet_table(path: Path) -> Table:
    """All columns that numpy can hold.

    Raises:
        InputError: absent, not Parquet, or too large.
    """
    with file_errors(path, doing="reading"), path.open("rb") as file, _parquet_errors(path):
        parquet = pq.ParquetFile(file)
        check_values(parquet.metadata.num_rows * parquet.metadata.num_columns, path)
        read = parquet.read()
    columns: dict[str, Column] = {
        name: _plain(read.column(name)).to_numpy(zero_copy_only=False) for name in read.column_names
    }
    return Table(columns, read.num_rows, path.name)


@contextlib.contextmanager
def _parquet_errors(path: Path) -> Iterator[None]:
    """Some damage comes as `OSError` without a number: it is the file's content, not the disk."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(f"{path}: not a Parquet file: {error}", hint="export it again") from error


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A dictionary encoding is their storage, not a type of ours."""
    is_encoded = pa.types.is_dictionary(column.type)
    return column.cast(column.type.value_type) if is_encoded else column
