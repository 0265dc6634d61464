"""Pictures of a camera or a film as they come (extra `camera`)."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgewright.errors import UnavailableError

Frame = NDArray[np.uint8]
"""[height, width, 3], BGR as OpenCV has it."""


def is_camera(device: str) -> bool:
    """Whether it is a camera's number; else it is a film's path."""
    return device.isdigit()


async def frames_of(device: str) -> AsyncGenerator[tuple[float, Frame], None]:
    """Pictures until the film ends or the camera is unplugged, each with the film's own time in
    seconds.

    Raises:
        UnavailableError: there is no such camera, or no film that can be read.
    """
    capture = await asyncio.to_thread(_opened, device)
    try:
        while True:
            is_read, frame = await asyncio.to_thread(capture.read)
            if not is_read:
                return
            film_s: float = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
            yield film_s, frame
    finally:
        capture.release()


def _opened(device: str) -> Any:
    capture = cv2.VideoCapture(int(device) if is_camera(device) else device)
    if not capture.isOpened():
        capture.release()
        raise UnavailableError(
            f"camera {device} cannot be opened",
            hint="a camera is a number (0 is /dev/video0), a film is a path",
        )
    return capture
