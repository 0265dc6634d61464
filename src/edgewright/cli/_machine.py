"""Options that say how to reach another machine, and the machine that they mean."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgewright.cli._extras import absence_of
from edgewright.errors import InputError

if TYPE_CHECKING:
    from edgewright.chain.ssh_machine import SshMachine

ELSEWHERE = ("ssh://", "device:")

_FILE = click.Path(path_type=Path)


def machine_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`identities`, `known_hosts`, `ssh_config` and `edgewright`."""
    options = (
        click.option("--identity", "identities", type=_FILE, multiple=True,
                     help="Private key file."),
        click.option("--known-hosts", type=_FILE, help="Instead of ~/.ssh/known_hosts."),
        click.option("--ssh-config", type=_FILE, help="Instead of ~/.ssh/config."),
        click.option("--edgewright", default="", help="The program there; may be several words."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def ssh_machine(
    address: str,
    fleet_home: Path,
    *,
    identities: tuple[Path, ...],
    known_hosts: Path | None,
    ssh_config: Path | None,
    edgewright: str,
    agent_home: str = "",
) -> "SshMachine":
    """The machine of an `ssh://` address, or of `device:NAME` of a fleet.

    Raises:
        InputError: it is neither, or the fleet has no such device.
        UnavailableError: the extra that reaches it is not installed.
    """
    if not address.startswith(ELSEWHERE):
        raise InputError(f"{address!r} is no machine", hint="ssh://user@host, or device:NAME")
    try:
        from edgewright.chain.ssh_machine import SshMachine

        if address.startswith("device:"):
            from edgewright.chain.device_address import device_address

            address = device_address(address.removeprefix("device:"), fleet_home)
    except ModuleNotFoundError as error:
        raise absence_of(error) from error
    return SshMachine(
        address=address,
        identities=identities,
        known_hosts=known_hosts,
        config=ssh_config,
        home=agent_home,
        program=edgewright,
    )
