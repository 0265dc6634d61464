"""Pictures from outside: a limit before anything is unpacked, one meaning afterwards.

Whatever comes in (JPEG, PNG, palette, grey, CMYK, 16 bits, alpha, a camera's rotation note) leaves
as upright RGB in 8 bits; what is transparent shows the fixed background.

>>> import io
>>> from PIL import Image
>>> file = io.BytesIO()
>>> Image.new("RGBA", (2, 1), (255, 0, 0, 0)).save(file, "png")
>>> read_picture(file.getvalue(), source="dot.png").tolist()
[[[255, 255, 255], [255, 255, 255]]]
"""

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from edgewright._fs import read_limited
from edgewright.errors import InputError

Picture = NDArray[np.uint8]
"""[height, width, 3], RGB."""

FILE_LIMIT_BYTES = 64 << 20
PIXEL_LIMIT = 50_000_000
"""More pixels than any camera's picture that a logo or a small network needs."""

BACKGROUND = (255, 255, 255)
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
_SIXTEEN_BITS = ("I", "I;16", "I;16B", "I;16L")


def read_picture(source_bytes: bytes, *, source: str, least_side: int = 1) -> Picture:
    """A picture from a file's content.

    Raises:
        InputError: no picture, a broken one, too many pixels, or sides below `least_side`.
    """
    image = _opened(source_bytes, source)
    width, height = image.size
    if width * height > PIXEL_LIMIT:
        raise InputError(
            f"{source}: {width} x {height} is {width * height / 1e6:.0f} million pixels, "
            f"expected at most {PIXEL_LIMIT / 1e6:.0f} million",
            hint="scale it down first",
        )
    if min(width, height) < least_side:
        raise InputError(
            f"{source}: {width} x {height} pixels, expected at least {least_side} x {least_side}",
            hint="give a larger picture",
        )
    try:
        image.load()
        upright = ImageOps.exif_transpose(image)
        return np.asarray(_flat(upright), np.uint8)
    except (OSError, ValueError, SyntaxError, EOFError, IndexError) as error:
        raise InputError(
            f"{source}: the picture is broken: {error}", hint="save it again from its source"
        ) from error


def read_picture_file(path: Path, *, least_side: int = 1) -> Picture:
    """A picture from a file."""
    content = read_limited(path, limit_bytes=FILE_LIMIT_BYTES)
    return read_picture(content, source=str(path), least_side=least_side)


def resized(picture: Picture, height: int, width: int) -> Picture:
    """A picture of another size, with antialiasing."""
    if picture.shape[:2] == (height, width):
        return picture
    image = Image.fromarray(picture).resize((width, height), Image.Resampling.BOX)
    return np.asarray(image, np.uint8)


def encode_png(picture: Picture) -> bytes:
    """The picture as a PNG file's content."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png", compress_level=1)
    return buffer.getvalue()


def _opened(content: bytes, source: str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # Our own limit follows; Pillow warns from half of its own on.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(content), formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{source}: {error}", hint=f"expected at most {PIXEL_LIMIT / 1e6:.0f} million pixels"
        ) from error
    except UnidentifiedImageError as error:
        raise InputError(
            f"{source}: not a picture that can be read", hint=f"known: {', '.join(_FORMATS)}"
        ) from error
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(
            f"{source}: not a picture that can be read ({error})",
            hint=f"known: {', '.join(_FORMATS)}",
        ) from error


def _flat(image: Image.Image) -> Image.Image:
    """8-bit RGB over the background."""
    if image.mode in _SIXTEEN_BITS:
        grey = np.asarray(image, np.float64)
        image = Image.fromarray(np.rint(grey / 65535 * 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        above = image.convert("RGBA")
        below = Image.new("RGBA", above.size, (*BACKGROUND, 255))
        image = Image.alpha_composite(below, above)
    return image.convert("RGB")


def read_levels_file(path: Path) -> NDArray[np.uint8]:
    """A mask: one number for each pixel, [height, width]; a palette's own numbers, or grey.

    Raises:
        InputError: as `read_picture`, or a mask in colours.
    """
    content = read_limited(path, limit_bytes=FILE_LIMIT_BYTES)
    read_picture(content, source=str(path))
    image = _opened(content, str(path))
    if image.mode in ("RGB", "RGBA"):
        colours = np.asarray(image.convert("RGB"))
        if not (colours == colours[..., :1]).all():
            raise InputError(
                f"{path}: a mask in colours, expected one number for each pixel",
                hint="save it as grey or with a palette",
            )
        image = image.convert("L")
    return np.asarray(image if image.mode in ("P", "L") else image.convert("L"), np.uint8)
