"""The channels that a model takes, whatever the data have of them. Pure."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgewright.contract import Channel
from edgewright.workbench.data import WindowSet

UNITS = {"acc": "g", "gyro": "rad/s", "mag": "uT"}


def with_sensors(windows: WindowSet, sensors: Sequence[str]) -> WindowSet:
    """The windows with exactly these sensors' axes in order; an axis that the data lack is NaN, as
    in a recording of a device without it.
    """
    have = {channel.name: at for at, channel in enumerate(windows.channels)}
    names = [(sensor, f"{sensor}_{axis}") for sensor in sensors for axis in "xyz"]
    x = np.full((*windows.x.shape[:2], len(names)), np.nan, np.float32)
    channels = []
    for at, (sensor, name) in enumerate(names):
        if name in have:
            x[:, :, at] = windows.x[:, :, have[name]]
            channels.append(windows.channels[have[name]])
        else:
            channels.append(Channel(name=name, unit=UNITS[sensor]))
    return replace(windows, x=x, channels=tuple(channels))
