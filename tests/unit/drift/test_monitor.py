from collections.abc import Callable

import numpy as np
import pytest

from edgewright.device.drift import DriftMonitor, Reference
from edgewright.errors import InputError

People = Callable[[int], np.ndarray]


def times(*factors: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda windows: windows * np.array(factors)


def plus(*offsets: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda windows: windows + np.array(offsets)


def stuck(windows: np.ndarray) -> np.ndarray:
    windows = windows.copy()
    windows[..., 4] = windows[0, 0, 4]
    return windows


def slower(windows: np.ndarray) -> np.ndarray:
    """As a sensor that samples twice as fast as it says."""
    places = np.arange(windows.shape[1]) / 2
    left = places.astype(int)
    share = (places - left)[:, None]
    return windows[:, left] * (1 - share) + windows[:, left + 1] * share


def unseen(windows: np.ndarray) -> np.ndarray:
    """Half of the time a movement that nobody in the reference made."""
    rng = np.random.default_rng(5)
    bursts = rng.normal(0, 1, windows.shape) * [3, 0.01, 3, 0.01, 3, 0.01]
    return np.where((np.arange(len(windows)) // 16 % 2 == 0)[:, None, None], windows, bursts)


FAULTS = [
    (times(1, 1.5, 1, 1, 1, 1), "gain", (1,), 1.5),
    (times(9.80665, 9.80665, 9.80665, 1, 1, 1), "gain", (0, 1, 2), 9.8),
    (plus(0, 0, 0, 0, 0.3, 0), "bias", (4,), 0.3),
    (lambda w: w[..., [1, 0, 2, 3, 4, 5]], "axis swap", (0, 1), None),
    (times(1, -1, 1, 1, 1, 1), "axis inverted", (1,), None),
    (stuck, "stuck", (4,), None),
    (slower, "rate", (0, 1, 2, 3, 4, 5), 0.5),
    (unseen, "new class", (), None),
]


@pytest.mark.parametrize("seed", range(12))
def test_a_normal_person_raises_no_alarm(reference: Reference, person: People, seed: int) -> None:
    monitor = DriftMonitor(reference)
    monitor.push(person(seed))
    assert (monitor.finding.cause, monitor.alarm_since) == ("", None)


@pytest.mark.parametrize("case", FAULTS, ids=[f"{case[1]}-{case[2]}" for case in FAULTS])
def test_a_planted_fault_is_named_with_its_place_and_size(
    reference: Reference, person: People, case: tuple
) -> None:
    fault, cause, channels, size = case
    monitor = DriftMonitor(reference)
    monitor.push(fault(person(3)))
    finding = monitor.finding
    assert (finding.cause, finding.channels) == (cause, channels)
    assert finding.score > finding.limit
    if size is not None:
        assert finding.size == pytest.approx(size, rel=0.35)


def test_a_fault_that_begins_later_is_dated(reference: Reference, person: People) -> None:
    windows = person(4)
    windows[160:, :, 1] *= 1.5
    monitor = DriftMonitor(reference)
    monitor.push(windows)
    assert monitor.finding.cause == "gain"
    assert 160 <= (monitor.alarm_since or 0) <= 272


def test_an_alarm_falls_when_the_fault_is_mended(reference: Reference, person: People) -> None:
    monitor = DriftMonitor(reference)
    monitor.push(plus(0, 0, 0, 0, 0.3, 0)(person(5)))
    assert monitor.finding.cause == "bias"
    for seed in (6, 7):
        monitor.push(person(seed))
    assert (monitor.finding.cause, monitor.alarm_since) == ("", None)


def test_the_cut_into_pushes_does_not_matter(reference: Reference, person: People) -> None:
    windows = person(8)
    whole, parts = DriftMonitor(reference), DriftMonitor(reference)
    whole.push(windows)
    for part in np.split(windows, [1, 17, 30, 200]):
        parts.push(part)
    assert parts.score == pytest.approx(whole.score, rel=1e-5)
    assert parts.windows == whole.windows
    np.testing.assert_allclose(parts.sketch.mean, whole.sketch.mean)


def test_too_short_a_stream_has_no_finding(reference: Reference, person: People) -> None:
    monitor = DriftMonitor(reference)
    monitor.push(person(9)[:63])
    assert not monitor.is_enough


def test_windows_of_another_shape_or_without_numbers_are_refused(
    reference: Reference, person: People
) -> None:
    windows = person(9)
    monitor = DriftMonitor(reference)
    with pytest.raises(
        InputError, match=r"shape \[320, 50, 5\], the reference has \[rows, 50, 6\]"
    ):
        monitor.push(windows[..., :5])
    windows[7, 0, 0] = np.nan
    with pytest.raises(InputError, match="window 7 holds values that are not finite"):
        monitor.push(windows)


@pytest.mark.parametrize("value", [3e38, 1e308, -1e308])
def test_values_of_any_size_are_judged_and_told_without_a_warning(
    reference: Reference, person: People, value: float
) -> None:
    windows = person(3)
    windows[::2, ::3, 1] = value
    monitor = DriftMonitor(reference)
    monitor.push(windows)
    assert monitor.alarm_since is not None
    assert np.isfinite([monitor.score, monitor.finding.score, *monitor.sketch.std]).all()
