"""Where a server looks something up. In a file that takes microseconds and happens at once; in a
database beyond a network it happens in another thread, so that a host that is away holds up who
asked and nobody else.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from edgewright.errors import ResourceError
from edgewright.fleet.state import State

T = TypeVar("T")

LOOK_LIMIT_S = 15.0


async def looked(state: State, work: Callable[[], T]) -> T:
    """What `work` finds in a state; it changes nothing there.

    Raises:
        ResourceError: the database does not answer in time.
    """
    if state.is_local:
        return work()
    try:
        async with asyncio.timeout(LOOK_LIMIT_S):
            return await asyncio.to_thread(work)
    except TimeoutError as error:
        raise ResourceError(
            f"the fleet's database did not answer within {LOOK_LIMIT_S:g} s",
            hint="check its host and the network",
        ) from error
