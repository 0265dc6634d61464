"""Pictures with masks, cut into tiles."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgewright._pictures import (
    SUFFIXES,
    Picture,
    read_levels_file,
    read_picture_file,
    resized,
)
from edgewright.errors import InputError
from edgewright.workbench.data import SampleSet
from edgewright.workbench.recipes.sampled import one_group_for_copies

CLASS_LIMIT = 64
_MASK = "_mask"
_BY_TILE = "tiles of one picture stand on both sides: there were too few pictures"


def read_tiles(
    source: Path,
    *,
    size: int,
    tiles: int,
    labels: tuple[str, ...],
    by_tile: bool,
    unknown: int | None = None,
) -> SampleSet:
    """Every tile as a row; the values of all masks, in order, are the classes, but for the one
    that says that nobody knows (-1 in the rows: neither learnt nor scored).

    Raises:
        InputError: no pair of picture and mask, sizes that differ, or too many mask values.
    """
    pairs = list(_pairs(source))
    if not pairs:
        raise InputError(
            f"{source}: no picture beside its mask",
            hint="name them NAME.png and NAME_mask.png, or use folders images and masks",
        )
    loaded = [_loaded(picture, mask) for picture, mask in pairs]
    values = np.unique(np.concatenate([np.unique(mask) for _, mask in loaded]))
    values = values[values != unknown]
    if not 2 <= len(values) <= CLASS_LIMIT:
        raise InputError(
            f"{source}: the masks hold {len(values)} different values, expected 2 to {CLASS_LIMIT}",
            hint="one grey or palette value for each class, saved without loss",
        )
    names = labels or tuple(f"class-{value}" for value in values.tolist())
    if len(names) != len(values):
        raise InputError(
            f"{source}: {len(names)} labels for {len(values)} mask values {values.tolist()}",
            hint="name one label for each value, in order",
        )
    pixels, targets, groups = [], [], []
    stems = one_group_for_copies(
        [path.stem for path, _ in pairs], [picture.tobytes() for picture, _ in loaded]
    )
    for stem, (picture, mask) in zip(stems, loaded, strict=True):
        numbers = np.where(mask == unknown, -1, np.searchsorted(values, mask))
        rows = list(_tiles(picture, numbers, size=size, tiles=tiles))
        for at, (tile, classes) in enumerate(rows):
            pixels.append(tile)
            targets.append(classes)
            groups.append(f"{stem}#{at}" if by_tile else stem)
    return SampleSet(
        inputs={"image": np.stack(pixels).astype(np.float32)},
        target=np.stack(targets).astype(np.int64),
        group=np.array(groups),
        labels=names,
        origin=source.name,
        warning=_BY_TILE if by_tile else "",
    )


def _pairs(source: Path) -> Iterator[tuple[Path, Path]]:
    if not source.is_dir():
        raise InputError(f"{source}: expected a folder", hint="check --data")
    images, masks = source / "images", source / "masks"
    if images.is_dir() and masks.is_dir():
        by_stem = {file.stem.removesuffix(_MASK): file for file in sorted(masks.iterdir())}
        for file in sorted(images.iterdir()):
            if file.suffix.lower() in SUFFIXES and file.stem in by_stem:
                yield file, by_stem[file.stem]
        return
    for mask in sorted(source.glob(f"*{_MASK}.png")):
        stem = mask.stem.removesuffix(_MASK)
        for suffix in SUFFIXES:
            if (source / f"{stem}{suffix}").is_file():
                yield source / f"{stem}{suffix}", mask
                break


def _loaded(picture_path: Path, mask_path: Path) -> tuple[Picture, NDArray[np.uint8]]:
    picture, mask = read_picture_file(picture_path), read_levels_file(mask_path)
    if picture.shape[:2] != mask.shape:
        raise InputError(
            f"{mask_path}: {mask.shape[1]} x {mask.shape[0]} pixels, its picture has "
            f"{picture.shape[1]} x {picture.shape[0]}",
            hint="a mask has one value for each pixel of its picture",
        )
    return picture, mask


def _tiles(
    picture: Picture, classes: NDArray[np.intp], *, size: int, tiles: int
) -> Iterator[tuple[Picture, NDArray[np.intp]]]:
    short = min(picture.shape[:2])
    scale = size * tiles / short
    height, width = (max(size, round(side * scale)) for side in picture.shape[:2])
    rows = (np.arange(height) + 0.5) * picture.shape[0] / height
    columns = (np.arange(width) + 0.5) * picture.shape[1] / width
    small = resized(picture, height, width)
    mask = classes[rows.astype(int)[:, None], columns.astype(int)]
    for top in range(0, height - size + 1, size):
        for left in range(0, width - size + 1, size):
            here = slice(top, top + size), slice(left, left + size)
            if (mask[here] >= 0).any():
                yield small[here], mask[here]
