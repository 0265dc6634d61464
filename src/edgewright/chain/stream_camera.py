"""The camera part of a stream file; importing this file needs the extra `camera`."""

from edgewright.chain.stream_tools import Tools
from edgewright.device.streams import config
from edgewright.device.streams.base import Source
from edgewright.device.streams.camera_source import CameraSource
from edgewright.device.streams.plan import PicturePlan, Plan
from edgewright.errors import InputError


def source(order: config.CameraSource, plan: Plan | PicturePlan, tools: Tools) -> Source:
    """Pictures of a camera or a video file.

    Raises:
        InputError: the model takes something else.
    """
    if not isinstance(plan, PicturePlan):
        raise InputError(
            "a camera gives pictures, the model takes samples of channels",
            hint="use a source of another kind",
        )
    device = order.device if order.device.isdigit() else str(tools.path(order.device))
    return CameraSource(device, every=order.every, size=plan.size, clock=tools.clock)
