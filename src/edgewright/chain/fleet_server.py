"""The fleet's server as a process: its two addresses, its signals.

Apart from `edgewright.chain.fleet`, so that making a token loads no web framework.
"""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import uvloop

from edgewright.chain.fleet import open_fleet
from edgewright.fleet.listening import parse_loopback
from edgewright.fleet.office import Office
from edgewright.fleet.serving import Ready
from edgewright.fleet.serving import serve as serve_office


def serve(home: Path, *, listen: str, devices: str, ready: Callable[[Ready], None]) -> None:
    """Run the fleet's server until SIGINT or SIGTERM.

    Raises:
        InputError: an address that is not on loopback.
        ResourceError: an address is in use.
    """
    people_at = parse_loopback(listen, flag="--listen")
    devices_at = parse_loopback(devices, flag="--devices")

    async def run(office: Office) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await serve_office(office, people=people_at, devices=devices_at, ready=ready, stop=stop)

    with (
        open_fleet(home, create=True) as office,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(run(office))
