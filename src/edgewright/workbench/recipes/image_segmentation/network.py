"""A U-Net of three levels; with `width` 16 it is the reference model unet-16."""

import torch
from torch import nn


def _twice(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(),
        nn.Conv2d(outside, outside, 3, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(),
    )


class UNet(nn.Module):
    """Pictures [rows, height, width, 3] of 0 to 255 to logits [rows, classes, height, width]."""

    def __init__(self, *, classes: int, width: int) -> None:
        super().__init__()
        self.first = _twice(3, width)
        self.second = _twice(width, 2 * width)
        self.third = _twice(2 * width, 4 * width)
        self.up_second = nn.ConvTranspose2d(4 * width, 2 * width, 2, stride=2)
        self.again_second = _twice(4 * width, 2 * width)
        self.up_first = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.again_first = _twice(2 * width, width)
        self.head = nn.Conv2d(width, classes, 1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        first = self.first(image.permute(0, 3, 1, 2) / 127.5 - 1)
        second = self.second(self.pool(first))
        third = self.third(self.pool(second))
        x = self.again_second(torch.cat([self.up_second(third), second], dim=1))
        x = self.again_first(torch.cat([self.up_first(x), first], dim=1))
        return (self.head(x),)
