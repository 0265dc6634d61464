"""Rollouts over a real database and a moved clock: what devices tell, what they are to run."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from edgewright.errors import InputError
from edgewright.fleet.desired import look_up, may_fetch
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.office import Office
from edgewright.fleet.rollout_facts import RolloutFacts
from edgewright.fleet.rollout_plan import RolloutOrder
from edgewright.fleet.rollout_terms import Limits
from edgewright.fleet.telemetry import keep
from edgewright.telemetry import UpdateRecord
from edgewright.testing import FakeClock
from edgewright.testing.fleet import fleet_office, release_file
from edgewright.wire.device_api import Desired

NAMES = ("d1", "d2", "d3", "d4")
LIMITS = Limits(soak_s=0, deadline_s=30, min_reached_percent=100)


class House:
    """An office, its clock, and devices that report by hand."""

    def __init__(self, home: Path, office: Office, clock: FakeClock) -> None:
        self.home, self.office, self.clock = home, office, clock
        self.secrets: dict[str, str] = {}
        self.bundles: dict[str, str] = {}
        self._sequence = 0
        for version in ("1", "2", "3"):
            path = home / f"{version}.ewb"
            self.bundles[version] = release_file(path, version=version)
            office.registry.publish(path, by="ada")
        token = office.devices.create_token(TokenOrder(uses=99), by="ada").token
        for name in NAMES:
            self.secrets[name] = office.devices.enrol(token, name, {})

    def start(self, version: str, waves: str = "1,100%", **fields: object) -> RolloutFacts:
        order = RolloutOrder(release=f"tiny@{version}", waves=waves, **{"limits": LIMITS, **fields})
        return self.office.rollouts.start(order, by="ada")

    def tick(self, *here: str, acknowledged: Sequence[str] = (), after_s: float = 0.0) -> bool:
        self.clock.advance(after_s)
        return self.office.rollouts.tick(here=here, acknowledged=acknowledged)

    def tell(self, device: str, version: str, *states: str, reason: str = "") -> None:
        for state in states:
            self._sequence += 1
            record = UpdateRecord(
                device=device,
                sequence=self._sequence,
                at_s=self.clock.wall_s(),
                bundle=self.bundles[version],
                model="tiny",
                version=version,
                state=state,
                reason=reason,
            )
            keep(self.office.state, device, 1, [record], now_s=self.clock.wall_s())

    def update(self, version: str, *devices: str) -> None:
        """These devices get their order and carry it out."""
        self.tick(*devices)
        for device in devices:
            if self.desired(device) == version:
                self.tell(device, version, "check", "commit", "idle")
        self.tick()

    def desired(self, device: str) -> str:
        poll = look_up(self.office.state, self.secrets[device])
        assert poll is not None
        models = msgspec.json.decode(poll.body, type=Desired).models
        return models[0].version if models else ""

    def standings(self, number: int) -> dict[str, str]:
        return {m.device: m.standing for m in self.office.rollouts.status(number).members}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    clock = FakeClock()
    with fleet_office(tmp_path / "home", clock) as office:
        yield House(tmp_path, office, clock)


def test_devices_are_ordered_wave_by_wave(house: House) -> None:
    house.start("1", "1,2,100%")
    house.tick(*NAMES)
    assert [house.desired(name) for name in NAMES] == ["1", "", "", ""]
    house.update("1", "d1")
    house.tick(*NAMES)
    assert [house.desired(name) for name in NAMES] == ["1", "1", "", ""]
    house.update("1", *NAMES)
    house.update("1", *NAMES)
    assert house.office.rollouts.status(1).status == "done"


def test_nothing_happens_to_devices_that_are_away(house: House) -> None:
    house.start("1")
    for _ in range(20):
        house.tick(after_s=60)
    assert house.standings(1)["d1"] == "pending"
    assert house.office.rollouts.status(1).status == "running"


def test_silence_after_an_acknowledgement_aborts_and_returns(house: House) -> None:
    house.start("1", "100%")
    house.update("1", *NAMES)
    house.start("2")
    house.tick("d1")
    house.tick(acknowledged=["d1"])
    assert house.standings(2)["d1"] == "updating"
    for _ in range(4):
        house.tick(after_s=10)
    facts = house.office.rollouts.status(2)
    assert (facts.status, house.standings(2)["d1"]) == ("aborted", "failed")
    assert [house.desired(name) for name in NAMES] == ["1"] * 4


def test_an_abort_returns_everybody_to_what_they_ran(house: House) -> None:
    house.start("1", "3,100%", query="device=d1|d2|d3")
    house.update("1", "d1", "d2", "d3")
    assert house.office.rollouts.status(1).status == "done"
    house.start("2", "100%")
    house.update("2", "d1", "d2", "d4")
    assert [house.desired(name) for name in NAMES] == ["2", "2", "1", "2"]
    house.office.rollouts.abort(2, returns=None, reason="bad", by="ada")
    assert [house.desired(name) for name in NAMES] == ["1", "1", "1", ""]


def test_an_abort_that_keeps_leaves_the_good_ones(house: House) -> None:
    house.start("1", "100%")
    house.update("1", "d1", "d2")
    house.office.rollouts.abort(1, returns=False, reason="", by="ada")
    assert [house.desired(name) for name in NAMES] == ["1", "1", "", ""]


def test_a_finished_rollout_can_be_returned_from(house: House) -> None:
    for version in ("1", "2"):
        house.start(version, "100%")
        house.update(version, *NAMES)
    assert house.office.rollouts.status(2).status == "done"
    house.office.rollouts.abort(2, returns=True, reason="", by="ada")
    assert {house.desired(name) for name in NAMES} == {"1"}


def test_returning_from_an_old_rollout_does_not_undo_a_newer_one(house: House) -> None:
    for version in ("1", "2"):
        house.start(version, "100%")
        house.update(version, *NAMES)
    house.office.rollouts.abort(1, returns=True, reason="", by="ada")
    assert {house.desired(name) for name in NAMES} == {"2"}


def test_a_recall_never_brings_back_what_was_taken_back(house: House) -> None:
    house.start("1", "100%")
    house.update("1", *NAMES)
    house.start("2", "100%", limits=Limits(soak_s=0, min_reached_percent=50))
    house.tick(*NAMES)
    house.update("2", "d1", "d2")
    house.start("3", "100%")
    house.tick(*NAMES)
    assert {house.desired(name) for name in NAMES} == {"3"}
    house.office.rollouts.abort(2, returns=True, reason="bad", by="ada")
    assert {house.desired(name) for name in NAMES} == {"3"}
    house.office.rollouts.abort(3, returns=True, reason="bad too", by="ada")
    assert {house.desired(name) for name in NAMES} == {"1"}


def test_a_device_in_an_active_rollout_is_not_taken_by_another(house: House) -> None:
    house.start("1")
    with pytest.raises(InputError, match=r"4 device\(s\), d1 first, are in another active"):
        house.start("2")
    assert house.office.rollouts.plan(RolloutOrder(release="tiny@2")).busy == NAMES


def test_a_newer_rollout_takes_stragglers_over(house: House) -> None:
    house.start("1", "100%", limits=Limits(soak_s=0, min_reached_percent=50))
    house.update("1", "d1", "d2")
    assert house.office.rollouts.status(1).status == "trailing"
    house.start("2", "100%")
    assert house.office.rollouts.status(1).status == "done"
    assert house.standings(1)["d4"] == "left"
    house.tick(*NAMES)
    assert {house.desired(name) for name in NAMES} == {"2"}


def test_a_device_that_runs_it_is_left_out(house: House) -> None:
    house.start("1", "100%", query="device=d1")
    house.update("1", "d1")
    plan = house.office.rollouts.plan(RolloutOrder(release="tiny@1", waves="100%"))
    assert (plan.running_it, plan.waves) == (("d1",), (("d2", "d3", "d4"),))
    assert plan.bytes_total == 3 * plan.bytes_per_device > 0


def test_a_revoked_device_leaves(house: House) -> None:
    house.start("1", "100%")
    house.tick(*NAMES)
    house.office.devices.revoke("d4", by="ada")
    house.update("1", "d1", "d2", "d3")
    assert house.standings(1)["d4"] == "left"
    assert house.office.rollouts.status(1).status == "done"


def test_a_download_under_way_survives_a_withdrawn_order(house: House) -> None:
    house.start("1")
    house.tick("d1")
    house.office.rollouts.pause(1, reason="", by="ada")
    assert house.desired("d1") == ""
    with house.office.state.read() as connection:
        assert may_fetch(connection, "d1", house.bundles["1"])
        assert not may_fetch(connection, "d2", house.bundles["1"])
        assert not may_fetch(connection, "d1", house.bundles["2"])


def test_pause_and_resume_are_for_their_states(house: House) -> None:
    house.start("1")
    with pytest.raises(InputError, match="rollout 1 is running, resume needs one that is paused"):
        house.office.rollouts.resume(1, by="ada")
    house.office.rollouts.pause(1, reason="lunch", by="ada")
    with pytest.raises(InputError, match="is paused, pause needs"):
        house.office.rollouts.pause(1, reason="", by="bob")
    house.office.rollouts.resume(1, by="ada")
    house.update("1", "d1")
    assert house.standings(1)["d1"] == "succeeded"


def test_commands_that_would_change_nothing_are_refused(house: House) -> None:
    house.start("1", "100%", limits=Limits(soak_s=0, error_min_count=3))
    house.tick(*NAMES)
    house.tell("d1", "1", "idle", reason="refused: no such engine")
    house.tick()
    with pytest.raises(InputError, match="stays paused: wave 1 cannot pass: 1 of 4"):
        house.office.rollouts.resume(1, by="ada")
    assert house.office.rollouts.retry(1, reason="mended", by="ada").status == "running"
    with pytest.raises(InputError, match="no device of rollout 1 has failed"):
        house.office.rollouts.retry(1, reason="again", by="ada")


def test_a_rollback_tells_how_many_devices_return(house: House) -> None:
    house.start("1", "100%")
    house.update("1", *NAMES)
    house.start("2", "100%", query="device=d1")
    house.update("2", "d1")
    gone = house.office.rollouts.abort(1, returns=True, reason="bad", by="ada")
    assert "3 device(s) are to return" in gone.history[-2].text


def test_of_two_operators_one_wins_and_the_other_is_told(house: House) -> None:
    house.start("1", query="device=d1")
    with pytest.raises(InputError, match="another active rollout"):
        house.start("2", query="device=d1")


@pytest.mark.parametrize("fields", [{"query": "site=x"}, {"waves": "1"}, {"query": "a b"}])
def test_an_order_that_cannot_be_is_refused_and_leaves_nothing(
    house: House, fields: dict[str, str]
) -> None:
    with pytest.raises(InputError):
        house.start("1", **fields)
    assert house.office.rollouts.list() == ()


def test_an_unknown_rollout_is_named(house: House) -> None:
    with pytest.raises(InputError, match="there is no rollout 7"):
        house.office.rollouts.status(7)


def test_an_idle_tick_writes_nothing(house: House) -> None:
    house.start("1")
    house.tick()
    before = house.office.state.change_count()
    assert not house.tick(after_s=1)
    assert house.office.state.change_count() == before


@pytest.mark.parametrize("dies_after", range(12))
def test_a_tick_that_is_cut_off_is_taken_again_whole(
    house: House, dies_after: int, cut: Callable[[House, int], bool]
) -> None:
    house.start("1", "2,100%")
    house.tick("d1", "d2")
    house.tell("d1", "1", "check", "commit")
    house.tell("d2", "1", "check", "commit")
    before = house.standings(1)
    if cut(house, dies_after):
        assert house.standings(1) == before
        assert house.desired("d3") == ""
    house.tick()
    assert house.standings(1) == {
        "d1": "succeeded",
        "d2": "succeeded",
        "d3": "pending",
        "d4": "pending",
    }
    history = [entry.text for entry in house.office.rollouts.status(1).history]
    assert history == ["wave 1 opened", "wave 1 passed: 2 of 2", "wave 2 of 2 opened"]


@pytest.fixture
def cut() -> Callable[[House, int], bool]:
    """Run a tick that is cut off at its n-th statement; whether it got that far."""

    def run(house: House, dies_after: int) -> bool:
        left = [dies_after]

        def count(*_: object) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt

        event.listen(Engine, "before_cursor_execute", count)
        try:
            house.tick()
        except KeyboardInterrupt:
            return True
        finally:
            event.remove(Engine, "before_cursor_execute", count)
        return False

    return run
