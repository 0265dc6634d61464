"""Who measures: this process, several of this machine, or whoever a `Spread` hands the work to."""

import itertools
import multiprocessing
import os
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import NamedTuple

from edgewright._pictures import Picture
from edgewright.workbench.recipes.svg.settings import Settings
from edgewright.workbench.recipes.svg.tracing import Row, measure_logo


class Work(NamedTuple):
    """One picture and the settings that it is to be measured with."""

    picture: Picture
    settings: tuple[Settings, ...]


Measured = Generator[tuple[str, tuple[Row, ...]], None, None]

Spread = Callable[[Mapping[str, Work], int], Measured]
"""Measures works by name, at most so many at a time (0: as many as there are cores); rows come as
they are finished, in any order. Whoever stops early closes it, which ends what it started.
"""


def in_processes(works: Mapping[str, Work], processes: int) -> Measured:
    """On the cores of this machine. A few works wait in the queue, so that Ctrl-C ends it soon."""
    count = processes or len(os.sched_getaffinity(0))
    if count == 1 or len(works) < 2:
        for name, work in works.items():
            yield name, measure_logo(*work)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(count, len(works)), mp_context=context) as pool:
        names = iter(works)
        running: dict[Future[tuple[Row, ...]], str] = {}
        while True:
            for name in itertools.islice(names, max(2 * count - len(running), 0)):
                running[pool.submit(measure_logo, *works[name])] = name
            if not running:
                return
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                yield running.pop(future), future.result()
