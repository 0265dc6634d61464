"""SVG files from outside: looked through before anything draws them.

Refused: scripts, event handlers, animations, links that leave the file, embedded foreign content
and SVGs within, embedded pictures that are broken or too large, entity declarations, style sheets.
What is left can only draw. What is looked through is what is drawn: the same text, read as UTF-8
whatever it says of itself.
"""

import base64
import binascii
import re
import urllib.parse
from xml.parsers import expat

import numpy as np
import resvg_py

from edgewright._pictures import PIXEL_LIMIT, Picture, read_picture
from edgewright.errors import InputError

FILE_LIMIT_BYTES = 8 << 20
ELEMENT_LIMIT = 200_000

_FORBIDDEN = {"script", "foreignobject", "iframe", "object", "embed", "handler", "set"}
_LINKS = {"href", "src"}
_EMBEDDED = re.compile(r"data:image/(png|jpe?g|gif|webp)(;base64)?,", re.IGNORECASE)
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
    parser = expat.ParserCreate("utf-8")  # goes before what the file says of itself
    parser.StartElementHandler = reader.element
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.EntityDeclHandler = reader.entity
    parser.ProcessingInstructionHandler = reader.instruction
    try:
        parser.Parse(_text(content).encode(), True)  # expat takes it by position only
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
    return _squared(_drawn(_text(content), size, source), size)


def draw_traced(svg: str, *, size: int) -> Picture:
    """An SVG of our own tracer, which needs no look."""
    return _drawn(svg, size, "tracer")


def _text(content: bytes) -> str:
    return content.decode("utf-8-sig", errors="replace")


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
        self._pixels = 0
        self._said: list[str] = []

    def element(self, name: str, attributes: dict[str, str]) -> None:
        local = _local(name)
        self.root = self.root or local
        self._elements += 1
        if self._elements > ELEMENT_LIMIT:
            raise self._refused(f"more than {ELEMENT_LIMIT} elements")
        if local in _FORBIDDEN or local.startswith("animate"):
            raise self._refused(f"a <{name}> element")
        for key, value in attributes.items():
            if key.lower().startswith("on"):
                raise self._refused(f"an event handler ({key})")
            if _local(key) in _LINKS:
                self._link(key, value.strip())
            self._style(value)

    def text(self, text: str) -> None:
        self._said.append(text)  # it comes in pieces

    def end(self, _name: str) -> None:
        self._style("".join(self._said))
        self._said.clear()

    def entity(self, name: str, *_: object) -> None:
        raise self._refused(f"an entity declaration ({name})")

    def instruction(self, target: str, _data: str) -> None:
        raise self._refused(f"an instruction to other programs (<?{target}?>)")

    def _link(self, key: str, value: str) -> None:
        if value.startswith("#"):
            return
        embedded = _EMBEDDED.match(value)
        if not embedded:
            raise self._refused(f"a link that leaves the file ({key}={value[:60]!r})")
        try:
            content = urllib.parse.unquote_to_bytes(value[embedded.end() :])
            if embedded[2]:
                content = base64.b64decode(b"".join(content.split()), validate=True)
        except binascii.Error as error:
            raise self._refused("an embedded picture that is not base64") from error
        height, width, _ = read_picture(content, source=f"{self._source}: picture in it").shape
        self._pixels += height * width
        if self._pixels > PIXEL_LIMIT:
            raise self._refused(f"embedded pictures of more than {PIXEL_LIMIT} pixels together")

    def _style(self, text: str) -> None:
        if outside := _URL.search(text):
            raise self._refused(f"a link that leaves the file (url({outside[1][:60]}))")
        if _IMPORT.search(text):
            raise self._refused("an @import")

    def _refused(self, what: str) -> InputError:
        return InputError(
            f"{self._source}: refused: it holds {what}", hint="export it as plain SVG"
        )


def _local(name: str) -> str:
    """Without the prefix, which a file may choose as it likes."""
    return name.rpartition(":")[2].lower()
