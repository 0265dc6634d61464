"""The network with statistics: what its numbers mean, and that it leaves as one graph."""

import math

import numpy as np
import pytest
import torch

from edgewright.workbench.recipes.har.fusion import FusionNetwork, Statistics

LENGTH = 100
TRIADS = ((0, 1, 2), (3, 4, 5))


@pytest.fixture
def statistics() -> Statistics:
    return Statistics(length=LENGTH, channels=6, triads=TRIADS)


def windows(count: int = 4, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(count, LENGTH, 6, generator=torch.Generator().manual_seed(1))


def test_size_is_what_comes_out(statistics: Statistics) -> None:
    assert statistics(windows()).shape == (4, statistics.size)


def test_first_numbers_are_the_means(statistics: Statistics) -> None:
    x = windows()
    assert torch.allclose(statistics(x)[:, :6], x.mean(dim=1), atol=1e-6)


def test_correlations_are_numpys(statistics: Statistics) -> None:
    x = windows(1)
    told = statistics._together(x - x.mean(dim=1, keepdim=True))[0].numpy()
    rows, columns = np.triu_indices(6)
    beside = rows != columns
    wanted = np.corrcoef(x[0].numpy().T)[rows, columns]
    assert np.allclose(told[beside], wanted[beside], atol=2e-3)
    assert np.allclose(told[~beside], np.log(x[0].numpy().std(axis=0)), atol=1e-3)


@pytest.mark.parametrize("period", [1, 7, 20])
def test_a_sine_stands_in_its_own_bin(statistics: Statistics, period: int) -> None:
    at = torch.arange(LENGTH) / LENGTH
    x = torch.zeros(1, LENGTH, 6)
    x[0, :, 2] = math.sqrt(2) * torch.sin(2 * math.pi * period * at)
    power = statistics._spectrum(x).reshape(6, -1).exp()
    assert int(power[2].argmax()) == period - 1
    assert power[2].max() == pytest.approx(50, rel=0.2)
    assert power[0].max() == pytest.approx(1e-5, rel=1e-3)


def test_statistics_are_finite_for_a_sensor_that_stands_still(statistics: Statistics) -> None:
    assert bool(torch.isfinite(statistics(torch.zeros(2, LENGTH, 6))).all())
    assert bool(torch.isfinite(statistics(windows(scale=1e4))).all())


def test_directions_are_seen_only_where_there_are_three_axes() -> None:
    lone = Statistics(length=40, channels=2, triads=())
    assert lone(torch.randn(3, 40, 2)).shape == (3, lone.size)


def test_gradients_stay_finite_on_absent_channels() -> None:
    net = FusionNetwork(
        length=LENGTH, channels=6, classes=3, widths=(8, 12), latent=5, triads=TRIADS,
        masks=True, dropout=0.0,
    )  # fmt: skip
    x = windows(8)
    x[:, :, 3:] = 0.0
    net(x)[1].square().sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in net.parameters() if p.grad is not None)
