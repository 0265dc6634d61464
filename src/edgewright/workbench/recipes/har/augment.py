"""Training windows, varied as nature varies them. All randomness comes from the generator given.

A sensor that is absent (zeros) stays absent.
"""

import math

import torch

from edgewright.workbench.recipes.har.options import AugmentOptions


def augment(
    x: torch.Tensor,
    options: AugmentOptions,
    *,
    triads: tuple[tuple[int, ...], ...],
    generator: torch.Generator,
) -> torch.Tensor:
    """Windows [batch, length, channels] with each chosen variation applied."""
    out = x.clone()
    if options.shift:
        out = _shifted(out, options.shift, generator)
    if options.rotation_deg and triads:
        turns = rotations(len(x), options.rotation_deg, generator).to(x.device)
        for axes in triads:
            out[:, :, list(axes)] = out[:, :, list(axes)] @ turns
    if options.time_warp:
        out = _warped(out, options.time_warp, generator)
    if options.scaling:
        out *= 1.0 + options.scaling * _normal((len(x), 1, x.shape[2]), generator, x.device)
    if options.jitter:
        size = x.std(dim=(0, 1), keepdim=True)
        out += options.jitter * size * _normal(tuple(x.shape), generator, x.device)
    if options.channel_drop:
        dropped = _uniform((len(x), 1, x.shape[2]), generator, x.device) < options.channel_drop
        out = torch.where(dropped, x.mean(dim=(0, 1)).expand_as(out), out)
    absent = (x == 0).all(dim=1, keepdim=True)
    if options.sensor_drop and len(triads) > 1:
        absent |= _dropped_sensors(x, triads, options.sensor_drop, generator)
    return out.masked_fill(absent, 0.0)


def rotations(count: int, most_deg: float, generator: torch.Generator) -> torch.Tensor:
    """Rotation matrices [count, 3, 3] about random axes by up to `most_deg` (Rodrigues)."""
    axis = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    angle = (2 * torch.rand(count, 1, 1, generator=generator) - 1) * math.radians(most_deg)
    x, y, z = axis.unbind(dim=1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).reshape(count, 3, 3)
    return torch.eye(3) + angle.sin() * cross + (1 - angle.cos()) * (cross @ cross)


def _dropped_sensors(
    x: torch.Tensor,
    triads: tuple[tuple[int, ...], ...],
    share: float,
    generator: torch.Generator,
) -> torch.Tensor:
    """At most one sensor a window, so that something is always left."""
    which = torch.randint(len(triads), (len(x), 1, 1), generator=generator).to(x.device)
    drops = _uniform((len(x), 1, 1), generator, x.device) < share
    absent = torch.zeros((len(x), 1, x.shape[2]), dtype=torch.bool, device=x.device)
    for at, axes in enumerate(triads):
        absent[:, :, list(axes)] = drops & (which == at)
    return absent


def _shifted(x: torch.Tensor, most: int, generator: torch.Generator) -> torch.Tensor:
    by = torch.randint(-most, most + 1, (len(x), 1), generator=generator).to(x.device)
    rows = (torch.arange(x.shape[1], device=x.device) + by).clamp(0, x.shape[1] - 1)
    return x.gather(1, rows[:, :, None].expand_as(x))


def _warped(x: torch.Tensor, most: float, generator: torch.Generator) -> torch.Tensor:
    """Each window played a little faster or slower about its middle; the ends are held."""
    length = x.shape[1]
    speed = 1.0 + most * (2 * _uniform((len(x), 1), generator, x.device) - 1)
    middle = (length - 1) / 2
    at = (middle + (torch.arange(length, device=x.device) - middle) * speed).clamp(0, length - 1)
    left = at.floor().long().clamp(max=length - 2)
    share = (at - left)[:, :, None]
    lower = x.gather(1, left[:, :, None].expand_as(x))
    upper = x.gather(1, (left + 1)[:, :, None].expand_as(x))
    return lower * (1 - share) + upper * share


def _normal(
    shape: tuple[int, ...], generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    return torch.randn(shape, generator=generator).to(device)


def _uniform(
    shape: tuple[int, ...], generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    return torch.rand(shape, generator=generator).to(device)
