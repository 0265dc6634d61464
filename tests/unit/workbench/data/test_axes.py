"""Sensors of one body, turned by physics: what one says of gravity the other says of turning."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edgewright.contract import Channel
from edgewright.workbench.data import Dataset, Finding, Recording, check_dataset

RATE_HZ = 50.0
CHANNELS = (
    *(Channel(name=f"acc_{axis}", unit="g") for axis in "xyz"),
    *(Channel(name=f"gyro_{axis}", unit="rad/s") for axis in "xyz"),
)


def tumbling(who: str) -> Recording:
    """A device that turns slowly about ever other axes; gravity is turned against it."""
    rng = np.random.default_rng(list(who.encode()))
    count = 3000
    time_s = np.arange(count) / RATE_HZ
    gyro = np.stack(
        [np.sin(2 * np.pi * f * time_s + rng.uniform(0, 6)) for f in rng.uniform(0.1, 0.4, 3)], 1
    )
    acc = np.empty((count, 3))
    acc[0] = (0.0, 0.0, 1.0)
    for at in range(1, count):
        acc[at] = acc[at - 1] - np.cross(gyro[at - 1], acc[at - 1]) / RATE_HZ
        acc[at] /= np.linalg.norm(acc[at])
    samples = np.concatenate([acc, gyro], axis=1) + rng.normal(0, 0.02, (count, 6))
    label = np.repeat(np.int16([0, 1]), count // 2)
    return Recording(samples.astype(np.float32), label, who, f"of {who}", RATE_HZ)


@pytest.fixture(scope="module")
def good() -> Dataset:
    people = tuple(tumbling(who) for who in ("ann", "bob", "eve"))
    return Dataset(people, CHANNELS, ("a", "b"), RATE_HZ, "made up")


def with_bob(dataset: Dataset, swap: NDArray[np.float64], *, columns: slice) -> Dataset:
    """Bob's axes named and pointed otherwise."""
    recordings = []
    for each in dataset.recordings:
        samples = each.samples.copy()
        if each.subject == "bob":
            samples[:, columns] = samples[:, columns] @ swap.T.astype(np.float32)
        recordings.append(replace(each, samples=samples))
    return replace(dataset, recordings=tuple(recordings))


def axes_findings(dataset: Dataset) -> list[Finding]:
    return [f for f in check_dataset(dataset).findings if f.code in {"axes", "orientation"}]


def test_sensors_that_fit_together_are_not_suspected(good: Dataset) -> None:
    assert axes_findings(good) == []


@pytest.mark.parametrize(
    ("swap", "mended_by"),
    [
        (np.eye(3)[[1, 0, 2]], "y x z"),
        (np.eye(3)[[2, 1, 0]], "z y x"),
        (np.eye(3)[[1, 2, 0]], "z x y"),
        (np.diag([1.0, -1.0, 1.0]), "x -y z"),
        (np.diag([-1.0, -1.0, -1.0]), "-x -y -z"),
    ],
)
def test_swapped_and_mirrored_axes_of_a_gyroscope_are_named(
    good: Dataset, swap: NDArray[np.float64], mended_by: str
) -> None:
    (found,) = axes_findings(with_bob(good, swap, columns=slice(3, 6)))
    assert found.severity == "warning"
    assert "subject bob: gyro and acc do not turn alike" in found.message
    assert f"with gyro as ({mended_by}) they would" in found.message


def test_a_left_handed_device_is_suspected_though_both_sensors_agree_on_names(
    good: Dataset,
) -> None:
    mirrored = with_bob(good, np.eye(3)[[1, 0, 2]], columns=slice(0, 3))
    mirrored = with_bob(mirrored, np.eye(3)[[1, 0, 2]], columns=slice(3, 6))
    (found,) = axes_findings(mirrored)
    assert "(-x -y -z)" in found.message


def upright(who: str, axis: int) -> Recording:
    samples = np.random.default_rng(list(who.encode())).normal(0, 0.02, (400, 3))
    samples[:, axis] += 1.0
    label = np.repeat(np.int16([0, 1]), 200)
    return Recording(samples.astype(np.float32), label, who, who, RATE_HZ)


def test_one_person_with_gravity_elsewhere_is_suspected_without_a_gyroscope() -> None:
    people = (upright("ann", 2), upright("bob", 2), upright("eve", 2), upright("joe", 0))
    (found,) = axes_findings(Dataset(people, CHANNELS[:3], ("a", "b"), RATE_HZ, "made up"))
    assert "subject joe: gravity on acc lies 90 degrees from the others'" in found.message


def test_people_who_all_wear_it_otherwise_are_not_suspected() -> None:
    people = (upright("ann", 0), upright("bob", 1), upright("eve", 2))
    assert axes_findings(Dataset(people, CHANNELS[:3], ("a", "b"), RATE_HZ, "made up")) == []


def test_a_sensor_without_a_unit_is_told_with_what_it_reads_at_rest(good: Dataset) -> None:
    calm = np.tile(np.float32([0.0, 0.0, 9.81, 0.0, 0.0, 0.0]), (200, 1))
    recordings = tuple(
        replace(each, samples=calm, label=np.zeros(200, np.int16)) for each in good.recordings
    )
    bare = tuple(Channel(name=channel.name) for channel in CHANNELS)
    findings = check_dataset(replace(good, recordings=recordings, channels=bare)).findings
    told = [each for each in findings if each.code == "unit"]
    assert [each.channel for each in told] == ["acc", "gyro"]
    assert "reads 9.81 at rest" in told[0].message
