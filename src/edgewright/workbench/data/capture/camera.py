"""Pictures of a camera or a film (extra `camera`): JPEG files, and a line for each."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import cv2

from edgewright._fs import write_atomic
from edgewright.errors import InputError
from edgewright.transports.camera import Frame, frames_of, is_camera
from edgewright.workbench.data.capture.base import Message


class CameraSource:
    """A frame every `interval_s`, under `folder`. `device` is a number, or a film's path."""

    def __init__(self, device: str, *, folder: Path, interval_s: float) -> None:
        if not interval_s > 0:
            raise InputError(f"interval {interval_s:g} s, expected above 0")
        self._device = device
        self._folder = folder
        self._interval_s = interval_s

    async def messages(self) -> AsyncGenerator[Message, None]:
        """Frames until the film ends or the camera is unplugged."""
        number = 0
        async with aclosing(frames_of(self._device)) as frames:
            async for _, frame in frames:
                yield Message(topic=f"camera/{self._device}", payload=self._kept(number, frame))
                number += 1
                if is_camera(self._device):
                    await asyncio.sleep(self._interval_s)

    def _kept(self, number: int, frame: Frame) -> dict[str, float | str]:
        """Writes a frame; returns what is known of it."""
        is_written, content = cv2.imencode(".jpg", frame)
        if not is_written:
            raise InputError(f"frame {number} of camera {self._device} is no picture")
        path = self._folder / f"frame-{number:06d}.jpg"
        write_atomic(path, content.tobytes())
        height, width = frame.shape[:2]
        return {"image": path.name, "width": float(width), "height": float(height)}
