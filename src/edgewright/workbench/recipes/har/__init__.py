"""Human activity recognition on windows of inertial sensors.

The credo (each was got wrong by somebody before): classes by name, people on one side only,
normalisation fitted on training windows and shipped inside the graph, the mean of z at evaluation.

    >>> from edgewright.contract import Channel
    >>> from edgewright.workbench.recipes.base import ModelFacts
    >>> channels = tuple(Channel(name=f"acc_{axis}", unit="g") for axis in "xyz")
    >>> facts = ModelFacts(length=100, channels=channels, labels=("walk", "sit"), rate_hz=50.0)
    >>> HarRecipe().contract(facts).output("logits").shape
    ('batch', 2)
"""

from edgewright.workbench.recipes.har.augment import augment, rotations
from edgewright.workbench.recipes.har.options import (
    AugmentOptions,
    HarOptions,
    MergeOptions,
    SplitOptions,
    VaeOptions,
)
from edgewright.workbench.recipes.har.quick import QuickNetwork
from edgewright.workbench.recipes.har.recipe import HarRecipe
from edgewright.workbench.recipes.har.tcn_vae import TcnVae

__all__ = [
    "AugmentOptions",
    "HarOptions",
    "HarRecipe",
    "MergeOptions",
    "QuickNetwork",
    "SplitOptions",
    "TcnVae",
    "VaeOptions",
    "augment",
    "rotations",
]
