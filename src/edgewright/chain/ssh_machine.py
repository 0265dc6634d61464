"""Another machine by its address, and how to get in; what is empty is left to `~/.ssh`. Importing
this file needs the extra `ssh`.
"""

from pathlib import Path

import msgspec

from edgewright.fleet.push import parse_target
from edgewright.transports.ssh import SshTarget


class SshMachine(msgspec.Struct, frozen=True, kw_only=True):
    """`home` is the agent's and `program` edgewright's there; found by themselves if empty."""

    address: str
    identities: tuple[Path, ...] = ()
    known_hosts: Path | None = None
    config: Path | None = None
    home: str = ""
    program: str = ""

    @property
    def target(self) -> SshTarget:
        """Whom to connect to.

        Raises:
            InputError: the address is no `ssh://` address.
        """
        parsed = parse_target(self.address)
        return SshTarget(
            host=parsed.host,
            user=parsed.user,
            port=parsed.port,
            known_hosts=self.known_hosts,
            identities=self.identities,
            config=self.config,
        )
