"""An agent on a disk that became read-only: what was committed goes on answering, and nothing else.

No step of an update can be written, so none is taken; `current` is not asked, because it may name a
bundle whose probation was cut off. The server's sockets lie in a folder of their own.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Mapping

from edgewright.chain.agent_parts import slots_of
from edgewright.device.agent import PACKAGE, Home, Progress, Server, ServerProcess, Slots, State
from edgewright.device.agent.journal import lines_of, newest
from edgewright.errors import DeviceError
from edgewright.stores import read_log

LOOK_S = 5.0

logger = logging.getLogger(__name__)


async def serve_frozen(home: Home, server: ServerProcess) -> bool:
    """Serve what was committed and verifies now; whether the disk can be written again.

    Raises:
        ResourceError: no server can be started.
    """
    logger.warning(
        "%s is on a file system that is read-only: what was committed is served; no update, no "
        "rollback, no word to the fleet until it can be written",
        home.root,
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.start()
    try:
        await show_committed(server, slots_of(home, home.settings()), progress_of(home))
        while not stop.is_set() and home.is_read_only:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_S)
    finally:
        await server.stop()
    return not stop.is_set()


def progress_of(home: Home) -> Mapping[str, Progress]:
    """Where each model stands by the journal, which is read and not opened."""
    return newest(lines_of(read_log(home.journal_path)))


async def show_committed(server: Server, slots: Slots, models: Mapping[str, Progress]) -> None:
    """Serve of each model the best committed bundle that verifies and loads."""
    for model in slots.models():
        if model == PACKAGE:
            continue
        for bundle_id in _committed(slots, models.get(model, Progress(model=model))):
            why = await _why_not_shown(server, slots, model, bundle_id)
            if not why:
                logger.warning("model=%s bundle=%s is served", model, bundle_id[:12])
                break
            logger.warning("model=%s bundle=%s is not served: %s", model, bundle_id[:12], why)


def _committed(slots: Slots, progress: Progress) -> tuple[str, ...]:
    """Of a model that the journal lost, what is active was committed once."""
    if progress.committed or progress.state is not State.IDLE:
        return progress.committed
    current = slots.current(progress.model)
    return (current,) if current else ()


async def _why_not_shown(server: Server, slots: Slots, model: str, bundle_id: str) -> str:
    if damage := slots.why_unusable(model, bundle_id):
        return damage
    try:
        await server.show(model, slots.folder(model, bundle_id))
    except DeviceError as error:
        return str(error)
    return ""
