"""Pictures of a camera or a video file (extra `camera`)."""

import asyncio
from collections.abc import AsyncGenerator

import cv2
import numpy as np

from edgewright.clock import Clock
from edgewright.device.streams.base import Array, Picture
from edgewright.errors import TransportError, UnavailableError


class CameraSource:
    """Every n-th picture as RGB, brought to `size` (height, width) where the model takes one size
    only. `device` is a camera's number, or a video file, whose clock is its own.
    """

    def __init__(
        self, device: str, *, every: int, size: tuple[int, int] | None, clock: Clock
    ) -> None:
        self._device = device
        self._every = every
        self._size = size
        self._clock = clock

    async def chunks(self) -> AsyncGenerator[Picture, None]:
        """Pictures until the film ends.

        Raises:
            UnavailableError: there is no such camera, or no film that can be read.
            TransportError: the camera is gone.
        """
        is_camera = self._device.isdigit()
        capture = await asyncio.to_thread(self._opened)
        try:
            number = 0
            while True:
                is_read, frame = await asyncio.to_thread(capture.read)
                if not is_read:
                    break
                if number % self._every == 0:
                    film_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
                    time_s = self._clock.wall_s() if is_camera else film_s
                    yield Picture(time_s=time_s, values=self._brought(frame))
                number += 1
        finally:
            capture.release()
        if is_camera:
            raise TransportError(f"camera {self._device} is gone", hint="check its cable")

    def _opened(self) -> cv2.VideoCapture:
        is_camera = self._device.isdigit()
        capture = cv2.VideoCapture(int(self._device) if is_camera else self._device)
        if not capture.isOpened():
            capture.release()
            raise UnavailableError(
                f"camera {self._device} cannot be opened",
                hint="a camera is a number (0 is /dev/video0), a video is a path",
            )
        return capture

    def _brought(self, frame: Array) -> Array:
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        if self._size is not None and rgb.shape[:2] != self._size:
            height, width = self._size
            rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(rgb)
