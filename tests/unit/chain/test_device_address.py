"""A device of the fleet is found over SSH by its labels, else by its name."""

from pathlib import Path

import pytest

from edgewright.chain.device_address import device_address
from edgewright.chain.fleet import open_fleet
from edgewright.errors import InputError
from edgewright.fleet.devices import TokenOrder


def test_labels_say_where_a_device_is_and_its_name_does_without_them(tmp_path: Path) -> None:
    with open_fleet(tmp_path, create=True) as office:
        for name, labels in (
            ("press-7", {}),
            ("press-8", {"ssh-host": "10.0.0.8", "ssh-user": "pi", "ssh-port": "2222"}),
        ):
            order = TokenOrder(device=name, lifetime_s=60.0)
            token = office.devices.create_token(order, by="test").token
            office.devices.enrol(token, name, labels)
    assert device_address("press-7", tmp_path) == "ssh://press-7"
    assert device_address("press-8", tmp_path) == "ssh://pi@10.0.0.8:2222"
    with pytest.raises(InputError, match="press-9"):
        device_address("press-9", tmp_path)


def test_without_a_fleet_there_is_no_device(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no fleet"):
        device_address("press-7", tmp_path / "none")
