"""Keeping a measurement on one core: a process that is moved finds cold caches."""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def pinned() -> Iterator[int | None]:
    """The calling thread stays on one core while the block lasts, and so does what it starts. Gives
    the core's number, None where the system cannot do it.

    >>> with pinned() as core:
    ...     core is None or os.sched_getaffinity(0) == {core}
    True
    """
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    # The last one: the first takes most of the interrupts.
    core = max(before)
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, before)
