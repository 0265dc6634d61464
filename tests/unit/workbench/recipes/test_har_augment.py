import msgspec
import pytest
import torch

from edgewright.workbench.recipes.har import AugmentOptions, augment, rotations

NOTHING = AugmentOptions(rotation_deg=0, scaling=0, time_warp=0, shift=0)
TRIADS = ((0, 1, 2), (3, 4, 5))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def windows() -> torch.Tensor:
    return torch.randn(8, 50, 6, generator=seeded(9))


def test_nothing_chosen_changes_nothing() -> None:
    x = windows()
    assert torch.equal(augment(x, NOTHING, triads=TRIADS, generator=seeded()), x)


@pytest.mark.parametrize(
    "options",
    [
        AugmentOptions(),
        AugmentOptions(time_warp=0.2),
        AugmentOptions(shift=10),
        AugmentOptions(channel_drop=0.3),
    ],
)
def test_the_same_generator_gives_the_same_windows_and_the_input_stays(
    options: AugmentOptions,
) -> None:
    x = windows()
    kept = x.clone()
    first = augment(x, options, triads=TRIADS, generator=seeded(1))
    second = augment(x, options, triads=TRIADS, generator=seeded(1))
    other = augment(x, options, triads=TRIADS, generator=seeded(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(x, kept)
    assert first.shape == x.shape


def test_rotations_are_rotations_of_at_most_the_angle() -> None:
    turns = rotations(500, 25.0, seeded())
    identity = torch.eye(3).expand(500, 3, 3)
    assert torch.allclose(turns @ turns.transpose(1, 2), identity, atol=1e-5)
    assert torch.allclose(torch.linalg.det(turns), torch.ones(500), atol=1e-5)
    trace = turns.diagonal(dim1=1, dim2=2).sum(dim=1)
    degrees = torch.rad2deg(torch.arccos(((trace - 1) / 2).clamp(-1, 1)))
    assert degrees.max() <= 25.01
    assert degrees.max() > 20


def test_all_sensors_turn_together_and_keep_their_length() -> None:
    x = windows()
    x[:, :, 3:] = x[:, :, :3]
    options = msgspec.structs.replace(NOTHING, rotation_deg=25)
    out = augment(x, options, triads=TRIADS, generator=seeded())
    assert torch.allclose(out[:, :, 3:], out[:, :, :3], atol=1e-6)
    before = torch.linalg.vector_norm(x[:, :, :3], dim=2)
    after = torch.linalg.vector_norm(out[:, :, :3], dim=2)
    assert torch.allclose(before, after, atol=1e-5)


def test_a_shift_plays_the_same_samples_earlier_or_later() -> None:
    ramp = torch.arange(50.0).reshape(1, 50, 1).expand(40, 50, 1)
    options = msgspec.structs.replace(NOTHING, shift=5)
    out = augment(ramp, options, triads=(), generator=seeded())
    moved = (out[:, 25, 0] - 25).unique()
    assert moved.abs().max() <= 5
    assert len(moved) > 5


def test_a_time_warp_stays_between_the_samples_of_its_window() -> None:
    x = windows()
    options = msgspec.structs.replace(NOTHING, time_warp=0.3)
    out = augment(x, options, triads=(), generator=seeded())
    assert (out <= x.amax(dim=1, keepdim=True) + 1e-6).all()
    assert (out >= x.amin(dim=1, keepdim=True) - 1e-6).all()


def test_a_dropped_channel_says_nothing() -> None:
    x = windows()
    options = msgspec.structs.replace(NOTHING, channel_drop=0.5)
    out = augment(x, options, triads=(), generator=seeded())
    still = out.std(dim=1) < 1e-6
    assert 0.2 < still.float().mean() < 0.8
    assert torch.equal(out[:, :, :].transpose(1, 2)[~still], x.transpose(1, 2)[~still])
