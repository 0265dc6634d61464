"""Finer statistics: what the numbers mean."""

import math

import numpy as np
import pytest
import torch

from edgewright.workbench.recipes.har.finer import FinerStatistics, _shapes

LENGTH = 100
BANDS = 6
PAIRS = 15


@pytest.fixture
def statistics() -> FinerStatistics:
    return FinerStatistics(length=LENGTH, channels=6, gravity=(0, 1, 2))


def windows(count: int = 4, length: int = LENGTH, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(count, length, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("length", [32, 40, LENGTH, 200])
@pytest.mark.parametrize("gravity", [(), (3, 4, 5)])
def test_size_is_what_comes_out(length: int, gravity: tuple[int, ...]) -> None:
    statistics = FinerStatistics(length=length, channels=6, gravity=gravity)
    x = windows(length=length)
    assert statistics(x, x).shape == (4, statistics.size)


@pytest.mark.parametrize(("period", "band"), [(1, 0), (4, 1), (8, 2), (14, 3), (20, 4), (40, 5)])
def test_what_moves_together_is_seen_in_its_band(
    statistics: FinerStatistics, period: int, band: int
) -> None:
    wave = torch.sin(2 * math.pi * period * torch.arange(LENGTH) / LENGTH)
    x = 1e-3 * windows(1)
    x[0, :, 0] += wave
    x[0, :, 1] -= wave
    together = statistics(x, x)[0, : BANDS * PAIRS].reshape(BANDS, PAIRS)
    assert together[band, 0] == pytest.approx(-1.0, abs=0.01)
    assert together[:, 0].abs().argmax() == band


def test_direction_of_gravity_does_not_depend_on_its_size(statistics: FinerStatistics) -> None:
    still = torch.tensor([0.6, 0.0, 0.8, 0.0, 0.0, 0.0]).expand(1, LENGTH, 6)
    for scale in (1.0, 3.0):
        direction = statistics(still, scale * still)[0, -9:]
        wanted = torch.tensor([0.6, 0.0, 0.8, 0.36, 0.0, 0.48, 0.0, 0.0, 0.64])
        assert torch.allclose(direction, wanted, atol=1e-4)


def test_shapes_are_numpys() -> None:
    x = windows(1)
    moving = x - x.mean(dim=1, keepdim=True)
    even, steps, turns, lopsided, sudden = (part[0].numpy() for part in _shapes(moving))
    raw = moving[0].numpy()
    unit = raw / raw.std(axis=0)
    assert np.allclose(even, np.abs(unit).mean(axis=0), atol=1e-3)
    assert np.allclose(steps, np.log(np.abs(np.diff(raw, axis=0)).mean(axis=0)), atol=1e-3)
    assert np.allclose(turns, np.log((np.diff(raw, 2, axis=0) ** 2).mean(axis=0)), atol=1e-3)
    assert np.allclose(lopsided, np.arcsinh((unit**3).mean(axis=0)), atol=1e-2)
    assert np.allclose(sudden, np.log((unit**4).mean(axis=0) + 0.1), atol=1e-2)


def test_statistics_are_finite_for_a_sensor_that_stands_still(statistics: FinerStatistics) -> None:
    still = torch.zeros(2, LENGTH, 6)
    assert bool(torch.isfinite(statistics(still, still)).all())
    loud = windows(scale=1e4)
    assert bool(torch.isfinite(statistics(loud, loud)).all())
