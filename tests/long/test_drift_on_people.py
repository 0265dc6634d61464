"""Drift on real people: faults planted into new windows of the people of the reference are named,
and those windows as they are, or other people, raise no more alarms than promised.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgewright.device.drift import DriftMonitor, Finding, Reference, build_reference

pytestmark = pytest.mark.long

CHANNELS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
PEOPLE = 12
BLOCK = 20
"""Windows in a row (20 s) that go to the reference, then as many to the stream, and so on."""

Change = Callable[[np.ndarray], np.ndarray]


class People:
    """Windows of some people, half of each for the reference."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as data:
            samples, recording, subject = data["X"], data["recording"], data["subject"]
        self.reference: dict[int, np.ndarray] = {}
        self.stream: dict[int, np.ndarray] = {}
        for person in range(1, PEOPLE + 1):
            halves: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
            for name in np.unique(recording[subject == person]):
                windows = np.lib.stride_tricks.sliding_window_view(
                    samples[recording == name].astype(np.float64), 100, axis=0
                )[::50].transpose(0, 2, 1)
                is_reference = np.arange(len(windows)) // BLOCK % 2 == 0
                halves[0].append(windows[is_reference])
                halves[1].append(windows[~is_reference])
            self.reference[person] = np.concatenate(halves[0])
            self.stream[person] = np.concatenate(halves[1])


@pytest.fixture(scope="module")
def people(shared_data: Path) -> People:
    return People(shared_data / "hapt" / "hapt.npz")


def built(parts: dict[int, np.ndarray]) -> Reference:
    return build_reference(
        np.concatenate(list(parts.values())),
        channels=CHANNELS,
        groups=np.concatenate([np.full(len(w), person) for person, w in parts.items()]),
        rng=np.random.default_rng(0),
    )


@pytest.fixture(scope="module")
def reference(people: People) -> Reference:
    return built(people.reference)


def finding(reference: Reference, windows: np.ndarray) -> Finding:
    monitor = DriftMonitor(reference)
    monitor.push(windows)
    return monitor.finding


def stuck(windows: np.ndarray) -> np.ndarray:
    windows = windows.copy()
    windows[..., 5] = windows[0, 0, 5]
    return windows


def slower(windows: np.ndarray) -> np.ndarray:
    """As a sensor at 62.5 Hz that is said to run at 50 Hz."""
    places = np.minimum(np.arange(windows.shape[1]) * 0.8, windows.shape[1] - 1)
    left = places.astype(int)
    share = (places - left)[:, None]
    right = np.minimum(left + 1, windows.shape[1] - 1)
    return windows[:, left] * (1 - share) + windows[:, right] * share


CASES: dict[str, tuple[Change, str, tuple[int, ...]]] = {
    "gain of acc_y": (lambda w: w * np.array([1, 1.6, 1, 1, 1, 1]), "gain", (1,)),
    "gain of gyro_y": (lambda w: w * np.array([1, 1, 1, 1, 2.2, 1]), "gain", (4,)),
    "bias of gyro_y": (lambda w: w + np.array([0, 0, 0, 0, 0.1, 0]), "bias", (4,)),
    "axes of acc": (lambda w: w[..., [1, 0, 2, 3, 4, 5]], "axis swap", (0, 1)),
    "axes of gyro": (lambda w: w[..., [0, 1, 2, 4, 3, 5]], "axis swap", (3, 4)),
    "stuck gyro_z": (stuck, "stuck", (5,)),
    "rate": (slower, "rate", (0, 1, 2, 3, 4, 5)),
    "unit of acc": (lambda w: w * np.array([9.80665] * 3 + [1] * 3), "gain", (0, 1, 2)),
}


def test_new_windows_of_the_same_people_raise_no_alarm(
    people: People, reference: Reference
) -> None:
    causes = [finding(reference, windows).cause for windows in people.stream.values()]
    assert causes == [""] * PEOPLE


@pytest.mark.parametrize("name", CASES)
def test_planted_faults_are_named(people: People, reference: Reference, name: str) -> None:
    change, cause, channels = CASES[name]
    found = [finding(reference, change(windows)) for windows in people.stream.values()]
    named = sum((each.cause, each.channels) == (cause, channels) for each in found)
    assert named >= 0.75 * PEOPLE, [(each.cause, each.channels) for each in found]


def test_people_who_are_not_in_the_reference_alarm_as_rarely_as_promised(people: People) -> None:
    """Four references without three people each; the promise is the binomial's 99 % bound."""
    alarms, bound = 0, 0.0
    for fold in range(4):
        out = [person for person in people.reference if person % 4 == fold]
        kept = {p: w for p, w in people.reference.items() if p not in out}
        reference = built(kept)
        bound += reference.limits.false_alarm * len(out)
        for person in out:
            alarms += bool(finding(reference, people.stream[person]).cause)
    assert alarms <= bound + 2.6 * np.sqrt(bound)
