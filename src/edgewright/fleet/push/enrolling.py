"""Giving a machine that no fleet reaches an agent's home, which trusts the keys that it is sent."""

from collections.abc import AsyncIterator, Sequence

import msgspec

from edgewright.errors import DeviceError
from edgewright.fleet.push.ports import Machine
from edgewright.fleet.push.remote import ASK_TIMEOUT_S, Remote

# $1: the home, empty when it is to be the usual one.
_HOME = """
home=$1
if [ -z "$home" ]; then
  if [ "$(id -u)" = 0 ]; then home=/var/lib/edgewright
  else home=$HOME/.local/share/edgewright/agent; fi
fi
mkdir -p "$home" && echo "$home"
"""


async def enrolled(remote: Remote, keys: Sequence[bytes]) -> Remote:
    """The same machine with an agent's home; its agent is named as the machine names itself.

    Raises:
        DeviceError: it did not work there.
    """
    machine = remote.machine
    home = await _said(machine, ("sh", "-c", _HOME, "edgewright-home", remote.facts.home))
    name = await _said(machine, ("uname", "-n"))
    paths = [f"{home}/pushed-{number}.pub" for number in range(1, len(keys) + 1)]
    for path, key in zip(paths, keys, strict=True):
        writing = ("sh", "-c", 'cat >"$1"', "edgewright-key", path)
        await _said(machine, writing, stdin=_once(key))
    made = Remote(machine, msgspec.structs.replace(remote.facts, home=home))
    await made.enrol(name, paths)
    await _said(machine, ("rm", "-f", *paths))
    return await Remote.found(machine, program=remote.facts.edgewright, home=home)


async def _said(
    machine: Machine, command: Sequence[str], *, stdin: AsyncIterator[bytes] | None = None
) -> str:
    done = await machine.run(command, stdin=stdin, timeout_s=ASK_TIMEOUT_S)
    if done.status:
        said = done.stderr.decode(errors="replace").strip()[-300:]
        raise DeviceError(f"{machine.name}: {command[0]}: {said or done.status}")
    return done.stdout.decode(errors="replace").strip()


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
