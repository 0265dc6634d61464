"""What a device is to become, checked once.

>>> PrepareOrder(system="debian", device="Line 3", keys=("aa",)).hostname
'line-3'
"""

import re
from typing import Literal, get_args
from urllib.parse import urlsplit

import msgspec

from edgewright.errors import InputError

System = Literal["raspberry-pi-os", "debian", "jetpack"]
SYSTEMS: tuple[System, ...] = get_args(System)

_HOST = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PACKAGE = re.compile(r"edgewright(\[[a-z0-9,-]+\])?(==[0-9][0-9a-z.+-]*)?")
_SSH_KEY = re.compile(r"(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [ -~]*)?")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}=[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_PATH = re.compile(r"/[A-Za-z0-9._/-]{1,200}")


class PrepareOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a machine is to be set up: for a fleet with a token, or for pushing with pinned keys."""

    system: System
    device: str
    fleet_url: str = ""
    token: str = ""
    keys: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    package: str = "edgewright"
    wheelhouse: str = ""
    ssh_keys: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"PrepareOrder({self.system!r}, {self.device!r})"

    @property
    def hostname(self) -> str:
        """The machine's name: the device's, as names of hosts are written."""
        return re.sub(r"[^a-z0-9-]+", "-", self.device.lower()).strip("-")[:63] or "edge"

    def checked(self) -> "PrepareOrder":
        """This order, if a machine can be made of it.

        Raises:
            InputError: it cannot.
        """
        if bool(self.fleet_url) != bool(self.token):
            raise InputError(
                "a fleet's address and a token go together",
                hint="make one: edgewright device token --for NAME",
            )
        if bool(self.fleet_url) == bool(self.keys):
            raise InputError(
                "a device follows a fleet (--fleet and --token) or is pushed to (--key): either"
            )
        if self.fleet_url and not _is_web(self.fleet_url):
            raise InputError(f"--fleet {self.fleet_url[:80]!r}: expected https://HOST[:PORT]")
        for what, pattern, texts in (
            ("host name", _HOST, (self.hostname,)),
            ("package", _PACKAGE, (self.package,)),
            ("label", _LABEL, self.labels),
            ("SSH key", _SSH_KEY, self.ssh_keys),
            ("folder of wheels", _PATH, (self.wheelhouse,) if self.wheelhouse else ()),
        ):
            for text in texts:
                if not pattern.fullmatch(text):
                    raise InputError(f"{text[:60]!r} is not a {what} that can be used here")
        return self


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
