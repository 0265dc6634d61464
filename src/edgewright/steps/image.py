"""Steps on images: arrays [rows, height, width, channels].

Resizing takes half-pixel centres (the middle of the first pixel lies at 0.5) and repeats the edge,
without antialiasing: every output value is made of at most four input pixels, in training and on
the device alike. Integer images stay integers, rounded half to even.
"""

from typing import Literal

import numpy as np

from edgewright.errors import InputError
from edgewright.steps.arrays import Array, as_floats, expect_rank, kept_float

_AXES = "rows height width channels"


def resize(
    images: Array, *, height: int, width: int, method: Literal["nearest", "bilinear"] = "bilinear"
) -> Array:
    """Images of another size.

    >>> resize(np.array([0, 100], np.uint8).reshape(1, 1, 2, 1), height=1, width=4).ravel().tolist()
    [0, 25, 75, 100]
    """
    _expect_images(images)
    if images.shape[1:3] == (height, width):
        return images
    if method == "nearest":
        rows, columns = _nearest(images.shape[1], height), _nearest(images.shape[2], width)
        return np.ascontiguousarray(images[:, rows][:, :, columns])
    floats = as_floats(images)
    floats = _lerp(_lerp(floats, height, axis=1), width, axis=2)
    if images.dtype.kind in "iu":
        return np.rint(floats).astype(images.dtype)
    return kept_float(floats, images)


def crop(images: Array, *, height: int, width: int) -> Array:
    """The middle of the images; an odd margin leaves its extra pixel below and to the right.

    >>> crop(np.arange(5).reshape(1, 1, 5, 1), height=1, width=2).ravel().tolist()
    [1, 2]
    """
    _expect_images(images)
    if images.shape[1] < height or images.shape[2] < width:
        raise InputError(
            f"is {images.shape[1]} x {images.shape[2]} pixels, "
            f"expected at least {height} x {width} to crop from",
            hint="resize before the crop",
        )
    top, left = (images.shape[1] - height) // 2, (images.shape[2] - width) // 2
    return np.ascontiguousarray(images[:, top : top + height, left : left + width])


def channel_order(
    images: Array, *, colours: Literal["rgb", "bgr"] = "rgb", layout: Literal["hwc", "chw"] = "chw"
) -> Array:
    """RGB images in another order of colours and axes.

    >>> channel_order(np.zeros((1, 4, 5, 3)), layout="chw").shape
    (1, 3, 4, 5)
    """
    _expect_images(images)
    if colours == "bgr":
        if images.shape[3] != 3:
            raise InputError(f"has {images.shape[3]} colours, expected 3 to turn RGB into BGR")
        images = images[..., ::-1]
    if layout == "chw":
        images = images.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(images)


def _expect_images(images: Array) -> None:
    expect_rank(images, _AXES)
    if images.shape[1] == 0 or images.shape[2] == 0:
        raise InputError(f"has shape {list(images.shape)}: an image needs at least one pixel")


def _nearest(size: int, wanted: int) -> Array:
    """Source positions floor((i + 0.5) * size / wanted), in whole numbers so that they are
    exact.
    """
    return (2 * np.arange(wanted) + 1) * size // (2 * wanted)


def _lerp(images: Array, wanted: int, *, axis: int) -> Array:
    size = images.shape[axis]
    if size == wanted:
        return images
    at = np.clip((np.arange(wanted) + 0.5) * (size / wanted) - 0.5, 0, size - 1)
    left = np.minimum(at.astype(np.intp), max(size - 2, 0))
    right = np.minimum(left + 1, size - 1)
    shape = [1] * images.ndim
    shape[axis] = wanted
    share = (at - left).astype(images.dtype).reshape(shape)
    return np.asarray(
        images.take(left, axis=axis) * (1 - share) + images.take(right, axis=axis) * share
    )
