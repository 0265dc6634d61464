"""Which processes measure logos: those of this machine, or Ray's workers."""

from edgewright.chain.ray_parts import ray_part
from edgewright.errors import InputError
from edgewright.workbench.recipes.svg.spreading import Spread, in_processes


def spread_for(engine: str, cluster: str = "") -> Spread:
    """The way to measure that an engine's name and a Ray cluster's address stand for.

    Raises:
        InputError: an engine that nobody knows.
        UnavailableError: the engine is not installed.
    """
    if engine == "processes":
        return in_processes
    if engine != "ray":
        raise InputError(f"engine {engine!r}", hint="choose processes or ray")
    spread: Spread = ray_part("tracing_ray").ray_spread(cluster)
    return spread
