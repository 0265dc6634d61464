"""Pictures to arrays; importing this file needs the extra `vision`."""

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from edgewright.errors import InputError

MOST_PIXELS = 32 << 20


def decode_image(content: bytes) -> NDArray[np.uint8]:
    """A JPEG or PNG as RGB [height, width, 3], turned as its camera held it.

    Raises:
        InputError: neither, broken, or larger than `MOST_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise InputError(
                        f"the picture has {image.width} x {image.height} pixels",
                        hint=f"at most {MOST_PIXELS} are taken",
                    )
                return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except UnidentifiedImageError as error:
        raise InputError("the body is neither a JPEG nor a PNG") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError,
            Image.DecompressionBombWarning) as error:  # fmt: skip
        raise InputError(f"the picture cannot be read: {error}") from error
