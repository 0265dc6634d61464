"""Ends tasks whose libraries may lose a cancellation.

Before Python 3.12 `asyncio.wait_for` returns its result, and drops the cancellation, when both come
in the same pass of the event loop; the clients of MQTT and AMQP wait that way. What was cancelled
goes on for ever then, and whoever cancelled it waits as long.
"""

import asyncio
from typing import Any

AGAIN_S = 2.0
"""How long a cancelled task may take to hang up in order before it is cancelled again."""


async def ended(*tasks: asyncio.Future[Any], again_s: float = AGAIN_S) -> None:
    """Cancel until all are over. What they raise is theirs: look at the tasks for it."""
    waiting = {task for task in tasks if not task.done()}
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=again_s)
