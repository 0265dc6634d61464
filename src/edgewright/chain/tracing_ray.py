"""Logos traced by Ray's workers, on the cores of this machine or on the machines of a cluster
(extra `ray`).

Every machine needs `edgewright[svg]`. A picture is a task: those of a machine that fails are done
by others. Rows are the same wherever they are measured, as long as the tools are, so each task says
what measured it, and another version is refused.
"""

import itertools
import os
from collections.abc import Mapping
from typing import Any

import ray

from edgewright.chain.ray_node import ray_running
from edgewright.errors import ResourceError
from edgewright.workbench.recipes.svg.spreading import Measured, Spread, Work
from edgewright.workbench.recipes.svg.tracing import TOOLS, Row, measure_logo

_WAITING = 2
"""So many tasks for each core are handed over at a time, so that Ctrl-C ends it soon."""


def ray_spread(cluster: str = "") -> Spread:
    """Measure on the cluster of an address; without one, on a node that is started here."""

    def spread(works: Mapping[str, Work], processes: int) -> Measured:
        if not works:
            return
        cores = processes or len(os.sched_getaffinity(0))
        with ray_running(cores, cluster=cluster):
            resources: Any = ray.cluster_resources  # it carries no types
            at_once = processes or int(resources().get("CPU", 1))
            yield from _finished(works, at_once)

    return spread


def _finished(works: Mapping[str, Work], at_once: int) -> Measured:
    task = ray.remote(_measure)
    names = iter(works)
    running: dict[Any, str] = {}
    try:
        while True:
            for name in itertools.islice(names, max(_WAITING * at_once - len(running), 0)):
                running[task.remote(works[name])] = name
            if not running:
                return
            (done, *_), _ = ray.wait(list(running), num_returns=1)
            name = running.pop(done)
            tools, rows = ray.get(done)
            if tools != TOOLS:
                raise ResourceError(
                    f"a machine of the cluster traces with {tools}, this one with {TOOLS}",
                    hint="install the same versions; what was measured is kept",
                )
            yield name, rows
    except ray.exceptions.RayError as error:
        raise ResourceError(
            f"a Ray task failed: {error}",
            hint="every machine needs edgewright[svg]; run it again, what was measured is kept",
        ) from error
    finally:
        for left in running:
            ray.cancel(left)


def _measure(work: Work) -> tuple[dict[str, str], tuple[Row, ...]]:
    return TOOLS, measure_logo(*work)
