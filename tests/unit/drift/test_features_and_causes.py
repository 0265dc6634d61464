import numpy as np
import pytest

from edgewright.device.drift.causes import Fault, explain, faults_of, undo
from edgewright.device.drift.features import is_stuck, noise_floor, window_features
from edgewright.device.drift.mixture import fit_mixture

RNG = np.random.default_rng(3)
WINDOWS = RNG.normal(size=(20, 40, 3)).cumsum(axis=1) * [1.0, 2.0, 0.5] + [0.0, 9.8, -3.0]
NO_NOISE = np.full(3, 1e-12)


def fault(kind: str, channels: tuple[int, ...], sources: tuple[int, ...] | None = None) -> Fault:
    return Fault(kind=kind, channels=channels, sources=sources or channels, sizes=(1.0,))


@pytest.mark.parametrize(
    ("each", "size", "broken"),
    [
        (fault("gain", (1,)), 1.7, WINDOWS * [1, 1.7, 1]),
        (fault("bias", (2,)), 0.4, WINDOWS + np.array([0, 0, 0.4])),
        (fault("axis inverted", (0,)), 1.0, WINDOWS * [-1, 1, 1]),
        (fault("axis swap", (0, 2), (2, 0)), 1.0, WINDOWS[..., [2, 1, 0]]),
    ],
)
def test_undoing_a_fault_gives_back_the_features(
    each: Fault, size: float, broken: np.ndarray
) -> None:
    undone, _ = undo(each, size, window_features(broken, NO_NOISE))
    good = window_features(WINDOWS, NO_NOISE)[:, list(each.channels)]
    np.testing.assert_allclose(undone, good, atol=1e-9)


def test_volume_is_counted_for_gains_alone() -> None:
    features = window_features(WINDOWS, NO_NOISE)
    assert undo(fault("gain", (0, 1)), 2.0, features)[1] == pytest.approx(-2 * np.log(2.0))
    assert undo(fault("bias", (0,)), 2.0, features)[1] == 0.0


def test_undoing_nothing_explains_nothing() -> None:
    features = window_features(WINDOWS, noise_floor(WINDOWS))
    mixture = fit_mixture(features.reshape(20, -1), 2, np.random.default_rng(0))
    nothing = Fault(kind="rate", channels=(0, 1, 2), sources=(0, 1, 2), sizes=(1.0,))
    alone, undone = explain(mixture, features, [nothing])
    np.testing.assert_allclose(alone, undone[:, 0], atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 9, 13])
def test_faults_name_channels_that_exist(channels: int) -> None:
    faults = faults_of(np.ones(channels))
    assert {c for each in faults for c in each.channels} == set(range(channels))
    assert all(sorted(each.channels) == sorted(each.sources) for each in faults)
    pairs = [each.channels for each in faults if each.kind == "axis swap"]
    assert len(pairs) == len(set(pairs))


def test_a_still_window_has_finite_features() -> None:
    still = np.zeros((2, 10, 3))
    assert np.isfinite(window_features(still, noise_floor(still))).all()


def test_stuck_means_half_a_window_of_one_number() -> None:
    windows = np.arange(20.0).reshape(1, 10, 2).repeat(2, axis=0)
    windows[1, 5:, 1] = 7.0
    assert is_stuck(windows).tolist() == [[False, False], [False, True]]
