"""SVG files from outside: looked through before anything draws them.

Refused: scripts, event handlers, links that leave the file, embedded foreign content, entity
declarations. What is left can only draw.
"""

import re
from xml.parsers import expat

import numpy as np
import resvg_py

from edgewright._pictures import Picture, read_picture
from edgewright.errors import InputError

FILE_LIMIT_BYTES = 8 << 20
ELEMENT_LIMIT = 200_000

_FORBIDDEN = {"script", "foreignobject", "iframe", "object", "embed", "handler", "set", "animate"}
_LINKS = {"href", "src", "xlink:href"}
_URL = re.compile(r"url\(\s*['\"]?\s*(?!#)([^)'\"\s]+)", re.IGNORECASE)
_IMPORT = re.compile(r"@import", re.IGNORECASE)


def check_svg(content: bytes, *, source: str) -> None:
    """Refuse what does more than draw.

    Raises:
        InputError: not XML, not an SVG, or it holds something that is not allowed.
    """
    if len(content) > FILE_LIMIT_BYTES:
        raise InputError(f"{source}: larger than {FILE_LIMIT_BYTES} bytes", hint="simplify it")
    reader = _Reader(source)
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.element
    parser.CharacterDataHandler = reader.text
    parser.EntityDeclHandler = reader.entity
    try:
        parser.Parse(content, True)  # expat takes it by position only
    except expat.ExpatError as error:
        raise InputError(f"{source}: not well-formed XML: {error}", hint="mend it") from error
    if reader.root != "svg":
        raise InputError(f"{source}: its root is <{reader.root}>, expected <svg>")


def draw_svg(content: bytes, *, size: int, source: str) -> Picture:
    """An SVG over the fixed background, fitted into a square of `size` pixels and centred.

    Raises:
        InputError: the SVG is refused, or cannot be drawn.
    """
    check_svg(content, source=source)
    return _squared(_drawn(content.decode("utf-8", errors="replace"), size, source), size)


def draw_traced(svg: str, *, size: int) -> Picture:
    """An SVG of our own tracer, which needs no look."""
    return _drawn(svg, size, "tracer")


def _drawn(text: str, size: int, source: str) -> Picture:
    try:
        content = resvg_py.svg_to_bytes(
            svg_string=text, width=size, height=size, background="white", skip_system_fonts=True
        )
    except ValueError as error:
        raise InputError(f"{source}: cannot be drawn: {error}", hint="mend the SVG") from error
    return read_picture(bytes(content), source=source)


def _squared(picture: Picture, size: int) -> Picture:
    """The picture in the middle of a white square; resvg keeps the drawing's proportions."""
    height, width = picture.shape[:2]
    if (height, width) == (size, size):
        return picture
    square = np.full((size, size, 3), 255, np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    square[top : top + height, left : left + width] = picture
    return square


class _Reader:
    def __init__(self, source: str) -> None:
        self.root = ""
        self._source = source
        self._elements = 0

    def element(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2].lower()
        self.root = self.root or local
        self._elements += 1
        if self._elements > ELEMENT_LIMIT:
            raise self._refused(f"more than {ELEMENT_LIMIT} elements")
        if local in _FORBIDDEN:
            raise self._refused(f"a <{name}> element")
        for key, value in attributes.items():
            if key.lower().startswith("on"):
                raise self._refused(f"an event handler ({key})")
            if key.lower() in _LINKS and not value.strip().startswith(("#", "data:image/")):
                raise self._refused(f"a link that leaves the file ({key}={value[:60]!r})")
            self.text(value)

    def text(self, text: str) -> None:
        if outside := _URL.search(text):
            raise self._refused(f"a link that leaves the file (url({outside[1][:60]}))")
        if _IMPORT.search(text):
            raise self._refused("an @import")

    def entity(self, name: str, *_: object) -> None:
        raise self._refused(f"an entity declaration ({name})")

    def _refused(self, what: str) -> InputError:
        return InputError(
            f"{self._source}: refused: it holds {what}", hint="export it as plain SVG"
        )
