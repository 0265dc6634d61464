"""Giving a machine the package itself, from wheels that are sent to it: no network is needed there.

Each set of wheels becomes a venv of its own beside a link that says which one counts, so an update
is one rename, what was there stays until the new code answered, and a cut leaves what was. Extras
that a machine has it keeps. What runs there is in `package_scripts`.
"""

import hashlib
import tarfile
from collections.abc import AsyncIterator, Collection, Sequence

import msgspec

from edgewright.errors import DeviceError, TransportError
from edgewright.fleet.push import package_scripts as scripts
from edgewright.fleet.push.checks import DISK_RESERVE_MB, Check
from edgewright.fleet.push.ports import Ended, Machine
from edgewright.fleet.push.wheelhouse import Interpreter, Wheel, chosen, package_prechecks

ASK_TIMEOUT_S = 60.0

_CHUNK_BYTES = 256 << 10


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine has for a package: `has` is the version that lies there with `extras`, `other`
    a venv on its PATH that is not ours, `is_taken` whether something that is no venv lies there.
    """

    venv: str
    has: str = ""
    extras: frozenset[str] = frozenset()
    other: str = ""
    is_taken: bool = False
    python: str = ""
    interpreter: Interpreter = Interpreter()
    has_venv: bool = False
    is_writable: bool = False
    disk_free_mb: float = -1.0


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: `program` is the one to use from now on, "" when nothing was installed."""

    checks: tuple[Check, ...]
    program: str = ""
    is_changed: bool = False


class Installer:
    """Brings one machine the package. `venv` says where it belongs, when not to the usual place;
    `extras` it is to have beside those that it has.
    """

    def __init__(
        self,
        machine: Machine,
        wheels: Sequence[Wheel],
        *,
        venv: str = "",
        extras: Collection[str] = (),
        timeout_s: float,
    ) -> None:
        self._machine = machine
        self._wheels = wheels
        self._venv = venv
        self._extras = frozenset(extras)
        self._timeout_s = timeout_s

    async def install(self, program: str) -> Installed:
        """Install or update, unless the machine has just that there; `program` is the one that it
        has now, which says where it belongs unless that was told.

        Raises:
            DeviceError: it did not work there; what was there before counts.
            TransportError: the link broke.
        """
        ground = await self._look(program)
        extras = sorted(self._extras | ground.extras)
        wheels, lacking = chosen(self._wheels, ground.interpreter, extras)
        checks = [_place_check(ground)]
        checks += package_prechecks(
            ground.interpreter,
            has_venv=ground.has_venv,
            disk_free_mb=ground.disk_free_mb,
            wheels=wheels,
            lacking=lacking,
            reserve_mb=DISK_RESERVE_MB,
        )
        if any(check.status == "FAILED" for check in checks):
            return Installed(checks=tuple(checks))
        wanted, link = str(wheels[0].version), ground.venv
        ours = f"{link}/bin/edgewright"
        is_there = ground.has == wanted and self._extras <= ground.extras
        if not is_there:
            await self._exchange(ground, wheels, extras)
        text = f"{wanted} with {', '.join(extras)}" if extras else wanted
        checks.append(
            Check(
                name="package",
                status="PASSED",
                measured=f"{text} in {link}",
                needed=f"{text}, answering there",
            )
        )
        if not is_there:
            checks.append(await self._restarted())
        return Installed(checks=tuple(checks), program=ours, is_changed=not is_there)

    async def _look(self, program: str) -> Ground:
        command = ("sh", "-c", scripts.LOOK, "edgewright-look", program, self._venv)
        done = await self._machine.run(command, timeout_s=ASK_TIMEOUT_S)
        return parse_ground(done.stdout)

    async def _exchange(
        self, ground: Ground, wheels: Sequence[Wheel], extras: Sequence[str]
    ) -> None:
        link, names = ground.venv, ",".join(extras)
        wanted = f"edgewright{f'[{names}]' if names else ''}=={wheels[0].version}"
        command = (
            *("sh", "-c", scripts.INSTALL, "edgewright-install"),
            *(link, _set_id(wheels, extras), ground.python, wanted, names),
        )
        done = await self._machine.run(command, stdin=_tar(wheels), timeout_s=self._timeout_s)
        self._require(done, "installing the package")
        before = done.stdout.decode(errors="replace").rpartition("before=")[2].strip()
        program = f"{link}/bin/edgewright"
        asked = await self._machine.run((program, "--version"), timeout_s=ASK_TIMEOUT_S)
        if asked.status:
            back = ("sh", "-c", scripts.RETURN, "edgewright-return", link, before)
            await self._machine.run(back, timeout_s=ASK_TIMEOUT_S)
            self._require(asked, "the installed package does not answer, the one before counts")
        tidy = ("sh", "-c", scripts.TIDY, "edgewright-tidy", link, before)
        await self._machine.run(tidy, timeout_s=ASK_TIMEOUT_S)

    async def _restarted(self) -> Check:
        command = ("sh", "-c", scripts.RESTART, "edgewright-restart")
        done = await self._machine.run(command, timeout_s=ASK_TIMEOUT_S)
        if done.status == scripts.NO_UNIT:
            said = "no edgewright-agent.service runs; an agent that runs keeps its code until then"
            return Check(name="agent restarted", status="NOT MEASURED", measured=said)
        said = done.stderr.decode(errors="replace").strip()[-200:]
        return Check(
            name="agent restarted",
            status="PASSED" if done.status == 0 else "FAILED",
            measured=said or "edgewright-agent.service",
            needed="by systemctl, as root or with sudo",
        )

    def _require(self, done: Ended, what: str) -> None:
        if done.status:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            said = " ".join(lines[-4:])[-600:] or f"exit status {done.status}"
            raise DeviceError(f"{self._machine.name}: {what}: {said}")


def parse_ground(text: bytes) -> Ground:
    """The lines KEY=VALUE that the look printed.

    Raises:
        TransportError: they are not understood.
    """
    lines = text.decode(errors="replace").splitlines()
    pairs = {key: value.strip() for key, _, value in (line.partition("=") for line in lines)}
    try:
        return Ground(
            venv=pairs["venv"],
            has=pairs.get("has", "").rpartition(" ")[2],
            extras=frozenset(filter(None, pairs.get("extras", "").split(","))),
            other=pairs.get("other", ""),
            is_taken=pairs.get("taken") == "yes",
            python=pairs.get("python", ""),
            interpreter=Interpreter(
                version=_pair(pairs.get("version", "")),
                arch=pairs.get("arch", ""),
                glibc=_pair(pairs.get("glibc", "")),
            ),
            has_venv=pairs.get("has_venv") == "yes",
            is_writable=pairs.get("writable") == "yes",
            disk_free_mb=float(pairs.get("disk_kb") or -1) * 1.024e-3,
        )
    except (KeyError, ValueError) as error:
        raise TransportError(
            f"what the machine says of itself is not understood: {error!r}",
            hint="it needs a POSIX shell, df and getconf",
        ) from error


def _pair(text: str) -> tuple[int, int]:
    if not text:
        return (0, 0)
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def _place_check(ground: Ground) -> Check:
    why = "" if ground.is_writable else ": not this user's"
    if ground.is_taken:
        why = ": something that is no virtual environment lies there"
    beside = f"; {ground.other} on the PATH stays as it is" if ground.other and not why else ""
    return Check(
        name="place for the package",
        status="FAILED" if why else "PASSED",
        measured=f"{ground.venv}{why}{beside}",
        needed="a free place or our own, that this user may write (--venv)",
    )


def _set_id(wheels: Sequence[Wheel], extras: Sequence[str]) -> str:
    """A set of wheels by what is in them, and the extras that they were asked for."""
    digest = hashlib.sha256(f"{','.join(extras)}\n".encode() if extras else b"")
    for wheel in sorted(wheels, key=lambda one: one.path.name):
        digest.update(f"{wheel.path.name} {wheel.sha256}\n".encode())
    return digest.hexdigest()[:16]


async def _tar(wheels: Sequence[Wheel]) -> AsyncIterator[bytes]:
    """The wheels as one stream, made while it is sent."""
    for wheel in wheels:
        head = tarfile.TarInfo(wheel.path.name)
        head.size = wheel.size_bytes
        yield head.tobuf(tarfile.PAX_FORMAT)
        with wheel.path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
        yield bytes(-wheel.size_bytes % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)
