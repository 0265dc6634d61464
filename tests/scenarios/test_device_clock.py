"""A device without a clock, with one that stands in 1970, and with one that stands in 2099. What
the repositories say is judged at the latest of the machine's clock, the time of the package and the
last time at which all was good; inference and the way back never ask for the time.
"""

from typing import Any

import pytest
from tests.scenarios.conftest import Device
from tests.scenarios.test_two_repositories import DAY_S, OFFLINE, Office, office, run_once

from edgewright.bundle import open_bundle
from edgewright.device.agent.metadata import TIME_FILE
from edgewright.errors import TrustError

__all__ = ["office"]

IN_1970 = 0.0
IN_2099 = 4_070_908_800.0
WRONG = pytest.mark.parametrize("wrong_s", [IN_1970, IN_2099], ids=["1970", "2099"])


def release(device: Device, office: Office, version: str) -> str:
    """Release and order a version while the clock is right; the bundle's id."""
    path = device.bundle(version)
    office.release(path)
    office.order(path)
    return open_bundle(path).id


def test_a_device_that_never_had_a_clock_takes_its_first_release(
    device: Device, office: Office, play: Any
) -> None:
    first = release(device, office, "1")
    device.clock.set_wall(IN_1970)
    play(run_once(device))
    assert device.current == first


def test_a_clock_that_fell_back_to_1970_takes_the_next_release_and_no_older_state(
    device: Device, office: Office, play: Any
) -> None:
    release(device, office, "1")
    old = dict(office.image.files), dict(office.director.files)
    play(run_once(device))
    device.clock.advance(5 * DAY_S)
    second = release(device, office, "2")
    device.clock.set_wall(IN_1970)
    play(run_once(device))
    assert device.current == second
    office.image.files, office.director.files = old
    device.fleet.offer(device.bundle("3"))
    with pytest.raises(TrustError, match="an old version is served again"):
        play(run_once(device))
    assert device.current == second


def test_the_last_good_time_stands_in_for_a_clock_that_fell_back(
    device: Device, office: Office, play: Any
) -> None:
    """What had expired when all was last good stays expired in 1970, whatever its version."""
    release(device, office, "1")
    play(run_once(device))
    right_s = device.clock.wall_s()
    device.clock.advance(-3 * DAY_S)
    office.repository = office.repository.renewed(["timestamp"], now=office.now)
    office.publish(OFFLINE)
    device.clock.set_wall(right_s + 5 * DAY_S)
    office.say()
    kept = device.home.repositories / "image" / TIME_FILE
    kept.write_text(f"{int(right_s + 5 * DAY_S)}\n")
    device.clock.set_wall(IN_1970)
    device.fleet.offer(device.bundle("2"))
    with pytest.raises(TrustError, match="the image repository: timestamp v3: expected an expiry"):
        play(run_once(device))


def test_a_clock_in_2099_stops_updates_blames_no_release_and_keeps_nothing(
    device: Device, office: Office, play: Any
) -> None:
    first = release(device, office, "1")
    play(run_once(device))
    second = release(device, office, "2")
    right_s = device.clock.wall_s()
    kept = device.home.repositories / "image" / TIME_FILE
    before = kept.read_bytes()
    device.clock.set_wall(IN_2099)
    with pytest.raises(TrustError, match="check this machine's clock"):
        play(run_once(device))
    assert (device.current, device.progress().bad) == (first, ())
    assert kept.read_bytes() == before, "2099 is not remembered as a time that was good"
    device.clock.set_wall(right_s)
    play(run_once(device))
    assert device.current == second


@WRONG
def test_a_wrong_clock_hinders_neither_answers_nor_the_way_back(
    device: Device, office: Office, play: Any, wrong_s: float
) -> None:
    first = release(device, office, "1")
    play(run_once(device))
    second = release(device, office, "2")
    play(run_once(device))
    device.clock.set_wall(wrong_s)
    device.start()
    play(device.agent.settle())
    assert device.served == device.current == second
    play(device.agent.go_back("told", device.update()))
    assert device.served == device.current == first


def test_an_air_gap_file_is_taken_in_1970_and_refused_in_2099(
    device: Device, office: Office, play: Any
) -> None:
    first = release(device, office, "1")
    parcel = office.parcel(device.bundle("1"), device.folder / "1.ewx")
    device.fleet.repositories = {}
    device.clock.set_wall(IN_2099)
    with pytest.raises(TrustError, match="check this machine's clock"):
        play(device.agent.apply(parcel))
    assert device.slots() == set()
    device.clock.set_wall(IN_1970)
    assert play(device.agent.apply(parcel)).good == first
