"""Validation on another machine: its own `edgewright validate` runs there, against the server that
its agent keeps, and the report comes back. So latencies hold no network, and noise and memory are
that machine's. Importing this file needs the extra `ssh`.
"""

import asyncio
from pathlib import Path

import msgspec

from edgewright.chain.ssh_folder import RemoteFolder, remote_folder
from edgewright.chain.ssh_machine import SshMachine
from edgewright.errors import DeviceError, InputError, TransportError
from edgewright.fleet.push.remote import Remote, RemoteStatus
from edgewright.transports.ssh import SshHost, connected
from edgewright.validate.report import Report, SuiteReport
from edgewright.validate.suite import Machine as MachinePart
from edgewright.validate.suite import Reports as ReportsPart
from edgewright.validate.suite import Server as ServerPart
from edgewright.validate.suite import Suite

_SPARE_S = 120.0


class There(msgspec.Struct, frozen=True, kw_only=True):
    """What is to run there: a suite, and which of its scenarios. `flags` choose one that the suite
    does not list, or a set of them; `expected_s` is how long it takes when nothing is repeated.
    """

    suite: Suite
    flags: tuple[str, ...] = ()
    is_set: bool = False
    expected_s: float


def validate_there(asked: There, machine: SshMachine) -> Report | SuiteReport:
    """Run a validation on a machine and fetch its report.

    Raises:
        TrustError: the machine's key is not the known one.
        TransportError: it, or its server, does not answer.
        InputError: an option that means nothing there.
        DeviceError: it has no edgewright, or no active model of that name.
    """
    return asyncio.run(_validate(asked, machine))


async def _validate(asked: There, machine: SshMachine) -> Report | SuiteReport:
    _check(asked.suite)
    _files_of(_for_there(asked.suite))
    async with connected(machine.target) as host:
        remote = await Remote.found(host, program=machine.program, home=machine.home)
        if not remote.facts.edgewright or not remote.facts.home:
            raise DeviceError(
                f"{host.name}: no edgewright with an enrolled agent was found",
                hint="install and enrol it there, or say where it is: --agent-home, and in a suite "
                "file [machine] edgewright",
            )
        model = _active_model(host, await remote.status(), asked.suite.model)
        async with remote_folder(host) as folder:
            arguments = await _arguments(asked, remote, model, folder=folder)
            try:
                content = await remote.validate(arguments, timeout_s=_patience_s(asked))
            except TransportError as error:
                hint = "if nothing serves there: start its agent, edgewright agent run"
                raise TransportError(str(error), hint=hint) from error
    return _named(_decoded(content, host.name, is_set=asked.is_set), host.name)


def _check(suite: Suite) -> None:
    """What names things of this machine means nothing there."""
    loads = (suite.load, *suite.scenarios)
    local = {
        "[truth] reference": suite.truth.reference,
        "[server] admin": suite.server.admin,
        "[server] swap_to": suite.server.swap_to,
        "wire grpc": suite.wire == "grpc",
        "loadgen_logs": any(load.loadgen_logs for load in loads),
    }
    for key, value in local.items():
        if value:
            raise InputError(
                f"{key} cannot be used on {suite.target}", hint="validate on the machine itself"
            )


def _active_model(host: SshHost, status: RemoteStatus, wanted: str) -> str:
    active = [one.model for one in status.models if one.active]
    if not active:
        raise DeviceError(f"{host.name} has no active model", hint="push one to it first")
    if wanted and wanted not in active:
        raise DeviceError(
            f"{host.name} has no active model {wanted!r}", hint=f"it has {', '.join(active)}"
        )
    if not wanted and len(active) != 1:
        raise InputError(
            f"{host.name} has the models {', '.join(active)}", hint="give --model NAME"
        )
    return wanted or active[0]


async def _arguments(
    there: There, remote: Remote, model: str, *, folder: RemoteFolder
) -> list[str]:
    """The command line for the machine: a suite of its server and its active bundle, with our files
    sent there.
    """
    address, port = await remote.serve_address()
    shown = f"[{address}]" if ":" in address else address
    suite = _for_there(there.suite)
    wanted = _files_of(suite)
    for number, path in enumerate(wanted):
        wanted[path] = await folder.send(Path(path), f"{number}-{Path(path).name}")
    suite = suite.with_paths(wanted.__getitem__)
    slot = f"{remote.facts.home}/slots/{model}/current"
    suite = msgspec.structs.replace(
        suite,
        target=f"http://{shown}:{port}",
        model=model,
        truth=msgspec.structs.replace(suite.truth, bundle=suite.truth.bundle or slot),
    )
    path = await folder.send_bytes(msgspec.json.encode(suite), "suite.json")
    return ["--suite", path, *there.flags]


def _for_there(suite: Suite) -> Suite:
    """Without what is done here: getting in, and writing reports."""
    return msgspec.structs.replace(
        suite, machine=MachinePart(), reports=ReportsPart(), server=ServerPart()
    )


def _files_of(suite: Suite) -> dict[str, str]:
    """The files that a suite names.

    Raises:
        InputError: one of them is not there.
    """
    found: dict[str, str] = {}
    suite.with_paths(lambda text: found.setdefault(text, text))
    for name in found:
        if not Path(name).is_file():
            raise InputError(f"no such file: {name}", hint="check its name")
    return found


def _patience_s(there: There) -> float:
    if there.is_set:
        return 2 * there.expected_s + _SPARE_S
    return there.expected_s * there.suite.attempts * 1.5 + _SPARE_S


def _decoded(content: bytes, name: str, *, is_set: bool) -> Report | SuiteReport:
    try:
        if is_set:
            return msgspec.json.decode(content, type=SuiteReport)
        return msgspec.json.decode(content, type=Report)
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
