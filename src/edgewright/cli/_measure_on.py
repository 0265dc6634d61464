"""`--measure-on`: the machine where variants are timed and weighed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgewright.cli._extras import absence_of
from edgewright.cli._fleet import Anywhere, anywhere_options, fleet_at
from edgewright.cli._machine import ELSEWHERE, machine_options, ssh_machine
from edgewright.errors import InputError

if TYPE_CHECKING:
    from edgewright.workbench.optimize.place import Place

BY_AGENT = "agent:"


def measure_on_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`measure_on`, `measure_key`, and how machines are reached."""
    on = click.option(
        "--measure-on",
        metavar="MACHINE",
        help="Time and weigh variants there, not here: ssh://user@host, device:NAME of a fleet by "
        "SSH, or agent:NAME of a fleet through its agent.",
    )
    key = click.option(
        "--measure-key",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Private key file that signs what agent:NAME measures; its device must know it.",
    )
    return on(key(machine_options(anywhere_options(function))))


@contextmanager
def place_of(
    address: str,
    where: Anywhere,
    *,
    key: Path | None,
    threads: int,
    seed: int,
    **machine: Any,
) -> "Iterator[Place]":
    """The place that an address means.

    Raises:
        InputError: it is none, there is no such device, or the key is missing.
        UnavailableError: the extra that reaches it is not installed.
    """
    if not address.startswith((*ELSEWHERE, BY_AGENT)):
        raise InputError(
            f"{address!r} is no machine", hint="ssh://user@host, device:NAME, or agent:NAME"
        )
    try:
        if address.startswith(BY_AGENT):
            from edgewright.chain.measuring_agent import agent_place
            from edgewright.keys.file import FileSigner

            if key is None:
                raise InputError(
                    f"{address} measures what somebody signed whom it knows",
                    hint="give --measure-key, and name its .pub in measure_keys of the device",
                )
            signer = FileSigner.load(key)
            device = address.removeprefix(BY_AGENT)
            with (
                fleet_at(where) as fleet,
                agent_place(fleet, device, signer, threads=threads, seed=seed) as place,
            ):
                yield place
            return
        from edgewright.chain.measuring_ssh import ssh_place
    except ModuleNotFoundError as error:
        raise absence_of(error) from error
    found = ssh_machine(address, where.home, **machine)
    with ssh_place(found, threads=threads, seed=seed) as place:
        yield place
