"""From what happened in a fleet to what a notifier is given; the receivers here are values."""

import asyncio
import random
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest

from edgewright.errors import AbsentError, EdgewrightError, InputError, TransportError, TrustError
from edgewright.fleet.audit import read_audit, verify_audit
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.notify.base import Parcel
from edgewright.fleet.notify.courier import GIVE_UP_S, Courier
from edgewright.fleet.notify.destination import Kind
from edgewright.fleet.notify.notifiers import MOST, NotifierOrder, parse_topics
from edgewright.fleet.office import Office
from edgewright.fleet.rollouts import RolloutOrder
from edgewright.fleet.state import schema
from edgewright.testing import FakeClock
from edgewright.testing.fleet import fleet_office, release_file

HOOK = "https://hook.example/x"


class Names:
    """What names mean, until somebody changes it."""

    def __init__(self) -> None:
        self.meanings = {"hook.example": "93.184.216.34", "other.example": "93.184.216.35"}

    def resolve(self, host: str, _port: int) -> tuple[str, ...]:
        return (self.meanings[host],)


class Receiver:
    """A notifier that keeps what it is given, or fails as told."""

    def __init__(self) -> None:
        self.got: list[Parcel] = []
        self.tried: list[str] = []
        self.failing: dict[str, EdgewrightError] = {}

    async def deliver(self, parcel: Parcel, *, at_s: float) -> None:
        self.tried.append(parcel.notice.id)
        error = self.failing.get(parcel.destination.host)
        if error is not None:
            raise error
        self.got.append(parcel)

    @property
    def lines(self) -> list[str]:
        return [parcel.notice.line for parcel in self.got]


class House:
    """A fleet with a receiver and a courier that is made anew for each round, as after a kill."""

    def __init__(self, office: Office, names: Names, clock: FakeClock) -> None:
        self.office, self.names, self.clock = office, names, clock
        self.receiver = Receiver()

    def add(self, name: str = "ops", url: str = HOOK, *topics: str) -> None:
        order = NotifierOrder(name=name, url=url, topics=parse_topics(topics or ["rollout"]))
        self.office.notifiers.add(order, by="sec")

    def round(self) -> int:
        def way(_kind: Kind) -> Receiver:
            return self.receiver

        with ThreadPoolExecutor(max_workers=1) as writer:
            courier = Courier(self.office, writer, way, rng=random.Random(1), fleet_id="f1")
            return asyncio.run(courier.round())


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
def house(tmp_path: Path, clock: FakeClock, names: Names) -> Iterator[House]:
    with fleet_office(tmp_path / "home", clock, resolve=names.resolve) as office:
        release_file(tmp_path / "1.ewb", version="1")
        office.registry.publish(tmp_path / "1.ewb", by="ada")
        token = office.devices.create_token(TokenOrder(uses=9), by="ada").token
        for name in ("d1", "d2", "d3"):
            office.devices.enrol(token, name, {})
        yield House(office, names, clock)


def roll_out(house: House) -> None:
    house.office.rollouts.start(RolloutOrder(release="tiny@1", waves="100%"), by="ada")


def test_news_begin_when_somebody_is_there_to_be_told(house: House) -> None:
    roll_out(house)
    house.add()
    assert house.round() == 0
    house.office.rollouts.pause(1, reason="lunch", by="ada")
    assert house.round() == 1
    assert house.receiver.lines == ["[rollout] rollout 1 of tiny: paused: ada: lunch"]


def test_what_was_delivered_is_not_repeated_after_a_kill(house: House) -> None:
    house.add()
    roll_out(house)
    assert (house.round(), house.round()) == (1, 0)
    assert [parcel.notice.id for parcel in house.receiver.got] == ["f1-history-1"]


def test_an_address_is_pinned_and_the_secret_is_the_notifiers(house: House) -> None:
    house.add()
    roll_out(house)
    house.round()
    (parcel,) = house.receiver.got
    assert parcel.address == "93.184.216.34"
    assert parcel.secret.startswith("whsec_")
    assert "whsec" not in repr(parcel)


def test_a_receiver_that_is_away_is_asked_again_under_the_same_id(house: House) -> None:
    house.add()
    roll_out(house)
    house.receiver.failing["hook.example"] = TransportError("away")
    waits = []
    for _ in range(5):
        house.round()
        (facts,) = house.office.notifiers.list()
        assert (facts.waiting, facts.last_error) == (1, "away")
        waits.append(next_try_in(house))
        tried = len(house.receiver.tried)
        house.clock.advance(0.8 * waits[-1])
        house.round()
        assert len(house.receiver.tried) == tried
        house.clock.advance(0.2 * waits[-1] + 0.1)
    assert [round(wait / first) for wait, first in zip(waits, waits[:1] * 5, strict=True)][:2] == [
        1, 2,
    ]  # fmt: skip
    assert waits == sorted(waits)
    house.receiver.failing.clear()
    assert house.round() == 1
    assert set(house.receiver.tried) == {"f1-history-1"}
    (facts,) = house.office.notifiers.list()
    assert (facts.waiting, facts.failures, facts.last_error) == (0, 0, "")


def next_try_in(house: House) -> float:
    with house.office.state.read() as connection:
        at_s = connection.scalar(schema.notifiers.select().with_only_columns(
            schema.notifiers.c.next_try_s))  # fmt: skip
    assert at_s is not None
    return at_s - house.clock.wall_s()


def test_what_is_a_day_old_is_given_up_and_the_next_one_follows(house: House) -> None:
    house.add()
    roll_out(house)
    house.receiver.failing["hook.example"] = TransportError("away")
    house.round()
    house.clock.advance(GIVE_UP_S)
    house.office.rollouts.pause(1, reason="", by="ada")
    house.round()
    newest, oldest = house.office.notifiers.deliveries("ops")
    assert (oldest.standing, oldest.attempts, oldest.error) == ("given up", 2, "away")
    assert newest.standing == "waiting"


def test_what_a_receiver_refuses_for_good_does_not_hold_up_the_rest(house: House) -> None:
    house.add()
    roll_out(house)
    house.receiver.failing["hook.example"] = InputError("answered 422")
    assert house.round() == 1
    house.receiver.failing.clear()
    house.office.rollouts.pause(1, reason="", by="ada")
    assert house.round() == 1
    assert [d.standing for d in house.office.notifiers.deliveries("ops")] == [
        "delivered",
        "given up",
    ]


def test_a_fault_of_one_delivery_does_not_end_the_courier(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.add()
    roll_out(house)
    house.receiver.failing["hook.example"] = cast("EdgewrightError", struct.error("too long"))
    assert house.round() == 1
    (delivery,) = house.office.notifiers.deliveries("ops")
    assert (delivery.standing, delivery.error) == ("given up", "the delivery failed: error")
    assert "too long" in caplog.text


def test_a_secret_has_an_end() -> None:
    with pytest.raises(ValueError, match="at most 4096"):
        NotifierOrder(name="ops", url=HOOK, secret="s" * 5000)


def test_one_that_is_away_does_not_hold_up_another(house: House) -> None:
    house.add()
    house.add("other", "https://other.example/")
    roll_out(house)
    house.receiver.failing["hook.example"] = TransportError("away")
    house.round()
    assert [parcel.destination.host for parcel in house.receiver.got] == ["other.example"]


def test_a_name_that_means_this_machine_later_gets_nothing_and_is_written_down(
    house: House,
) -> None:
    house.add("ops", HOOK, "rollout", "audit", "refused")
    roll_out(house)
    house.names.meanings["hook.example"] = "127.0.0.1"
    for _ in range(5):
        house.round()
    assert house.receiver.tried == []
    written = [e for e in read_audit(house.office.state) if e.what == "delivery refused"]
    assert {e.subject for e in written} == {"ops"}
    assert "not a public address" in written[0].detail
    assert len(written) == len(house.office.notifiers.deliveries("ops")) == 3
    verify_audit(house.office.state)


def test_deeds_and_attacks_are_news_for_who_asks(house: House) -> None:
    from edgewright.fleet.refusals import Refusal

    house.add("sec", HOOK, "audit,refused")
    house.office.devices.revoke("d3", by="bo")
    refusal = Refusal(door="people", who="10.0.0.9", request="GET /x", status=403)
    house.office.refusals.note(refusal)
    house.round()
    assert house.receiver.lines == [
        "[audit] notifier added sec: webhook hook.example:443, of audit, refused (sec)",
        "[audit] device revoked d3 (bo)",
        "[refused] request refused at the door for people 403 GET /x: GET /x (10.0.0.9)",
    ]


def test_a_site_that_falls_silent_is_one_piece_of_news_and_so_is_its_return(house: House) -> None:
    house.add("ops", HOOK, "alert")

    def seen(*devices: str) -> None:
        house.office.devices.note_seen(dict.fromkeys(devices, house.clock.wall_s()))

    seen("d1", "d2", "d3")
    house.clock.advance(700)
    house.round()
    house.round()
    assert house.receiver.lines == ["[alert] silence: 3 devices, d1 first"]
    assert house.receiver.got[0].notice.devices == ("d1", "d2", "d3")
    for _ in range(11):
        seen("d1", "d2", "d3")
        house.clock.advance(60)
        house.round()
    assert house.receiver.lines[1:] == ["[alert] silence: over on 3 devices, d1 first"]


def test_a_project_hears_its_own_news_and_the_operator_also_the_fleets(
    house: House, tmp_path: Path
) -> None:
    from edgewright.fleet.audit import FLEET_ITSELF, Deed, write_down

    house.office.projects.add("vault", by="root")
    vault = house.office.within("vault")
    order = NotifierOrder(name="ops", url=HOOK, topics=("rollout", "audit"))
    vault.notifiers.add(order, by="eve")
    house.add("ops", "https://other.example/", "rollout,audit")
    release_file(tmp_path / "s.ewb", version="1", model="secret")
    vault.registry.publish(tmp_path / "s.ewb", by="eve")
    roll_out(house)
    with house.office.state.write() as connection:
        deed = Deed(at_s=0, who="ada", what="login", subject="ada", project=FLEET_ITSELF)
        write_down(connection, deed)
    house.round()
    heard: dict[str, str] = {}
    for parcel in house.receiver.got:
        heard[parcel.destination.host] = heard.get(parcel.destination.host, "") + str(parcel.notice)
    assert "secret@1" in heard["hook.example"]
    assert "rollout 1" not in heard["hook.example"]
    assert "rollout 1" in heard["other.example"]
    assert "secret" not in heard["other.example"]
    assert "login" not in heard["hook.example"] + heard["other.example"]
    house.office.notifiers.add(
        NotifierOrder(name="all", url=HOOK, topics=("audit",)), by="root", hears_fleet=True
    )
    with house.office.state.write() as connection:
        write_down(connection, deed)
    house.receiver.got.clear()
    house.round()
    assert [p.notice.subject for p in house.receiver.got if "login" in p.notice.subject] == [
        "login ada"
    ]
    assert [one.name for one in vault.notifiers.list()] == ["ops"]


def test_a_refused_destination_is_in_the_audit_log(house: House) -> None:
    house.names.meanings["hook.example"] = "169.254.169.254"
    with pytest.raises(TrustError, match="metadata"):
        house.add()
    newest = read_audit(house.office.state)[0]
    assert (newest.who, newest.what, newest.subject) == (
        "sec", "notifier refused", "hook.example:443",
    )  # fmt: skip
    assert house.office.notifiers.list() == ()


def test_who_is_removed_gets_nothing_more(house: House) -> None:
    house.add()
    roll_out(house)
    house.office.notifiers.remove("ops", by="sec")
    assert house.round() == 0
    assert house.receiver.tried == []
    with pytest.raises(AbsentError, match="no notifier 'ops'"):
        house.office.notifiers.deliveries("ops")


def test_a_secret_is_told_once_and_a_brought_one_never(house: House) -> None:
    made = house.office.notifiers.add(NotifierOrder(name="a", url=HOOK), by="sec")
    brought = house.office.notifiers.add(
        NotifierOrder(name="b", url=HOOK, secret=made.secret), by="sec"
    )
    assert made.secret.startswith("whsec_")
    assert brought.secret == ""
    with pytest.raises(InputError, match="whsec_ and 24 to 64 bytes"):
        house.office.notifiers.add(NotifierOrder(name="c", url=HOOK, secret="guess"), by="sec")


@pytest.mark.parametrize("name", ["", "../x", "a b"])
def test_a_bad_name_is_refused(house: House, name: str) -> None:
    with pytest.raises(InputError, match="notifier"):
        house.add(name)


def test_one_twice_and_too_many_are_refused(house: House) -> None:
    house.add()
    with pytest.raises(InputError, match="notifier ops already"):
        house.add()
    for number in range(MOST - 1):
        house.add(f"n{number}")
    with pytest.raises(InputError, match="50 notifiers already"):
        house.add("one-more")


def test_an_unknown_kind_of_news_is_refused() -> None:
    with pytest.raises(InputError, match="no news of 'rolout'"):
        parse_topics(["rolout"])
    assert parse_topics(["alert", "rollout,alert"]) == ("rollout", "alert")


def test_named_hosts_are_kept_and_written_down(house: House) -> None:
    assert house.office.notifiers.named() == ()
    house.office.notifiers.name_hosts(["B.internal:25", "a.internal"], by="root")
    assert house.office.notifiers.named() == ("a.internal", "b.internal:25")
    assert read_audit(house.office.state)[0].subject == "a.internal b.internal:25"


def test_a_receiver_that_is_away_for_long_loses_its_oldest_news(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgewright.fleet.notify import news

    monkeypatch.setattr(news, "MOST_WAITING", 3)
    house.add()
    roll_out(house)
    house.receiver.failing["hook.example"] = TransportError("away")
    for _ in range(3):
        house.office.rollouts.pause(1, reason="", by="ada")
        house.office.rollouts.resume(1, by="ada")
    house.round()
    standings = [d.standing for d in house.office.notifiers.deliveries("ops")]
    assert standings[:3] == ["waiting"] * 3
    assert set(standings[3:]) == {"given up"}
