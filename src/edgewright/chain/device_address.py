"""Where a device of the fleet is reached over SSH; importing this file needs the extra `fleet`."""

from collections.abc import Mapping
from pathlib import Path

from edgewright.chain.fleet import open_fleet

HOST_LABEL, USER_LABEL, PORT_LABEL = "ssh-host", "ssh-user", "ssh-port"


def device_address(name: str, home: Path) -> str:
    """The `ssh://` address of an enrolled device: its labels, else its own name as the host's.

    Raises:
        InputError: there is no fleet, or no such device.
    """
    with open_fleet(home) as office:
        return address_of(name, office.devices.show(name).labels)


def address_of(name: str, labels: Mapping[str, str]) -> str:
    """An address from a device's name and labels.

    >>> address_of("press-7", {"ssh-user": "pi", "ssh-port": "2222"})
    'ssh://pi@press-7:2222'
    """
    user = f"{labels[USER_LABEL]}@" if USER_LABEL in labels else ""
    port = f":{labels[PORT_LABEL]}" if PORT_LABEL in labels else ""
    return f"ssh://{user}{labels.get(HOST_LABEL, name)}{port}"
