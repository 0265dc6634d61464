"""Bringing a bundle to a machine: look, send, watch, examine, and take it back if it is unhealthy.

The machine's own agent verifies, probes and swaps; its old model stays until the new one passed. A
link that breaks in the middle leaves the agent with what it had.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from edgewright.bundle import Manifest
from edgewright.clock import Clock
from edgewright.errors import DeviceError, EdgewrightError, InputError
from edgewright.fleet.push.checks import Check, Need, prechecks
from edgewright.fleet.push.downtime import Downtime, Watch, watched
from edgewright.fleet.push.enrolling import enrolled
from edgewright.fleet.push.installing import Installer
from edgewright.fleet.push.ports import Asked, Examiner, Machine
from edgewright.fleet.push.remote import Remote, RemoteStatus
from edgewright.fleet.push.report import Action, HostReport
from edgewright.fleet.push.wheelhouse import PACKAGE, Wheel


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be pushed."""

    path: Path
    bundle_id: str
    manifest: Manifest
    file_size_bytes: int


class PushOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How. With `wheels` a machine is given the package first, with `extras` beside those that it
    has, in `venv` or the usual place; with `keys` (contents of .pub files) a machine that has no
    agent's home gets one that trusts them.
    """

    timeout_s: float = 1800.0
    home: str = ""
    edgewright: str = ""
    wheels: tuple[Wheel, ...] = ()
    venv: str = ""
    extras: tuple[str, ...] = ()
    keys: tuple[bytes, ...] = ()


class Pusher:
    """One push to one machine; `report` says what came of it, also after an error. Without a parcel
    it only brings the package.
    """

    def __init__(
        self,
        machine: Machine,
        parcel: Parcel | None,
        options: PushOptions,
        *,
        clock: Clock,
        examiner: Examiner,
    ) -> None:
        self._machine = machine
        self._parcel = parcel
        self._options = options
        self._clock = clock
        self._examiner = examiner
        self._checks: list[Check] = []
        self._downtime: Downtime | None = None
        self._before = self._after = ""

    async def push(self) -> HostReport:
        """Bring the bundle to the machine."""
        return await self._reported(self._push)

    async def roll_back(self) -> HostReport:
        """Return the machine to what it ran before this bundle."""
        return await self._reported(self._roll_back)

    async def _push(self) -> Action:
        self._note_host_key()
        program, is_changed = await self._given_package()
        if self._is_unfit:
            return "refused"
        if self._parcel is None:
            return "installed" if is_changed else "nothing to do"
        return await self._push_parcel(self._parcel, await self._look_around(program))

    async def _push_parcel(self, parcel: Parcel, remote: Remote) -> Action:
        status = await remote.status()
        self._before = self._after = status.active(self._model)
        if self._before == parcel.bundle_id:
            return "nothing to do"
        self._checks += prechecks(
            remote.facts,
            Need.of(parcel.manifest, parcel.file_size_bytes),
            formats=await remote.formats(),
            now_s=self._clock.wall_s(),
        )
        if self._is_unfit:
            return "refused"
        async with self._served(remote, status) as address:
            apply = remote.apply(parcel.path, timeout_s=self._options.timeout_s)
            await self._watched(address if self._before else "", apply)
            await self._look_again(remote, parcel.bundle_id)
            await self._examine(address, has_golden=True)
            if self._is_healthy:
                return "pushed"
            await remote.rollback(
                self._model, reason="push: unhealthy", timeout_s=self._options.timeout_s
            )
            self._after = (await remote.status()).active(self._model)
            return "returned"

    async def _roll_back(self) -> Action:
        self._note_host_key()
        remote = await self._look_around(self._options.edgewright)
        bundle_id = self._parcel.bundle_id if self._parcel else ""
        status = await remote.status()
        self._before = self._after = status.active(self._model)
        if self._before != bundle_id:
            raise InputError(
                f"{self._machine.name} runs {self._before[:12] or 'nothing'} as {self._model}, not "
                f"{bundle_id[:12]}",
                hint="give the bundle that is to be taken back",
            )
        async with self._served(remote, status) as address:
            back = remote.rollback(
                self._model, reason="push --rollback", timeout_s=self._options.timeout_s
            )
            await self._watched(address, back)
            self._after = (await remote.status()).active(self._model)
            is_back = self._after not in ("", bundle_id)
            self._checks.append(
                Check(
                    name="active bundle",
                    status="PASSED" if is_back else "FAILED",
                    measured=self._after[:12] or "none",
                    needed=f"another than {bundle_id[:12]}",
                )
            )
            await self._examine(address, has_golden=False)
        return "rolled back" if self._is_healthy else "failed"

    def _note_host_key(self) -> None:
        self._checks.append(
            Check(
                name="host key",
                status="PASSED",
                measured=self._machine.key_fingerprint,
                needed="the known one",
            )
        )

    async def _given_package(self) -> tuple[str, bool]:
        """The program to use, after the package was installed or updated where that was asked; and
        whether it was.
        """
        options = self._options
        if not options.wheels:
            return options.edgewright, False
        remote = await Remote.found(self._machine, program=options.edgewright, home=options.home)
        installer = Installer(
            self._machine,
            options.wheels,
            venv=options.venv,
            extras=options.extras,
            timeout_s=options.timeout_s,
        )
        made = await installer.install(remote.facts.edgewright)
        self._checks += made.checks
        return made.program, made.is_changed

    async def _look_around(self, program: str) -> Remote:
        home = self._options.home
        remote = await Remote.found(self._machine, program=program, home=home)
        if not remote.facts.version:
            raise InputError(
                f"{self._machine.name} has no edgewright that answers",
                hint="bring it with --wheelhouse DIR, or name it with --edgewright",
            )
        if not remote.facts.is_enrolled and self._options.keys:
            remote = await enrolled(remote, self._options.keys)
        if not remote.facts.is_enrolled:
            raise InputError(
                f"{self._machine.name} has no enrolled agent"
                + (f" in {remote.facts.home}" if remote.facts.home else ""),
                hint="make one with --key KEY.pub, or name it with --home DIR",
            )
        return remote

    @contextlib.asynccontextmanager
    async def _served(self, remote: Remote, status: RemoteStatus) -> AsyncIterator[str]:
        """Where the machine's server is reached from here; empty when no agent keeps one there."""
        if not status.is_running:
            yield ""
            return
        host, port = await remote.serve_address()
        async with self._machine.forwarded(host, port) as address:
            yield address

    async def _watched(self, address: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="push-work")
        if address:
            self._downtime = await watched(Watch(address, self._model, self._clock), task)
        await task

    async def _look_again(self, remote: Remote, bundle_id: str) -> None:
        self._after = (await remote.status()).active(self._model)
        self._checks.append(
            Check(
                name="active bundle",
                status="PASSED" if self._after == bundle_id else "FAILED",
                measured=self._after[:12] or "none",
                needed=bundle_id[:12],
            )
        )

    async def _examine(self, address: str, *, has_golden: bool) -> None:
        """Ask the served model what it must know; one of another bundle, whether it is ready."""
        if not address:
            needed = "an agent that runs and serves there"
            self._checks.append(Check(name="answers", status="NOT MEASURED", measured=needed))
            return
        if not has_golden:
            self._checks.append(await self._ready_now(address))
            return
        try:
            asked = await self._examiner(address, self._model)
        except EdgewrightError as error:
            asked = Asked(asked=0, wrong=0, reasons=(str(error),))
        is_right = asked.asked > 0 and asked.wrong == 0
        measured = f"{asked.asked - asked.wrong} of {asked.asked} right"
        self._checks.append(
            Check(
                name="answers",
                status="PASSED" if is_right else "FAILED",
                measured="; ".join((measured, *asked.reasons[:1])),
                needed="every golden answer of the bundle",
            )
        )

    async def _ready_now(self, address: str) -> Check:
        watch = Watch(address, self._model, self._clock)
        moment = asyncio.create_task(asyncio.sleep(0.2), name="push-moment")
        seen = await watched(watch, moment)
        return Check(
            name="ready",
            status="PASSED" if seen.is_measured and not seen.failed else "FAILED",
            measured=f"{seen.asked - seen.failed} of {seen.asked} good answers",
            needed="every one",
        )

    async def _reported(self, act: Callable[[], Awaitable[Action]]) -> HostReport:
        start_s, error, code = self._clock.monotonic_s(), "", 0
        try:
            action: Action = await act()
        except EdgewrightError as caught:
            action, error, code = "failed", str(caught), caught.exit_code
        if action in ("returned", "refused"):
            code = DeviceError.exit_code
            failed = [check.name for check in self._checks if check.status == "FAILED"]
            error = f"not passed: {', '.join(failed)}"
        return HostReport(
            host=self._machine.name,
            action=action,
            host_key=self._machine.key_fingerprint,
            model=self._model,
            before=self._before,
            after=self._after,
            checks=tuple(self._checks),
            downtime=self._downtime,
            seconds=round(self._clock.monotonic_s() - start_s, 2),
            error=error,
            exit_code=code,
        )

    @property
    def _is_healthy(self) -> bool:
        return not self._is_unfit

    @property
    def _is_unfit(self) -> bool:
        return any(check.status == "FAILED" for check in self._checks)

    @property
    def _model(self) -> str:
        return self._parcel.manifest.name if self._parcel else PACKAGE
