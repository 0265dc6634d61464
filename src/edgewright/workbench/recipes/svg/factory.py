"""The data factory: a collection of logos in, one measured row per logo and settings out.

Every logo's rows are one small file named by what could change them (pixels, settings, versions of
the tools), written whole or not at all: a stopped run goes on where it was, a second run measures
nothing again, and any number of processes gives the same rows.
"""

import hashlib
import itertools
import multiprocessing
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

import msgspec
import numpy as np

from edgewright._fs import file_errors, make_dirs, read_limited, write_atomic
from edgewright.contract import decode_json, encode_json
from edgewright.errors import InputError
from edgewright.workbench.recipes.pictures import (
    FILE_LIMIT_BYTES,
    SUFFIXES,
    Picture,
    read_picture,
    resized,
)
from edgewright.workbench.recipes.svg.drawings import draw_svg
from edgewright.workbench.recipes.svg.settings import PROBES, Settings, draw
from edgewright.workbench.recipes.svg.tracing import TOOLS, Traced, measure

SIZE = 128
MEMBER_LIMIT = 20_000

Tell = Callable[[float, str], None]


class FactoryOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What to make: so many drawn settings for each of at most `logos` pictures (0: all)."""

    collection: Path
    settings_each: int = 8
    logos: int = 0
    seed: int = 0
    processes: int = 0


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a picture came from."""

    collection: str
    file: str
    sha256: str


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement."""

    settings: Settings
    ssim: float
    svg_bytes: int


class Logo(msgspec.Struct, frozen=True, kw_only=True):
    """One picture with everything that was measured on it, and what measured it."""

    source: Source
    pixels_sha256: str
    tools: dict[str, str]
    seed: int
    probes: tuple[Row, ...]
    drawn: tuple[Row, ...]


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a run."""

    logos: tuple[Logo, ...]
    pictures: tuple[Picture, ...]
    skipped: dict[str, str]


def make_rows(order: FactoryOrder, cache: Path, *, tell: Tell = lambda *_: None) -> Made:
    """Measure what is not measured yet; returns all of it, in the order of file names.

    Raises:
        InputError: no collection there, or no picture in it can be read.
    """
    make_dirs(cache)
    files = list(collection_files(order.collection))
    if order.logos:
        files = _some(files, order.logos, order.seed)
    pictures: dict[str, Picture] = {}
    sources: dict[str, Source] = {}
    skipped: dict[str, str] = {}
    for name, content in files:
        try:
            pictures[name] = raster(content, source=name)
        except InputError as error:
            skipped[name] = str(error)
            continue
        digest = hashlib.sha256(content).hexdigest()
        sources[name] = Source(collection=order.collection.stem, file=name, sha256=digest)
    if not pictures:
        raise InputError(
            f"{order.collection}: no logo in it can be read", hint="give a folder or zip of SVGs"
        )
    logos = _measured(order, sources, pictures, cache, tell)
    return Made(
        logos=tuple(logos), pictures=tuple(pictures[name] for name in sources), skipped=skipped
    )


def collection_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every SVG or picture of a folder, a zip, or one file.

    Raises:
        InputError: no such thing, or a zip that is broken or too large.
    """
    wanted = (".svg", *SUFFIXES)
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.suffix.lower() in wanted:
                name = file.relative_to(path).as_posix()
                yield name, read_limited(file, limit_bytes=FILE_LIMIT_BYTES)
        return
    if path.suffix.lower() in wanted:
        yield path.name, read_limited(path, limit_bytes=FILE_LIMIT_BYTES)
        return
    with file_errors(path, doing="reading"), path.open("rb") as opened:
        try:
            with zipfile.ZipFile(opened) as archive:
                yield from _members(archive, wanted, path)
        except zipfile.BadZipFile as error:
            raise InputError(
                f"{path}: not a zip: {error}", hint="give a folder, a zip or a picture"
            ) from error


def raster(content: bytes, *, source: str) -> Picture:
    """The square that is traced: an SVG drawn, a picture scaled, over the fixed background."""
    if source.lower().endswith(".svg"):
        return draw_svg(content, size=SIZE, source=source)
    return squared(read_picture(content, source=source, least_side=8))


def squared(picture: Picture) -> Picture:
    """A picture in the middle of a white square of the factory's size."""
    height, width = picture.shape[:2]
    scale = SIZE / max(height, width)
    small = resized(picture, max(1, round(height * scale)), max(1, round(width * scale)))
    square = np.full((SIZE, SIZE, 3), 255, np.uint8)
    top, left = (SIZE - small.shape[0]) // 2, (SIZE - small.shape[1]) // 2
    square[top : top + small.shape[0], left : left + small.shape[1]] = small
    return square


def measure_logo(picture: Picture, settings: Sequence[Settings]) -> tuple[Row, ...]:
    """One picture with some settings."""
    rows = []
    for each in settings:
        found: Traced = measure(picture, each)
        rows.append(Row(settings=each, ssim=found.ssim, svg_bytes=found.svg_bytes))
    return tuple(rows)


def _members(
    archive: zipfile.ZipFile, wanted: tuple[str, ...], path: Path
) -> Iterator[tuple[str, bytes]]:
    members = sorted(archive.infolist(), key=lambda member: member.filename)
    if len(members) > MEMBER_LIMIT:
        raise InputError(f"{path}: {len(members)} files, expected at most {MEMBER_LIMIT}")
    for member in members:
        if not member.is_dir() and member.filename.lower().endswith(wanted):
            if member.file_size > FILE_LIMIT_BYTES:
                raise InputError(f"{path}: {member.filename} is larger than {FILE_LIMIT_BYTES}")
            yield member.filename, archive.read(member)


def _some(files: list[tuple[str, bytes]], count: int, seed: int) -> list[tuple[str, bytes]]:
    order = np.random.default_rng(seed).permutation(len(files))[:count]
    return [files[at] for at in sorted(order)]


def _measured(
    order: FactoryOrder,
    sources: dict[str, Source],
    pictures: dict[str, Picture],
    cache: Path,
    tell: Tell,
) -> list[Logo]:
    wanted: dict[str, tuple[Path, tuple[Settings, ...]]] = {}
    found: dict[str, Logo] = {}
    for name, source in sources.items():
        rng = np.random.default_rng([order.seed, int(source.sha256[:15], 16)])
        settings = tuple(draw(rng, order.settings_each))
        path = cache / f"{_key(pictures[name], settings)}.json"
        if path.exists():
            content = read_limited(path, limit_bytes=FILE_LIMIT_BYTES)
            found[name] = decode_json(content, Logo, source=str(path))
        else:
            wanted[name] = (path, settings)
    done = len(found)
    tell(done / len(sources), f"{done} of {len(sources)} logos were measured before")
    for name, rows in _in_processes(wanted, pictures, order.processes):
        picture = pictures[name]
        logo = Logo(
            source=sources[name],
            pixels_sha256=hashlib.sha256(picture.tobytes()).hexdigest(),
            tools=TOOLS,
            seed=order.seed,
            probes=rows[: len(PROBES)],
            drawn=rows[len(PROBES) :],
        )
        write_atomic(wanted[name][0], encode_json(logo))
        found[name] = logo
        done += 1
        tell(done / len(sources), f"{done} of {len(sources)} logos")
    return [found[name] for name in sources]


def _in_processes(
    wanted: dict[str, tuple[Path, tuple[Settings, ...]]],
    pictures: dict[str, Picture],
    processes: int,
) -> Iterator[tuple[str, tuple[Row, ...]]]:
    """Rows as they are finished; a few logos wait in the queue, so that Ctrl-C ends it soon."""
    count = processes or len(os.sched_getaffinity(0))
    if count == 1 or len(wanted) < 2:
        for name, (_, settings) in wanted.items():
            yield name, measure_logo(pictures[name], (*PROBES, *settings))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(count, len(wanted)), mp_context=context) as pool:
        names = iter(wanted)
        running: dict[Future[tuple[Row, ...]], str] = {}
        while True:
            for name in itertools.islice(names, max(2 * count - len(running), 0)):
                settings = (*PROBES, *wanted[name][1])
                running[pool.submit(measure_logo, pictures[name], settings)] = name
            if not running:
                return
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                yield running.pop(future), future.result()


def _key(picture: Picture, settings: tuple[Settings, ...]) -> str:
    digest = hashlib.sha256(picture.tobytes())
    digest.update(encode_json({"settings": settings, "probes": PROBES, "tools": TOOLS}))
    return digest.hexdigest()[:32]
