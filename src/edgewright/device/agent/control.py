"""Orders to an agent that runs: a socket in its home that only its owner may use.

POST /v1/apply     {"path": FILE}              -> Done
POST /v1/rollback  {"model": M, "reason": R}   -> Done
POST /v1/cancel    {"model": M, "reason": R}   -> Done
"""

import asyncio
from pathlib import Path

import msgspec

from edgewright import errors
from edgewright.clock import Clock
from edgewright.device.agent.agent import Agent
from edgewright.device.agent.daemon import Daemon
from edgewright.device.agent.progress import Progress
from edgewright.errors import EdgewrightError, InputError
from edgewright.transports.http1 import Client, Request, Response, Server, start_server

PATIENCE_S = 3 * 24 * 3600.0


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked for."""

    path: str = ""
    model: str = ""
    reason: str = ""


class Done(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of it: the model's progress, or the error's branch, message and hint."""

    progress: Progress | None = None
    branch: str = ""
    message: str = ""
    hint: str = ""


class Control:
    """The agent's side of the socket."""

    def __init__(self, agent: Agent, daemon: Daemon) -> None:
        self._agent = agent
        self._daemon = daemon

    async def listen(self, path: Path, clock: Clock) -> Server:
        """Take orders on a socket, in a folder of the owner's own, until the server is closed."""
        return await start_server(self._answer, uds=path, clock=clock)

    async def _answer(self, request: Request) -> Response:
        try:
            order = msgspec.json.decode(request.body, type=Order)
            done = Done(progress=await self._obey(request.path, order))
        except msgspec.DecodeError as error:
            done = Done(branch="InputError", message=str(error))
        except EdgewrightError as error:
            done = Done(branch=type(error).__name__, message=error.message, hint=error.hint)
        return Response(status=200, body=msgspec.json.encode(done))

    async def _obey(self, path: str, order: Order) -> Progress:
        """The waiting ends when the asking side leaves; the work goes on."""
        match path:
            case "/v1/apply":
                release = await self._agent.release_of(Path(order.path))
                return await asyncio.shield(self._daemon.submit(release))
            case "/v1/rollback":
                return await asyncio.shield(self._daemon.go_back(order.model, order.reason))
            case "/v1/cancel":
                return await asyncio.shield(self._daemon.cancel(order.model, order.reason))
            case _:
                raise InputError(f"no such order: {path}", hint="apply, rollback or cancel")


async def send_order(socket: Path, name: str, order: Order) -> Progress | None:
    """The asking side: one order to the agent that runs, and what came of it.

    Raises:
        EdgewrightError: the branch that the agent raised, or TransportError when it went away.
    """
    async with Client(uds=socket, timeout_s=PATIENCE_S) as client:
        answer = await client.request("POST", f"/v1/{name}", body=msgspec.json.encode(order))
    done = msgspec.json.decode(answer.body, type=Done)
    if not done.branch:
        return done.progress
    branch = getattr(errors, done.branch, errors.DeviceError)
    if branch is errors.GateError:
        branch = errors.DeviceError
    raise branch(done.message, hint=done.hint)
