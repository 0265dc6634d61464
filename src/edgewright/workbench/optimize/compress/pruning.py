"""Structured pruning: whole channels, and every other tap of long kernels.

Zeros between other weights make nothing faster; a layer with fewer channels does. Which channels
hang together (a residual sum, a concatenation) is torch-pruning's business.
"""

import warnings
from collections.abc import Iterator

import torch
import torch_pruning
from torch import nn

from edgewright.errors import UnavailableError
from edgewright.workbench.recipes import Inputs

_MULTIPLE_OF = 8
"""Widths that vector units fill."""

_MIN_TAPS = 3


def without_channels(module: nn.Module, example: Inputs, share: float) -> nn.Module:
    """The module with that share of each layer's channels gone, the least heavy ones, in place.
    What it gives keeps its shape.

    Raises:
        UnavailableError: torch-pruning cannot follow this network's shapes.
    """
    before = _answers(module, example)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pruner = torch_pruning.pruner.BasePruner(
                module,
                example,
                importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
                pruning_ratio=share,
                ignored_layers=_last_layers(module, example),
                round_to=_MULTIPLE_OF,
            )
            pruner.step()
        after = _answers(module, example)
    except Exception as error:
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise UnavailableError(f"this network cannot be pruned: {reason[0][:200]}") from error
    if [answer.shape for answer in after] != [answer.shape for answer in before]:
        raise UnavailableError("this network cannot be pruned: its answers would change shape")
    return module


def without_taps(module: nn.Module) -> nn.Module:
    """Convolutions over time with every other tap gone and twice the dilation: the same view for
    two thirds (three taps) or less of the work, in place.

    Raises:
        UnavailableError: no convolution has three taps or more along one axis.
    """
    found = [
        (parent, name, part)
        for parent in module.modules()
        for name, part in parent.named_children()
        if isinstance(part, (nn.Conv1d, nn.Conv2d)) and _can_lose_taps(part)
    ]
    if not found:
        raise UnavailableError("no convolution over time has taps to lose")
    for parent, name, part in found:
        setattr(parent, name, _thinned(part))
    return module


def _can_lose_taps(layer: nn.Conv1d | nn.Conv2d) -> bool:
    taps = layer.kernel_size[-1]
    along_time = all(size == 1 for size in layer.kernel_size[:-1])
    return along_time and taps >= _MIN_TAPS and taps % 2 == 1 and layer.padding_mode == "zeros"


def _thinned(layer: nn.Conv1d | nn.Conv2d) -> nn.Module:
    """A tap that goes is shared out to its neighbours, whose mean a signal is about there."""
    taps = (layer.kernel_size[-1] + 1) // 2
    kernel = (*layer.kernel_size[:-1], taps)
    dilation = (*layer.dilation[:-1], layer.dilation[-1] * 2)
    made = type(layer)(
        layer.in_channels,
        layer.out_channels,
        kernel,  # type: ignore[arg-type]  # as long as the layer's own
        stride=layer.stride,  # type: ignore[arg-type]
        padding=layer.padding,  # type: ignore[arg-type]
        dilation=dilation,  # type: ignore[arg-type]
        groups=layer.groups,
        bias=layer.bias is not None,
    )
    with torch.no_grad():
        weight = layer.weight[..., 0::2].clone()
        lost = layer.weight[..., 1::2]
        weight[..., :-1] += lost / 2
        weight[..., 1:] += lost / 2
        made.weight.copy_(weight)
        if layer.bias is not None and made.bias is not None:
            made.bias.copy_(layer.bias)
    return made


def _last_layers(module: nn.Module, example: Inputs) -> list[nn.Module]:
    """Layers whose own result is an answer of the module: their width was promised."""
    seen: list[tuple[nn.Module, torch.Tensor]] = []
    hooks = [
        part.register_forward_hook(lambda part, _, out: seen.append((part, out)))
        for part in _layers(module)
    ]
    try:
        answers = _answers(module, example)
    finally:
        for hook in hooks:
            hook.remove()
    return [part for part, out in seen if any(out is answer for answer in answers)]


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)
    return (part for part in module.modules() if isinstance(part, kinds))


def _answers(module: nn.Module, example: Inputs) -> tuple[torch.Tensor, ...]:
    module.eval()
    with torch.no_grad():
        return tuple(module(*example))
