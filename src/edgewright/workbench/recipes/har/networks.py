"""The networks to choose from beside `har-quick` and `tcn-vae`, by name."""

from collections.abc import Callable

from torch import nn

from edgewright.workbench.data import triads
from edgewright.workbench.recipes.base import ModelFacts
from edgewright.workbench.recipes.har.branches import STRIDE, BranchedNetwork
from edgewright.workbench.recipes.har.fusion import FusionNetwork
from edgewright.workbench.recipes.har.options import HarOptions
from edgewright.workbench.recipes.har.recurrent import CnnLstm, GruNetwork
from edgewright.workbench.recipes.har.transformer import PATCH, TransformerNetwork

_DEPTH = 3
_GRAVITY = "g"


def _fusion(facts: ModelFacts, options: HarOptions) -> nn.Module:
    return FusionNetwork(
        length=facts.length,
        channels=len(facts.channels),
        classes=len(facts.labels),
        widths=options.widths,
        latent=options.latent,
        triads=tuple(map(tuple, triads(facts.channels).values())),
        dropout=options.dropout,
        masks=options.masks_absent,
    )


def _branches(facts: ModelFacts, options: HarOptions) -> nn.Module:
    sensors = triads(facts.channels)
    weighing = [axes for axes in sensors.values() if facts.channels[axes[0]].unit == _GRAVITY]
    return BranchedNetwork(
        branches=options.branches,
        length=facts.length,
        channels=len(facts.channels),
        classes=len(facts.labels),
        widths=options.widths,
        latent=options.latent,
        triads=tuple(map(tuple, sensors.values())),
        gravity=tuple(weighing[0]) if weighing else (),
        dropout=options.dropout,
        masks=options.masks_absent,
    )


def _gru(facts: ModelFacts, options: HarOptions) -> nn.Module:
    return GruNetwork(
        channels=len(facts.channels),
        classes=len(facts.labels),
        width=options.widths[-1],
        latent=options.latent,
        dropout=options.dropout,
        masks=options.masks_absent,
    )


def _cnn_lstm(facts: ModelFacts, options: HarOptions) -> nn.Module:
    return CnnLstm(
        channels=len(facts.channels),
        classes=len(facts.labels),
        widths=options.widths,
        latent=options.latent,
        dropout=options.dropout,
        masks=options.masks_absent,
    )


def _transformer(facts: ModelFacts, options: HarOptions) -> nn.Module:
    return TransformerNetwork(
        length=facts.length,
        channels=len(facts.channels),
        classes=len(facts.labels),
        width=options.widths[-1],
        depth=_DEPTH,
        latent=options.latent,
        dropout=options.dropout,
        masks=options.masks_absent,
    )


NETWORKS: dict[str, Callable[[ModelFacts, HarOptions], nn.Module]] = {
    "cnn-lstm": _cnn_lstm,
    "gru": _gru,
    "har-branches": _branches,
    "har-fusion": _fusion,
    "transformer": _transformer,
}


def shortest_window(options: HarOptions) -> int:
    """How many samples a window must have for the chosen network."""
    match options.architecture:
        case "transformer":
            return PATCH
        case "gru" | "tcn-vae":
            return 2
        case "har-branches":
            return int(STRIDE * 2 ** len(options.widths))
        case "har-fusion":
            return int(2 ** (len(options.widths) + 1))
        case "har-quick" | "cnn-lstm":
            return int(2 ** len(options.widths))
