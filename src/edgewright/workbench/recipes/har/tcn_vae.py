"""`tcn-vae`: causal residual temporal convolutions to a Gaussian latent, a mirrored decoder, and a
classifier on the mean.

What is served is the encoder and the classifier on the mean of z; the decoder and the sampling
belong to training. The decoder ends linear: normalised inputs have both signs.
"""

import itertools

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from edgewright.workbench.recipes.har.normalisation import Normalisation

_KERNEL = 3
_WIDTHS = (64, 128, 256)


class CausalBlock(nn.Module):
    """Two dilated convolutions that see only the past, beside a 1x1 one."""

    def __init__(self, before: int, after: int, *, dilation: int, dropout: float) -> None:
        super().__init__()
        self.past = (_KERNEL - 1) * dilation
        self.first = weight_norm(nn.Conv1d(before, after, _KERNEL, dilation=dilation))
        self.second = weight_norm(nn.Conv1d(after, after, _KERNEL, dilation=dilation))
        self.side = nn.Conv1d(before, after, 1) if before != after else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.dropout(functional.relu(self.first(functional.pad(x, (self.past, 0)))))
        inner = self.dropout(functional.relu(self.second(functional.pad(inner, (self.past, 0)))))
        return functional.relu(inner + self.side(x))


class TcnVae(nn.Module):
    """Windows [batch, length, channels] in raw units to `latent` (the mean of z) and `logits`."""

    def __init__(
        self,
        *,
        length: int,
        channels: int,
        classes: int,
        latent: int,
        dropout: float,
        masks: bool,
    ) -> None:
        super().__init__()
        self.length = length
        self.normalisation = Normalisation(channels, masks=masks)
        self.encoder = _blocks((channels, *_WIDTHS), dropout)
        self.mean = nn.Linear(_WIDTHS[-1], latent)
        self.log_variance = nn.Linear(_WIDTHS[-1], latent)
        self.classify = nn.Linear(latent, classes)
        self.unfold = nn.Linear(latent, _WIDTHS[-1])
        self.decoder = _blocks((*reversed(_WIDTHS), _WIDTHS[0]), dropout)
        self.draw = nn.Conv1d(_WIDTHS[0], channels, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean = self.mean(self._pooled(self.normalisation(x)))
        return mean, self.classify(mean)

    def parts(
        self, x: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logits of a sampled z, the squared error of drawing x again, and the KL divergence."""
        normal = self.normalisation(x)
        pooled = self._pooled(normal)
        mean, log_variance = self.mean(pooled), self.log_variance(pooled).clamp(-8.0, 8.0)
        z = mean + noise * (0.5 * log_variance).exp()
        drawn = self.draw(self.decoder(self.unfold(z)[:, :, None].expand(-1, -1, self.length)))
        kl = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(dim=1).mean()
        return self.classify(z), functional.mse_loss(drawn, normal.transpose(1, 2)), kl

    def _pooled(self, normal: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.encoder(normal.transpose(1, 2)).mean(dim=2))


def _blocks(sizes: tuple[int, ...], dropout: float) -> nn.Sequential:
    return nn.Sequential(
        *(
            CausalBlock(before, after, dilation=2**depth, dropout=dropout)
            for depth, (before, after) in enumerate(itertools.pairwise(sizes))
        )
    )
