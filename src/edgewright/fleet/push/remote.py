"""The other machine's agent, through its command line: what it is, what it runs, orders to it."""

import shlex
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from edgewright.errors import (
    DeviceError,
    EdgewrightError,
    GateError,
    InputError,
    ResourceError,
    TransportError,
    TrustError,
    UnavailableError,
)
from edgewright.evidence import INVALID_EXIT_CODE
from edgewright.fleet.push.checks import Facts, parse_facts
from edgewright.fleet.push.ports import Ended, Machine

ASK_TIMEOUT_S = 90.0
CHUNK_BYTES = 256 << 10
HOMES = ("/var/lib/edgewright", "$HOME/.local/share/edgewright/agent")
PROGRAMS = (
    "$(command -v edgewright)",
    "$HOME/.local/bin/edgewright",
    "$HOME/.local/share/edgewright/venv/bin/edgewright",
    "/opt/edgewright/bin/edgewright",
)

T = TypeVar("T")

_VERDICTS = (0, GateError.exit_code, INVALID_EXIT_CODE)

# Runs in any POSIX shell. $1: the program and $2: the home, both empty when they are to be found.
_PROBE = f"""
edgewright=$1 home=$2
if [ -z "$edgewright" ]; then
  for one in {" ".join(f'"{program}"' for program in PROGRAMS)}; do
    if [ -n "$one" ] && [ -x "$one" ]; then edgewright=$one; break; fi
  done
fi
if [ -z "$home" ]; then
  for one in "$EDGEWRIGHT_AGENT_HOME" {" ".join(f'"{home}"' for home in HOMES)}; do
    if [ -n "$one" ] && [ -e "$one/identity.json" ]; then home=$one; break; fi
  done
fi
echo "arch=$(uname -m)"
echo "clock=$(date +%s)"
echo "memory_kb=$(sed -n 's/^MemAvailable: *\\([0-9]*\\).*/\\1/p' /proc/meminfo)"
place=$home
while [ -n "$place" ] && [ ! -d "$place" ]; do place=$(dirname "$place"); done
echo "disk_kb=$(df -Pk "${{place:-/}}" | sed -n '2s/.* \\([0-9][0-9]*\\)  *[0-9]*% .*/\\1/p')"
echo "edgewright=$edgewright"
if [ -n "$edgewright" ]; then echo "version=$($edgewright --version 2>/dev/null | tail -n 1)"; fi
echo "home=$home"
if $edgewright agent status --home "$home" --json >/dev/null 2>&1; then echo "enrolled=yes"; fi
"""

_BRANCHES: dict[int, type[EdgewrightError]] = {
    kind.exit_code: kind
    for kind in (
        InputError,
        UnavailableError,
        TransportError,
        TrustError,
        DeviceError,
        ResourceError,
    )
}


class RemoteModel(msgspec.Struct, frozen=True):
    """A model on the machine."""

    model: str
    state: str
    active: str
    version: str = ""


class RemoteStatus(msgspec.Struct, frozen=True):
    """What `agent status` says there, as far as pushing needs it."""

    is_running: bool
    models: tuple[RemoteModel, ...] = ()

    def active(self, model: str) -> str:
        """The bundle that a model has active; empty when it has none."""
        return next((one.active for one in self.models if one.model == model), "")


class Doctor(msgspec.Struct, frozen=True):
    """What `doctor` says there."""

    engines: tuple["Engine", ...] = ()


class Engine(msgspec.Struct, frozen=True):
    """One engine there."""

    name: str
    available: bool
    formats: tuple[str, ...] = ()


class _Settings(msgspec.Struct, frozen=True):
    serve_http: str = "127.0.0.1:8000"


class Remote:
    """An agent's home on a machine, and the program that works on it."""

    def __init__(self, machine: Machine, facts: Facts) -> None:
        self.machine = machine
        self.facts = facts

    @classmethod
    async def found(cls, machine: Machine, *, program: str = "", home: str = "") -> "Remote":
        """Look around on a machine.

        Raises:
            TransportError: the link broke, or what it says is not understood.
        """
        command = ("sh", "-c", _PROBE, "edgewright-probe", program, home)
        done = await machine.run(command, timeout_s=ASK_TIMEOUT_S)
        return cls(machine, parse_facts(done.stdout))

    async def status(self) -> RemoteStatus:
        """What its agent has."""
        done = await self._agent("status")
        return _decoded(done, RemoteStatus, self.machine)

    async def formats(self) -> tuple[str, ...]:
        """The formats that its engines run."""
        command = (*self._program, "doctor", "--json")
        done = await self.machine.run(command, timeout_s=ASK_TIMEOUT_S)
        engines = _decoded(done, Doctor, self.machine).engines
        return tuple(one for engine in engines if engine.available for one in engine.formats)

    async def serve_address(self) -> tuple[str, int]:
        """Where its server listens, as its `agent.toml` says."""
        path = f"{self.facts.home}/agent.toml"
        command = ("sh", "-c", 'if [ -e "$1" ]; then cat "$1"; fi', "edgewright-settings", path)
        done = await self.machine.run(command, timeout_s=ASK_TIMEOUT_S)
        try:
            settings = msgspec.toml.decode(done.stdout, type=_Settings)
            host, _, port = settings.serve_http.rpartition(":")
            return host.strip("[]") or "127.0.0.1", int(port)
        except (msgspec.DecodeError, ValueError) as error:
            raise InputError(f"{self.machine.name}: {path}: {error}") from error

    async def apply(self, bundle: Path, *, timeout_s: float) -> None:
        """Send a bundle and let the agent bring it as far as it gets.

        Raises:
            EdgewrightError: the agent's own branch, with its own words.
            TransportError: the link broke; the agent keeps what it had.
        """
        await self._agent("apply", "-", stdin=_chunks(bundle), timeout_s=timeout_s)

    async def rollback(self, model: str, *, reason: str, timeout_s: float) -> None:
        """Return a model to the bundle before."""
        await self._agent("rollback", "--model", model, "--reason", reason, timeout_s=timeout_s)

    async def validate(self, arguments: Sequence[str], *, timeout_s: float) -> bytes:
        """What `validate --json` says there, whatever its verdict.

        Raises:
            EdgewrightError: the machine's own branch, with its own words.
        """
        command = (*self._program, "validate", *arguments, "--json")
        done = await self.machine.run(command, timeout_s=timeout_s)
        if done.status not in _VERDICTS:
            raise _refusal(self.machine, "validate", done)
        return done.stdout

    async def measure(self, arguments: Sequence[str], *, timeout_s: float) -> bytes:
        """What `measure` says there.

        Raises:
            EdgewrightError: the machine's own branch, with its own words.
        """
        command = (*self._program, "measure", *arguments)
        done = await self.machine.run(command, timeout_s=timeout_s)
        if done.status != 0:
            raise _refusal(self.machine, "measure", done)
        return done.stdout

    async def enrol(self, name: str, key_paths: Sequence[str]) -> None:
        """Pin keys on a machine that no fleet reaches."""
        keys = [part for path in key_paths for part in ("--key", path)]
        await self._agent("enroll", "--device", name, *keys)

    async def _agent(
        self,
        *arguments: str,
        stdin: AsyncIterator[bytes] | None = None,
        timeout_s: float = ASK_TIMEOUT_S,
    ) -> Ended:
        command = (*self._program, "agent", *arguments, "--home", self.facts.home, "--json")
        done = await self.machine.run(command, stdin=stdin, timeout_s=timeout_s)
        if done.status != 0:
            raise _refusal(self.machine, f"agent {arguments[0]}", done)
        return done

    @property
    def _program(self) -> tuple[str, ...]:
        """The program may be several words: a container's, by `docker compose exec -T NAME ...`."""
        return tuple(shlex.split(self.facts.edgewright))


def _refusal(machine: Machine, what: str, done: Ended) -> EdgewrightError:
    """The machine's own error, as one of the same branch here."""
    lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
    text = (
        " ".join(line.removeprefix("error: ") for line in lines[-3:])[-600:]
        or f"exit status {done.status}"
    )
    message = f"{machine.name}: {what}: {text}"
    if done.status == GateError.exit_code:
        return DeviceError(message)
    return _BRANCHES.get(done.status, DeviceError)(message)


def _decoded(done: Ended, kind: type[T], machine: Machine) -> T:
    try:
        return msgspec.json.decode(done.stdout, type=kind)
    except msgspec.DecodeError as error:
        said = done.stderr.decode(errors="replace").strip()[-300:]
        raise TransportError(
            f"{machine.name}: its answer is not understood: {error}; it says: {said!r}",
            hint="install the same edgewright on both machines",
        ) from error


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
