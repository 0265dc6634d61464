"""Pictures of a camera or a film (extra `camera`): JPEG files, and a line for each."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import cv2

from edgewright._fs import write_atomic
from edgewright.errors import InputError, UnavailableError
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
        is_camera = self._device.isdigit()
        camera = cv2.VideoCapture(int(self._device) if is_camera else self._device)
        try:
            if not camera.isOpened():
                raise UnavailableError(
                    f"camera {self._device} cannot be opened",
                    hint="a camera is a number (0 is /dev/video0), a film is a path",
                )
            for number in range(10**9):
                is_read, frame = await asyncio.to_thread(camera.read)
                if not is_read:
                    return
                path = self._folder / f"frame-{number:06d}.jpg"
                is_written, content = cv2.imencode(".jpg", frame)
                if not is_written:
                    raise InputError(f"frame {number} of camera {self._device} is no picture")
                write_atomic(path, content.tobytes())
                height, width = frame.shape[:2]
                facts: dict[str, float | str] = {
                    "image": path.name,
                    "width": float(width),
                    "height": float(height),
                }
                yield Message(topic=f"camera/{self._device}", payload=facts)
                if is_camera:
                    await asyncio.sleep(self._interval_s)
        finally:
            camera.release()
