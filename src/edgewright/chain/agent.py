"""What a person has an agent do once: by the agent that runs on a home, or else by this process."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeVar

from edgewright.bundle import Recipient
from edgewright.chain.agent_line import fleet_of
from edgewright.chain.agent_parts import build_agent, home_at, locked, slots_of
from edgewright.chain.agent_stdin import spooled, stdin_name
from edgewright.clock import SystemClock
from edgewright.device.agent import (
    AgentStatus,
    Home,
    NoServer,
    Order,
    Progress,
    read_status,
    send_order,
    write_support_bundle,
)
from edgewright.errors import InputError, ResourceError, TransportError

T = TypeVar("T")


def run_once(home: Path) -> list[Progress]:
    """Ask the fleet once, do what it wants, tell it what came of it."""
    with locked(home_at(home)):
        return asyncio.run(_run_once(home_at(home)))


def apply(path: Path, *, home: Path) -> Progress:
    """Bring a bundle file as far as it gets, by the agent that runs or else by this process.

    Raises:
        EdgewrightError: it was not activated; the error says why, the old model stays.
    """
    place = home_at(home)
    place.require_enrolled()
    if place.is_locked:
        return _ordered(place, "apply", Order(path=str(path.absolute())))
    with locked(place):
        return asyncio.run(_apply(place, path))


def apply_stream(stream: IO[bytes], *, home: Path) -> Progress:
    """The same for a bundle that arrives on a stream."""
    place = home_at(home)
    place.require_enrolled()
    if place.is_locked:
        _require_listening(place)
        path = place.root / f".tmp-{stdin_name()}"
        with spooled(stream, path, slots_of(place, place.settings())):
            return _ordered(place, "apply", Order(path=str(path)))
    with locked(place):
        return asyncio.run(_apply_stream(place, stream))


def rollback(home: Path, *, model: str, reason: str) -> Progress:
    """Return a model to the bundle before; needs no fleet.

    Raises:
        InputError: there is no such model, or nothing to return to.
        DeviceError: no earlier bundle verifies and serves.
    """
    place = home_at(home)
    place.require_enrolled()
    if place.is_locked:
        return _ordered(place, "rollback", Order(model=model, reason=reason))
    with locked(place):
        return asyncio.run(_rollback(place, model, reason))


def cancel(home: Path, *, model: str, reason: str) -> Progress:
    """End a model's update; it goes on with what it ran before.

    Raises:
        InputError: there is no such model, it is idle, or no agent runs on this home.
    """
    place = home_at(home)
    place.require_enrolled()
    if not place.is_locked:
        raise InputError(
            f"no agent runs on {place.root}, so no update is under way",
            hint="an update that was cut off goes on when it starts; `agent rollback` goes back",
        )
    return _ordered(place, "cancel", Order(model=model, reason=reason))


def recipient(home: Path) -> Recipient:
    """Whom bundles for this device are encrypted to; its key is made when there is none.

    Raises:
        InputError: the device was not enrolled.
    """
    place = home_at(home)
    place.require_enrolled()
    return place.recipient()


def status(home: Path) -> AgentStatus:
    """What the home says, whether an agent runs or not."""
    place = home_at(home)
    slots = slots_of(place, place.settings())
    return read_status(place, slots, wall_s=SystemClock().wall_s())


def support_bundle(home: Path, output: Path) -> tuple[str, ...]:
    """Gather in one file what somebody needs who helps from afar; returns the names of its parts.

    Raises:
        InputError: there is no such home.
        ResourceError: the disk is full or failed.
    """
    at_s = SystemClock().wall_s()
    return write_support_bundle(output, home_at(home), status=lambda: status(home), at_s=at_s)


async def _run_once(home: Home) -> list[Progress]:
    async with fleet_of(home) as fleet:
        agent = build_agent(home, server=NoServer(), offload=_inline, fleet=fleet)
        await agent.settle()
        return await agent.follow_once()


async def _apply(home: Home, path: Path) -> Progress:
    agent = build_agent(home, server=NoServer(), offload=_inline)
    await agent.settle()
    return await agent.apply(path)


async def _apply_stream(home: Home, stream: IO[bytes]) -> Progress:
    agent = build_agent(home, server=NoServer(), offload=_inline)
    await agent.settle()
    path = home.downloads / stdin_name()
    with spooled(stream, path, agent.tools.slots):
        return await agent.apply(path)


async def _rollback(home: Home, model: str, reason: str) -> Progress:
    agent = build_agent(home, server=NoServer(), offload=_inline)
    await agent.settle()
    return await agent.go_back(reason, agent.update(agent.only_model(model)))


async def _inline(work: Callable[[], T]) -> T:
    """Blocking work where nothing else is waiting: one thread, one order of writes."""
    return work()


def _ordered(home: Home, name: str, order: Order) -> Progress:
    _require_listening(home)
    progress = asyncio.run(send_order(home.control_socket, name, order))
    if progress is None:
        raise TransportError(f"the agent did not say what came of {name!r}", hint="ask its status")
    return progress


def _require_listening(home: Home) -> None:
    """Pass when whoever holds the home's lock takes orders.

    Raises:
        ResourceError: it is a command that is soon done, or an agent that is not there yet.
    """
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(str(home.control_socket))
        except (FileNotFoundError, ConnectionRefusedError) as error:
            if home.is_read_only:
                raise ResourceError(
                    f"{home.root} is on a file system that is read-only: its agent serves what was "
                    "committed and takes no orders",
                    hint="replace the medium (see dmesg), or mount it for writing",
                ) from error
            raise ResourceError(
                f"another command works on {home.root} (an apply or a rollback), or its agent is "
                "still starting",
                hint="wait until that is done, then run the command again",
            ) from error
        except OSError:
            return  # the order itself says what is wrong
