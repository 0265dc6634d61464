"""`transformer`: patches of a window that look at each other, as small as a device can carry.

Attention is written out over [batch, heads, patches, width]: exporters keep such products as they
are, where the fused layer of torch becomes something else in every version.
"""

import torch
from torch import nn
from torch.nn import functional

from edgewright.workbench.recipes.har.normalisation import Normalisation
from edgewright.workbench.recipes.har.recurrent import Head

PATCH = 10


class AttentionBlock(nn.Module):
    """Attention and two linear layers, each beside what came in and normalised before."""

    def __init__(self, width: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(width)
        self.before_inner = nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width)
        self.join = nn.Linear(width, width)
        self.inner = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.dropout(self._attended(self.before_attention(x)))
        return torch.as_tensor(x + self.dropout(self.inner(self.before_inner(x))))

    def _attended(self, x: torch.Tensor) -> torch.Tensor:
        patches, width = x.shape[1], x.shape[2]
        parts = self.project(x).reshape(-1, patches, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        scale = (width // self.heads) ** -0.5
        shares = functional.softmax(scale * query @ key.transpose(2, 3), dim=3)
        together = (shares @ value).transpose(1, 2).reshape(-1, patches, width)
        return torch.as_tensor(self.join(together))


class TransformerNetwork(nn.Module):
    """Windows [batch, length, channels] in raw units to `latent` and `logits`."""

    def __init__(
        self,
        *,
        length: int,
        channels: int,
        classes: int,
        width: int,
        depth: int,
        latent: int,
        dropout: float,
        masks: bool,
    ) -> None:
        super().__init__()
        self.patches = length // PATCH
        self.normalisation = Normalisation(channels, masks=masks)
        self.embed_patch = nn.Linear(PATCH * channels, width)
        self.place = nn.Parameter(0.02 * torch.randn(self.patches, width))
        self.blocks = nn.Sequential(
            *(AttentionBlock(width, heads=4, dropout=dropout) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(width)
        self.head = Head(width, latent=latent, classes=classes, dropout=dropout)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        whole = self.normalisation(x)[:, : self.patches * PATCH]
        patches = whole.reshape(-1, self.patches, PATCH * x.shape[2])
        seen = self.norm(self.blocks(self.embed_patch(patches) + self.place))
        latent, logits = self.head(seen.mean(dim=1))
        return latent, logits
