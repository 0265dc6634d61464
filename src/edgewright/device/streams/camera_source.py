"""Pictures of a camera or a video file (extra `camera`)."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import cv2
import numpy as np

from edgewright.clock import Clock
from edgewright.device.streams.base import Array, Picture
from edgewright.errors import TransportError
from edgewright.transports.camera import frames_of, is_camera


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
        is_live = is_camera(self._device)
        number = 0
        async with aclosing(frames_of(self._device)) as frames:
            async for film_s, frame in frames:
                if number % self._every == 0:
                    time_s = self._clock.wall_s() if is_live else film_s
                    yield Picture(time_s=time_s, values=self._brought(frame))
                number += 1
        if is_live:
            raise TransportError(f"camera {self._device} is gone", hint="check its cable")

    def _brought(self, frame: Array) -> Array:
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        if self._size is not None and rgb.shape[:2] != self._size:
            height, width = self._size
            rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(rgb)
