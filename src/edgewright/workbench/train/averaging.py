"""A running mean of weights, which generalises better than the last step's."""

from typing import Any

import torch
from torch import nn


class Averaged:
    """An exponential mean of a module's state; statistics of batch norm are averaged with it.

    Early on the mean is over the steps seen so far, so that the start leaves no trace.
    """

    def __init__(self, module: nn.Module, *, decay: float) -> None:
        self._decay = decay
        self.state = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, *, step: int) -> None:
        """Take in the weights after a step, counted from 0."""
        share = 1.0 - min(self._decay, (step + 1) / (step + 10))
        ours, theirs = [], []
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                ours.append(self.state[name])
                theirs.append(value)
            else:
                self.state[name].copy_(value)
        torch._foreach_lerp_(ours, theirs, share)

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        for name, value in state.items():
            self.state[name].copy_(value)
