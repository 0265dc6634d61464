"""The data factory: a collection of logos in, one measured row per logo and settings out.

Every logo's rows are one small file named by what could change them (pixels, seed, versions of the
tools), written whole or not at all: a stopped run goes on where it was, a second run measures
nothing again, one that asks for more settings measures only those, and any number of processes
gives the same rows.
"""

import contextlib
import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from edgewright._fs import file_errors, make_dirs, read_limited, write_atomic
from edgewright._pictures import (
    FILE_LIMIT_BYTES,
    SUFFIXES,
    Picture,
    read_picture,
    resized,
)
from edgewright.contract import decode_json, encode_json
from edgewright.errors import InputError
from edgewright.workbench.recipes.svg.drawings import draw_svg
from edgewright.workbench.recipes.svg.settings import PILOTS, Settings, draw
from edgewright.workbench.recipes.svg.spreading import Spread, Work, in_processes
from edgewright.workbench.recipes.svg.tracing import TOOLS, Row

SIZE = 128
MEMBER_LIMIT = 20_000

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LOOKED_AT = 1024
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)
"""Not a zip, damaged, cut off, encrypted, packed by an unknown method."""

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


class Logo(msgspec.Struct, frozen=True, kw_only=True):
    """One picture with everything that was measured on it, and what measured it."""

    source: Source
    pixels_sha256: str
    tools: dict[str, str]
    seed: int
    pilots: tuple[Row, ...]
    drawn: tuple[Row, ...]


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a run."""

    logos: tuple[Logo, ...]
    pictures: tuple[Picture, ...]
    skipped: dict[str, str]


def make_rows(
    order: FactoryOrder,
    cache: Path,
    *,
    tell: Tell = lambda *_: None,
    spread: Spread = in_processes,
) -> Made:
    """Measure what is not measured yet; returns all of it, in the order of file names. `spread`
    decides where it is measured.

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
    logos = _measured(order, sources, pictures, cache, tell=tell, spread=spread)
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
        except _ZIP_ERRORS as error:
            raise InputError(
                f"{path}: not a zip that can be read: {error}",
                hint="give a folder, a picture, or a zip without a password",
            ) from error


def raster(content: bytes, *, source: str) -> Picture:
    """The square that is traced: an SVG drawn, a picture scaled, over the fixed background.

    Raises:
        InputError: neither, broken, too large or too small, or an SVG that does more than draw.
    """
    if content[:_LOOKED_AT].lstrip(_BYTE_ORDER_MARK).lstrip().startswith(b"<"):
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
    *,
    tell: Tell,
    spread: Spread,
) -> list[Logo]:
    """What the cache holds, and the rows that it lacks; a longer order goes on where one ended."""
    orders: dict[str, _LogoOrder] = {}
    found: dict[str, Logo] = {}
    for name, source in sources.items():
        rng = np.random.default_rng([order.seed, int(source.sha256[:15], 16)])
        settings = tuple(draw(rng, order.settings_each))
        path = cache / f"{_key(pictures[name], source, order.seed)}.json"
        before = _stored(path, settings)
        known = before.drawn if before is not None else ()
        if before is not None and len(known) >= len(settings):
            found[name] = msgspec.structs.replace(before, drawn=known[: len(settings)])
        else:
            orders[name] = _LogoOrder(path, before, settings[len(known) :])
    done = len(found)
    tell(done / len(sources), f"{done} of {len(sources)} logos were measured before")
    works = {name: Work(pictures[name], each.wanted) for name, each in orders.items()}
    with contextlib.closing(spread(works, order.processes)) as measured:
        for name, rows in measured:
            logo = orders[name].logo(rows, sources[name], pictures[name], order.seed)
            write_atomic(orders[name].path, encode_json(logo))
            found[name] = logo
            done += 1
            tell(done / len(sources), f"{done} of {len(sources)} logos")
    return [found[name] for name in sources]


class _LogoOrder(NamedTuple):
    """What one picture still needs, and where its file goes."""

    path: Path
    before: Logo | None
    settings: tuple[Settings, ...]

    @property
    def wanted(self) -> tuple[Settings, ...]:
        return self.settings if self.before is not None else (*PILOTS, *self.settings)

    def logo(self, rows: tuple[Row, ...], source: Source, picture: Picture, seed: int) -> Logo:
        if self.before is not None:
            return msgspec.structs.replace(self.before, drawn=(*self.before.drawn, *rows))
        return Logo(
            source=source,
            pixels_sha256=hashlib.sha256(picture.tobytes()).hexdigest(),
            tools=TOOLS,
            seed=seed,
            pilots=rows[: len(PILOTS)],
            drawn=rows[len(PILOTS) :],
        )


def _stored(path: Path, settings: tuple[Settings, ...]) -> Logo | None:
    """What was measured before, as long as the same settings would be drawn today."""
    if not path.exists():
        return None
    logo = decode_json(read_limited(path, limit_bytes=FILE_LIMIT_BYTES), Logo, source=str(path))
    agree = all(row.settings == each for row, each in zip(logo.drawn, settings, strict=False))
    return logo if agree else None


def _key(picture: Picture, source: Source, seed: int) -> str:
    """Of all that decides a row but how many there are."""
    digest = hashlib.sha256(picture.tobytes())
    facts = {"source": source, "seed": seed, "pilots": PILOTS, "tools": TOOLS}
    digest.update(encode_json(facts))
    return digest.hexdigest()[:32]
