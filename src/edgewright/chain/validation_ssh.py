"""Validation on another machine: its own `edgewright validate` runs there, against the server that
its agent keeps, and the report comes back. So latencies hold no network, and noise and memory are
that machine's. Importing this file needs the extra `ssh`.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from edgewright.chain.validation import ValidationOrder
from edgewright.errors import DeviceError, InputError, TransportError
from edgewright.fleet.push import parse_target
from edgewright.fleet.push.remote import ASK_TIMEOUT_S, CHUNK_BYTES, Remote, RemoteStatus
from edgewright.transports.ssh import SshHost, SshTarget, connected
from edgewright.validate.report import Report, SuiteReport

_SPARE_S = 120.0
_SUITE_S = {"quick": 60.0, "full": 600.0}
_MAKE_FOLDER = ("sh", "-c", "umask 077; mktemp -d")


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where to validate and how to get in; what is empty is found, or left to `~/.ssh`."""

    address: str
    identities: tuple[Path, ...] = ()
    known_hosts: Path | None = None
    config: Path | None = None
    home: str = ""
    program: str = ""


def validate_there(
    asked: ValidationOrder, machine: Machine, *, suite: str | None = None
) -> Report | SuiteReport:
    """Run a validation on a machine and fetch its report.

    Raises:
        TrustError: the machine's key is not the known one.
        TransportError: it, or its server, does not answer.
        InputError: an option that means nothing there.
        DeviceError: it has no edgewright, or no active model of that name.
    """
    return asyncio.run(_validate(asked, machine, suite))


async def _validate(
    asked: ValidationOrder, machine: Machine, suite: str | None
) -> Report | SuiteReport:
    _check(asked)
    parsed = parse_target(machine.address)
    target = SshTarget(
        host=parsed.host,
        user=parsed.user,
        port=parsed.port,
        known_hosts=machine.known_hosts,
        identities=machine.identities,
        config=machine.config,
    )
    async with connected(target) as host:
        remote = await Remote.found(host, program=machine.program, home=machine.home)
        if not remote.facts.edgewright or not remote.facts.home:
            raise DeviceError(
                f"{host.name}: no edgewright with an enrolled agent was found",
                hint="install and enrol it there, or give --edgewright and --agent-home",
            )
        model = _active_model(host, await remote.status(), asked.model)
        folder = await _made_folder(host)
        try:
            arguments = await _arguments(asked, remote, model, folder=folder, suite=suite)
            content = await remote.validate(arguments, timeout_s=_patience_s(asked, suite))
        finally:
            await host.run(("rm", "-rf", folder), timeout_s=ASK_TIMEOUT_S)
    return _named(_decoded(content, host.name, suite), host.name)


def _check(asked: ValidationOrder) -> None:
    """Options that name things of this machine mean nothing there."""
    local = {
        "--reference": asked.accuracy.reference,
        "--admin": asked.admin,
        "--swap-to": asked.swap_to,
        "--wire grpc": asked.way.connect,
        "--loadgen-logs": asked.engine,
    }
    for option, value in local.items():
        if value is not None:
            raise InputError(
                f"{option} cannot be used on {asked.target}", hint="validate on the machine itself"
            )


def _active_model(host: SshHost, status: RemoteStatus, wanted: str | None) -> str:
    active = [one.model for one in status.models if one.active]
    if wanted is not None and wanted not in active:
        raise DeviceError(f"{host.name} has no active model {wanted!r}", hint=f"it has {active}")
    if wanted is None and len(active) != 1:
        raise InputError(f"{host.name} has the models {active}", hint="give --model NAME")
    return wanted or active[0]


async def _arguments(
    asked: ValidationOrder, remote: Remote, model: str, *, folder: str, suite: str | None
) -> list[str]:
    """The command line for the machine: its server, its active bundle, and our files sent there."""
    address, port = await remote.serve_address()
    shown = f"[{address}]" if ":" in address else address
    slot = f"{remote.facts.home}/slots/{model}/current"
    arguments = [f"http://{shown}:{port}", "--model", model, "--bundle", slot]
    arguments += ["--wire", "json" if asked.way.name == "HTTP with JSON" else "binary"]
    arguments += ["--early-stop"] if asked.stops_early else []
    arguments += [f"--{suite}"] if suite else ["--scenario", asked.scenario]
    values = {
        "--rps": asked.rate_rps,
        "--p95-ms": asked.p95_ms,
        "--memory-mb": asked.memory_mb,
        "--seconds": asked.seconds,
        "--connections": asked.connections,
        "--seed": asked.seed,
        "--attempts": asked.attempts,
        "--min-accuracy": asked.accuracy.min_percent,
        "--label-output": asked.accuracy.output or None,
        "--speed": asked.speed,
    }
    for option, value in values.items():
        arguments += [] if value is None else [option, str(value)]
    files = {
        "--golden": asked.golden,
        "--bundle": asked.bundle,
        "--labelled": asked.accuracy.labelled,
        "--recording": asked.recording,
    }
    for option, path in files.items():
        if path is not None:
            arguments += [option, await _sent(remote, path, folder)]
    return arguments


async def _made_folder(host: SshHost) -> str:
    done = await host.run(_MAKE_FOLDER, timeout_s=ASK_TIMEOUT_S)
    folder = done.stdout.decode().strip()
    if done.status != 0 or not folder.startswith("/"):
        raise DeviceError(f"{host.name}: no temporary folder: {done.stderr.decode().strip()}")
    return folder


async def _sent(remote: Remote, path: Path, folder: str) -> str:
    """A file of ours in the machine's folder."""
    there = f"{folder}/{path.name}"
    command = ("sh", "-c", 'cat > "$1"', "edgewright-file", there)
    done = await remote.machine.run(command, stdin=_chunks(path), timeout_s=_SPARE_S * 5)
    if done.status != 0:
        raise DeviceError(f"{remote.machine.name}: {path.name} could not be stored there")
    return there


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _patience_s(asked: ValidationOrder, suite: str | None) -> float:
    if suite is not None:
        return _SUITE_S[suite] + _SPARE_S
    return asked.standard_seconds * asked.attempts * 1.5 + _SPARE_S


def _decoded(content: bytes, name: str, suite: str | None) -> Report | SuiteReport:
    try:
        if suite is None:
            return msgspec.json.decode(content, type=Report)
        return msgspec.json.decode(content, type=SuiteReport)
    except msgspec.DecodeError as error:
        raise TransportError(
            f"{name}: its report is not understood: {error}",
            hint="install the same edgewright on both machines",
        ) from error


def _named(report: Report | SuiteReport, name: str) -> Report | SuiteReport:
    """The report with the machine's name before what was measured there."""
    if isinstance(report, SuiteReport):
        reports = tuple(_of(one, name) for one in report.reports)
        return msgspec.structs.replace(report, reports=reports)
    return _of(report, name)


def _of(report: Report, name: str) -> Report:
    return msgspec.structs.replace(report, subject=f"{name}: {report.subject}")
