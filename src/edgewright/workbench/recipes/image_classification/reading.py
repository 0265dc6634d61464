"""Pictures with classes, from a folder per class or from a Parquet file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgewright._pictures import (
    SUFFIXES,
    Picture,
    read_picture,
    read_picture_file,
    resized,
)
from edgewright.errors import InputError, UnavailableError
from edgewright.workbench.data import SampleSet
from edgewright.workbench.recipes.sampled import one_group_for_copies

PICTURE_COLUMNS = ("jpeg", "png", "image")
LABEL_COLUMN = "label"
LABEL_FILE = "labels.txt"
"""Beside a Parquet file: the names of its numbers, a line each."""


def read_pictures(source: Path, *, size: int, limit: int, seed: int) -> SampleSet:
    """Every picture as a row, squares of `size` pixels, values 0 to 255. A picture and its copies
    under other names are a group.

    Raises:
        InputError: no pictures there, a broken one, or fewer than two classes.
    """
    named = _from_folder(source) if source.is_dir() else _from_parquet(source)
    entries = list(named)
    if limit and limit < len(entries):
        order = np.random.default_rng(seed).permutation(len(entries))[:limit]
        entries = [entries[at] for at in sorted(order)]
    labels = sorted({label for _, label, _ in entries})
    if len(labels) < 2:
        raise InputError(
            f"{source}: {len(labels)} classes of pictures, expected two or more",
            hint="one folder for each class, or a Parquet file with `jpeg` and `label`",
        )
    pixels = np.empty((len(entries), size, size, 3), np.float32)
    for at, (name, _, content) in enumerate(entries):
        pixels[at] = resized(_picture(name, content), size, size)
    target = np.array([labels.index(label) for _, label, _ in entries], np.int64)
    return SampleSet(
        inputs={"image": pixels},
        target=target,
        group=np.array(
            one_group_for_copies(
                [name for name, _, _ in entries], [picture.tobytes() for picture in pixels]
            )
        ),
        labels=tuple(labels),
        origin=source.name,
    )


Entry = tuple[str, str, Path | bytes]
"""Name, class, and the file or its content."""


def _from_folder(source: Path) -> Iterator[Entry]:
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        for file in sorted(folder.rglob("*")):
            if file.suffix.lower() in SUFFIXES:
                yield file.relative_to(source).as_posix(), folder.name, file


def _from_parquet(source: Path) -> Iterator[Entry]:
    try:
        from pyarrow import ArrowException, parquet  # noqa: PLC0415  # an extra of its own
    except ImportError as error:
        raise UnavailableError(
            f"{source}: reading Parquet needs pyarrow", hint="pip install 'edgewright[parquet]'"
        ) from error
    try:
        table = parquet.read_table(source)
    except (ArrowException, OSError) as error:
        raise InputError(
            f"{source}: neither a folder nor a Parquet file: {error}", hint="check --data"
        ) from error
    columns = [name for name in PICTURE_COLUMNS if name in table.column_names]
    if not columns or LABEL_COLUMN not in table.column_names:
        raise InputError(
            f"{source}: columns {table.column_names}, expected one of {list(PICTURE_COLUMNS)} "
            f"and {LABEL_COLUMN!r}",
            hint="name the columns so",
        )
    contents = table.column(columns[0]).to_pylist()
    labels = _label_texts(table.column(LABEL_COLUMN).to_pylist(), source)
    for at, (content, label) in enumerate(zip(contents, labels, strict=True)):
        found = content.get("bytes") if isinstance(content, dict) else content
        if not isinstance(found, bytes):
            raise InputError(
                f"{source}: row {at} holds no picture in {columns[0]!r}",
                hint="drop the row, or store the file's bytes in it",
            )
        yield f"{at:06d}", label, found


def _label_texts(raw: list[object], source: Path) -> list[str]:
    """Class names; numbers are looked up in a `labels.txt` beside the file, if there is one."""
    nobody_knows = [at for at, value in enumerate(raw) if value is None or value == -1]
    if nobody_knows:
        raise InputError(
            f"{source}: {len(nobody_knows)} rows have no label, row {nobody_knows[0]} among them",
            hint="drop the rows without one; -1 and null are no classes",
        )
    names = source.parent / LABEL_FILE
    if not names.is_file() or not all(isinstance(value, int) for value in raw):
        return [str(value) for value in raw]
    texts = [line.strip() for line in names.read_text().splitlines() if line.strip()]
    numbers: NDArray[np.int64] = np.array(raw, np.int64)
    if len(texts) == 1:
        texts = texts[0].replace(",", " ").split()
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(texts):
        raise InputError(
            f"{source}: labels {numbers.min()} to {numbers.max()}, and {names.name} beside it "
            f"names {len(texts)}",
            hint="one line for each class from 0 on; or take the file away",
        )
    return [texts[number] for number in numbers]


def _picture(name: str, content: Path | bytes) -> Picture:
    if isinstance(content, Path):
        return read_picture_file(content)
    return read_picture(content, source=f"row {name}")
