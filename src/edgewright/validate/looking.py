"""A run of load that is looked at meanwhile, at the moments of `validate.early`."""

import asyncio
from collections.abc import Awaitable, Callable

from edgewright.measure.load_result import LoadResult
from edgewright.validate.early import LOOKS
from edgewright.validate.load import Loop

Decides = Callable[[LoadResult, float], Awaitable[bool]]
"""Whether what was seen until this second of the run is enough."""


async def run_or_part(loop: Loop) -> LoadResult:
    """The whole run, or after Ctrl-C what was measured until then."""
    try:
        return await loop.run()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        return loop.result()


async def run_with_looks(loop: Loop, decides: Decides | None, *, seconds: float) -> LoadResult:
    """To the end, or to the look that decides."""
    if decides is None:
        return await run_or_part(loop)
    looking = asyncio.create_task(_look(loop, decides, seconds), name="looks at the load")
    try:
        return await run_or_part(loop)
    finally:
        looking.cancel()


async def _look(loop: Loop, decides: Decides, seconds: float) -> None:
    start_s = loop.elapsed_s()
    for share in LOOKS:
        await asyncio.sleep(max(share * seconds - (loop.elapsed_s() - start_s), 0))
        if await decides(loop.result(), loop.elapsed_s()):
            loop.finish()
            return
