"""Which machines: `ssh://` addresses, and files that list many of them.

>>> parse_target("ssh://pi@sensor-7:2222")
Target(url='ssh://pi@sensor-7:2222', host='sensor-7', user='pi', port=2222, home='', edgewright='')
"""

from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from edgewright import _fs
from edgewright.contract import decode_toml
from edgewright.errors import InputError

HOST_LIMIT = 10_000

_LIMIT_BYTES = 4 << 20
_HINT = "write it as ssh://user@host or ssh://user@host:port"


class Target(msgspec.Struct, frozen=True):
    """One machine. Empty: `~/.ssh/config`, or what is found there."""

    url: str
    host: str
    user: str = ""
    port: int = 0
    home: str = ""
    edgewright: str = ""


class _Host(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str
    home: str = ""
    edgewright: str = ""


class _Inventory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hosts: list[_Host]


def parse_target(url: str, *, home: str = "", edgewright: str = "") -> Target:
    """A machine from its address.

    Raises:
        InputError: it is no `ssh://` address.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 0
    except ValueError as error:
        raise InputError(f"{url!r} is not an address: {error}", hint=_HINT) from error
    is_plain = parts.path in ("", "/") and not parts.query and not parts.fragment
    if parts.scheme != "ssh" or not parts.hostname or parts.password or not is_plain:
        raise InputError(f"{url!r} is not an address of a machine", hint=_HINT)
    if parts.hostname.startswith("-") or (parts.username or "").startswith("-"):
        raise InputError(f"{url!r} is not an address of a machine", hint=_HINT)
    return Target(url, parts.hostname, parts.username or "", port, home, edgewright)


def read_inventory(path: Path) -> tuple[Target, ...]:
    """The machines of a TOML file: `[[hosts]]` with `url`, and maybe `home` and `edgewright`.

    Raises:
        InputError: not such a file, or a machine is in it twice.
    """
    content = _fs.read_limited(path, limit_bytes=_LIMIT_BYTES)
    hosts = decode_toml(content, _Inventory, source=str(path)).hosts
    urls = [host.url for host in hosts]
    twice = next((url for url in urls if urls.count(url) > 1), "") if len(hosts) < 2000 else ""
    if twice or not 0 < len(hosts) <= HOST_LIMIT:
        what = f"{twice} is in it twice" if twice else f"{len(hosts)} machines"
        raise InputError(f"{path}: {what}, expected 1 to {HOST_LIMIT} different ones")
    return tuple(
        parse_target(host.url, home=host.home, edgewright=host.edgewright) for host in hosts
    )
