"""Pictures from outside: every kind gets one meaning, every broken one a clear refusal."""

import io
import struct
import zlib

import numpy as np
import pytest

pytest.importorskip("PIL", reason="absent: pillow (extra vision)")
from PIL import Image

from edgewright._pictures import read_picture, resized
from edgewright.errors import InputError


def content(image: Image.Image, kind: str = "png", **more: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **more)
    return buffer.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG that says how large it is and holds nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_cmyk_palette_grey_and_sixteen_bits_become_rgb() -> None:
    assert read_picture(
        content(Image.new("CMYK", (3, 2), (0, 255, 255, 0)), "jpeg"), source="p"
    ).shape == (2, 3, 3)
    red = read_picture(content(Image.new("P", (1, 1), 0)), source="p")
    assert red.shape == (1, 1, 3)
    assert read_picture(content(Image.new("L", (1, 1), 7)), source="p").tolist() == [[[7, 7, 7]]]
    deep = Image.fromarray(np.full((1, 1), 65535, np.uint16))
    assert read_picture(content(deep), source="p").tolist() == [[[255, 255, 255]]]


def test_what_is_transparent_shows_the_background() -> None:
    half = read_picture(content(Image.new("RGBA", (1, 1), (0, 0, 0, 128))), source="p")
    assert half[0, 0].tolist() == [127, 127, 127]


def test_a_camera_turned_by_its_note_is_upright() -> None:
    image = Image.new("RGB", (4, 2))
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_picture(content(image, "jpeg", exif=exif), source="p").shape == (4, 2, 3)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (b"junk", "not a picture"),
        (b"", "not a picture"),
        (bomb(12_000, 9_000), "108 million pixels, expected at most 50 million"),
        (bomb(60_000, 60_000), "pixels"),
        (content(Image.effect_noise((64, 64), 50))[:-900], "broken"),
    ],
)
def test_what_is_no_picture_is_refused(given: bytes, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_picture(given, source="p.png")


def test_one_pixel_is_too_small_where_more_is_needed() -> None:
    with pytest.raises(InputError, match="1 x 1 pixels, expected at least 8 x 8"):
        read_picture(content(Image.new("RGB", (1, 1))), source="p.png", least_side=8)


def test_scaling_takes_the_mean_of_an_area() -> None:
    picture = np.array([[[0] * 3, [100] * 3]], np.uint8)
    assert resized(picture, 1, 1).tolist() == [[[50, 50, 50]]]
