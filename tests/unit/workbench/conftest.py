"""A small data set whose classes are easy to tell apart, made the same way every time."""

from collections.abc import Callable

import numpy as np
import pytest

from edgewright.workbench.data import Channel, Dataset, Recording

CHANNELS = (
    *(Channel(name=f"acc_{axis}", unit="g") for axis in "xyz"),
    *(Channel(name=f"gyro_{axis}", unit="rad/s") for axis in "xyz"),
)
LABELS = ("slow", "fast")
RATE_HZ = 50.0


def recording(
    subject: str, name: str, *, label: int = 0, seconds: float = 6.0, seed: int = 0
) -> Recording:
    """A person who swings at 1 Hz (slow) or 4 Hz (fast), with gravity on z."""
    rng = np.random.default_rng([seed, *name.encode(), *subject.encode()])
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    swing = np.sin(2 * np.pi * (1.0 + 3.0 * label) * time_s + rng.uniform(0, 6))
    samples = rng.normal(0, 0.02, (len(time_s), 6))
    samples[:, 0] += 0.2 * swing
    samples[:, 2] += 1.0
    samples[:, 4] += swing
    return Recording(
        samples=samples.astype(np.float32),
        label=np.full(len(time_s), label, np.int16),
        subject=subject,
        name=name,
        rate_hz=RATE_HZ,
    )


@pytest.fixture
def make_recording() -> Callable[..., Recording]:
    return recording


@pytest.fixture
def make_dataset() -> Callable[..., Dataset]:
    def make(people: int = 5, *, seconds: float = 6.0, seed: int = 0) -> Dataset:
        recordings = tuple(
            recording(str(who), f"{who}-{name}", label=label, seconds=seconds, seed=seed)
            for who in range(1, people + 1)
            for label, name in enumerate(LABELS)
        )
        return Dataset(recordings, CHANNELS, LABELS, RATE_HZ, "made up")

    return make


@pytest.fixture
def dataset(make_dataset: Callable[..., Dataset]) -> Dataset:
    return make_dataset()
