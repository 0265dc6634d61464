"""Logos traced on Ray's workers (extra `ray`), here or on the machines of a cluster.

Every machine needs `edgewright[svg]`. A picture is a task: those of a machine that fails are done
by others.
"""

from collections.abc import Iterator

import ray

from edgewright._pictures import Picture
from edgewright.chain.training_ray import start_ray
from edgewright.errors import ResourceError
from edgewright.workbench.recipes.svg.factory import Row, measure_logo
from edgewright.workbench.recipes.svg.settings import Settings

_WAITING = 4
"""So many tasks for each core are handed over at a time, so that Ctrl-C ends it soon."""


def trace_on_ray(
    wanted: dict[str, tuple[Settings, ...]], pictures: dict[str, Picture], processes: int
) -> Iterator[tuple[str, tuple[Row, ...]]]:
    """Rows as they are finished. `processes` above 0 is how many tasks run at a time.

    Raises:
        UnavailableError: Ray does not start here.
        ResourceError: a task failed on every machine.
    """
    start_ray()
    cores = int(ray.cluster_resources().get("CPU", 1))
    at_once = processes or _WAITING * cores
    task = ray.remote(measure_logo)
    names = iter(wanted)
    running: dict[ray.ObjectRef, str] = {}
    try:
        while True:
            for name in names:
                running[task.remote(pictures[name], wanted[name])] = name
                if len(running) >= at_once:
                    break
            if not running:
                return
            (done, *_), _ = ray.wait(list(running), num_returns=1)
            yield running.pop(done), ray.get(done)
    except ray.exceptions.RayError as error:
        raise ResourceError(
            f"a Ray task failed: {error}", hint="run it again, what was measured is kept"
        ) from error
    finally:
        for left in running:
            ray.cancel(left, force=True)
