"""Predicts how faithful a logo's SVG will be for a choice of the tracer's parameters.

`settings` declares the parameters once, `factory` measures real rows, `features` are the ports to
what a network is told about a picture, `recommending` uses a trained network on a new one.
"""

from edgewright.workbench.recipes.svg.recipe import SvgQuality

__all__ = ["SvgQuality"]
