"""Giving a machine the package itself, from wheels that are sent to it: no network is needed there.

Each set of wheels becomes a venv of its own beside a link that says which one counts, so an update
is one rename, what was there stays until the new code answered, and a cut leaves what was.
"""

import hashlib
import tarfile
from collections.abc import AsyncIterator, Sequence

import msgspec

from edgewright.errors import DeviceError, TransportError
from edgewright.fleet.push.checks import DISK_RESERVE_MB, Check
from edgewright.fleet.push.ports import Ended, Machine
from edgewright.fleet.push.wheelhouse import Interpreter, Wheel, chosen, package_prechecks

ASK_TIMEOUT_S = 60.0

_CHUNK_BYTES = 256 << 10

# Both run in any POSIX shell. $1: the program that is there and $2: the venv, empty when unknown.
_LOOK = """
program=$1 venv=$2
case $program in
*" "*) program="" ;;
esac
if [ -z "$venv" ] && [ -n "$program" ] && [ -e "${program%/bin/*}/pyvenv.cfg" ]; then
  venv=${program%/bin/*}
fi
if [ -z "$venv" ]; then
  if [ "$(id -u)" = 0 ]; then venv=/opt/edgewright; else venv=$HOME/.local/share/edgewright/venv; fi
fi
place=$(dirname "$venv")
while [ ! -d "$place" ]; do place=$(dirname "$place"); done
echo "venv=$venv"
if [ -x "$venv/bin/edgewright" ]; then
  echo "has=$("$venv/bin/edgewright" --version 2>/dev/null | tail -n 1)"
fi
echo "arch=$(uname -m)"
echo "glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed 's/.* //')"
if [ -w "$place" ]; then echo writable=yes; fi
echo "disk_kb=$(df -Pk "$place" | sed -n '2s/.* \\([0-9][0-9]*\\)  *[0-9]*% .*/\\1/p')"
for one in python3 python3.14 python3.13 python3.12 python3.11; do
  if "$one" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "python=$(command -v "$one")"
    "$one" -c 'import sys; print("version=%d.%d" % sys.version_info[:2])'
    if "$one" -c 'import ensurepip, venv' 2>/dev/null; then echo has_venv=yes; fi
    break
  fi
done
"""

# $1: the link, $2: the set of wheels by its hash, $3: the Python, $4: the package and its version;
# the wheels come as a tar. What counts is said last.
_INSTALL = """
set -eu
link=$1 new=$1.versions/$2 python=$3 wanted=$4 store=$1.versions
mkdir -p "$store"
if [ ! -e "$new/.whole" ]; then
  rm -rf "$new" "$store/wheels"
  mkdir "$store/wheels"
  tar -x -f - -C "$store/wheels"
  "$python" -m venv "$new" >&2
  "$new/bin/python" -m pip --quiet --disable-pip-version-check --no-cache-dir install \\
    --no-index --find-links "$store/wheels" "$wanted" >&2
  rm -rf "$store/wheels"
  "$new/bin/edgewright" doctor --json >/dev/null
  : >"$new/.whole"
  sync
else
  cat >/dev/null
fi
before=$(readlink "$link" || true)
if [ -e "$link" ] && [ ! -L "$link" ]; then
  rm -rf "$store/first"
  mv "$link" "$store/first"
  before=$store/first
fi
ln -s -f -n "$new" "$link.new"
mv -T "$link.new" "$link"
for old in "$store"/*; do
  if [ "$old" != "$new" ] && [ "$old" != "$before" ]; then rm -rf "$old"; fi
done
if [ "$(id -u)" != 0 ] && [ ! -e "$HOME/.local/bin/edgewright" ]; then
  mkdir -p "$HOME/.local/bin"
  ln -s -f "$link/bin/edgewright" "$HOME/.local/bin/edgewright"
fi
echo "before=$before"
"""

# $1: the link, $2: what it was.
_RETURN = 'if [ -n "$2" ]; then ln -s -f -n "$2" "$1.new" && mv -T "$1.new" "$1"; else rm "$1"; fi'

# The unit that `device prepare` writes; elsewhere whoever started the agent starts it anew.
_RESTART = """
unit=edgewright-agent.service
systemctl is-active --quiet "$unit" 2>/dev/null || exit 3
if [ "$(id -u)" = 0 ]; then systemctl restart "$unit"; else sudo -n systemctl restart "$unit"; fi
"""
_NO_UNIT = 3


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine has for a package; `has` is the version that lies there."""

    venv: str
    has: str = ""
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
    """Brings one machine the package. `venv` says where it belongs, when not to the usual place."""

    def __init__(
        self, machine: Machine, wheels: Sequence[Wheel], *, venv: str = "", timeout_s: float
    ) -> None:
        self._machine = machine
        self._wheels = wheels
        self._venv = venv
        self._timeout_s = timeout_s

    async def install(self, program: str) -> Installed:
        """Install or update, unless the machine has just that there; `program` is the one that it
        has now, which says where it belongs unless that was told.

        Raises:
            DeviceError: it did not work there; what was there before counts.
            TransportError: the link broke.
        """
        ground = await self._look(program)
        wheels, lacking = chosen(self._wheels, ground.interpreter)
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
        is_there = ground.has == wanted
        if not is_there:
            await self._exchange(ground, wheels, ours)
        checks.append(
            Check(
                name="package",
                status="PASSED",
                measured=f"{wanted} in {link}",
                needed=f"{wanted}, answering there",
            )
        )
        if not is_there:
            checks.append(await self._restarted())
        return Installed(checks=tuple(checks), program=ours, is_changed=not is_there)

    async def _look(self, program: str) -> Ground:
        command = ("sh", "-c", _LOOK, "edgewright-look", program, self._venv)
        done = await self._machine.run(command, timeout_s=ASK_TIMEOUT_S)
        return parse_ground(done.stdout)

    async def _exchange(self, ground: Ground, wheels: Sequence[Wheel], program: str) -> None:
        wanted = f"edgewright=={wheels[0].version}"
        command = (
            *("sh", "-c", _INSTALL, "edgewright-install"),
            *(ground.venv, _set_id(wheels), ground.python, wanted),
        )
        done = await self._machine.run(command, stdin=_tar(wheels), timeout_s=self._timeout_s)
        self._require(done, "installing the package")
        before = done.stdout.decode(errors="replace").rpartition("before=")[2].strip()
        asked = await self._machine.run((program, "--version"), timeout_s=ASK_TIMEOUT_S)
        if asked.status:
            back = ("sh", "-c", _RETURN, "edgewright-return", ground.venv, before)
            await self._machine.run(back, timeout_s=ASK_TIMEOUT_S)
            self._require(asked, "the installed package does not answer, the one before counts")

    async def _restarted(self) -> Check:
        command = ("sh", "-c", _RESTART, "edgewright-restart")
        done = await self._machine.run(command, timeout_s=ASK_TIMEOUT_S)
        if done.status == _NO_UNIT:
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
    return Check(
        name="place for the package",
        status="PASSED" if ground.is_writable else "FAILED",
        measured=f"{ground.venv}{'' if ground.is_writable else ': not this user'}",
        needed="a place that this user may write (--venv)",
    )


def _set_id(wheels: Sequence[Wheel]) -> str:
    """A set of wheels by what is in them."""
    digest = hashlib.sha256()
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
