"""A synthetic sensor: three states of movement, two people's habits, gravity on one axis."""

from collections.abc import Callable

import numpy as np
import pytest

from edgewright.device.drift import Reference, build_reference

CHANNELS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
LENGTH = 50


def sensor_windows(rng: np.random.Generator, rows: int, *, habit: float = 0.0) -> np.ndarray:
    """Windows of a person who rests, walks and runs for a while each, tilted by `habit`."""
    state = np.repeat(rng.integers(0, 3, rows // 10 + 1), 10)[:rows]
    strength = np.array([0.02, 0.3, 0.8])[state][:, None, None]
    pace = np.array([0.05, 0.25, 0.4])[state][:, None, None] * rng.uniform(0.9, 1.1, (rows, 1, 1))
    phase = rng.uniform(0, 6, (rows, 1, 6)) + np.arange(LENGTH)[:, None] * pace
    waves = np.sin(phase) * [0.5, 1.0, 0.6, 0.8, 0.3, 1.5] * strength
    gravity = np.array([np.sin(habit), np.cos(habit), 0.1, 0.0, 0.0, 0.0])
    return waves + gravity + rng.normal(0, 0.02, (rows, LENGTH, 6))


@pytest.fixture(scope="package")
def reference() -> Reference:
    rng = np.random.default_rng(11)
    people = [sensor_windows(rng, 160, habit=rng.normal(0, 0.05)) for _ in range(12)]
    return build_reference(
        np.concatenate(people),
        channels=CHANNELS,
        groups=np.repeat(np.arange(12), 160),
        rng=np.random.default_rng(0),
    )


@pytest.fixture
def person() -> Callable[[int], np.ndarray]:
    def make(seed: int, rows: int = 320) -> np.ndarray:
        rng = np.random.default_rng(1000 + seed)
        return sensor_windows(rng, rows, habit=rng.normal(0, 0.05))

    return make
