"""Operators who command one fleet at the same moment, over HTTP: one wins, the other is told."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from tests.fleet_process import FleetProcess, start_fleet

from edgewright.chain.fleet import open_fleet, trust
from edgewright.fleet.audit import read_audit, verify_audit
from edgewright.fleet.devices import TokenOrder
from edgewright.testing.fleet import SIGNER, release_file

pytestmark = pytest.mark.timeout(120)

OPERATORS = ("ada", "bo", "cy", "dee")
ROUNDS = 8


class Fleet:
    """A fleet process and the tokens of its operators."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "fleet"
        (folder / "key.pub").write_text(SIGNER.public.public_hex)
        trust(self.home, [folder / "key.pub"], threshold=1, by="test")
        self.tokens = {}
        with open_fleet(self.home) as office:
            for name in OPERATORS:
                office.users.add(name, "releaser", by="test")
                made = office.users.create_token(name, lifetime_s=600, by="test")
                self.tokens[name] = made.token
            for model in ("started", "paused", "changed", "aborted"):
                release_file(folder / f"{model}.ewb", version="1", model=model)
                office.registry.publish(folder / f"{model}.ewb", by="test")
            token = office.devices.create_token(TokenOrder(uses=3), by="test").token
            for name in ("d1", "d2", "d3"):
                office.devices.enrol(token, name, {})

    def start(self) -> FleetProcess:
        made = start_fleet(self.home)
        self.port = int(made.people.rpartition(":")[2])
        return made

    def ask(self, who: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        line = HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {
            "authorization": f"Bearer {self.tokens[who]}", "content-type": "application/json"
        }  # fmt: skip
        try:
            content = None if body is None else json.dumps(body)
            line.request(method, f"/api/v1{path}", content, headers)
            answer = line.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            line.close()

    def all_at_once(self, command: Callable[[str], tuple[int, Any]]) -> dict[str, tuple[int, Any]]:
        """Every operator's answer; they set off together."""
        barrier, answers = threading.Barrier(len(OPERATORS)), {}

        def one(who: str) -> None:
            barrier.wait()
            answers[who] = command(who)

        threads = [threading.Thread(target=one, args=(who,)) for who in OPERATORS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made = Fleet(tmp_path_factory.mktemp("operators"))
    process = made.start()
    try:
        yield made
    finally:
        process.stop()


def winner_of(answers: dict[str, tuple[int, Any]], *, good: int = 200) -> str:
    """Who won; everybody else was told that somebody was first."""
    assert Counter(status for status, _ in answers.values()) == {good: 1, 409: len(OPERATORS) - 1}
    assert all(said["error"] and said["hint"] for status, said in answers.values() if status == 409)
    return next(who for who, (status, _) in answers.items() if status == good)


def test_one_starts_a_rollout_and_the_others_are_told_of_it(fleet: Fleet) -> None:
    order = {"release": "started@1", "waves": "100%"}
    answers = fleet.all_at_once(lambda who: fleet.ask(who, "POST", "/rollouts", order))
    winner = winner_of(answers, good=201)
    assert all("another active rollout" in said["error"] for status, said in answers.values()
               if status == 409)  # fmt: skip
    with open_fleet(fleet.home) as office:
        mine = [one for one in office.rollouts.list() if one.model == "started"]
        deeds = [e.who for e in read_audit(office.state, newest=500)
                 if e.what == "rollout started" and "started@1" in e.detail]  # fmt: skip
        verify_audit(office.state)
    assert [one.created_by for one in mine] == [winner] == deeds


def started(fleet: Fleet, model: str) -> int:
    status, said = fleet.ask("ada", "POST", "/rollouts", {"release": f"{model}@1"})
    assert status == 201, said
    number: int = said["number"]
    return number


def test_one_pauses_and_one_resumes_however_often_they_race(fleet: Fleet) -> None:
    number = started(fleet, "paused")
    for _ in range(ROUNDS):
        for verb, body in (("pause", {"reason": "race"}), ("resume", None)):
            path = f"/rollouts/{number}/{verb}"
            answers = fleet.all_at_once(
                lambda who, path=path, body=body: fleet.ask(who, "POST", path, body)  # type: ignore[misc]
            )
            winner_of(answers)
    with open_fleet(fleet.home) as office:
        history = [line.text for line in office.rollouts.status(number).history]
        assert sum(text.startswith("paused") for text in history) == ROUNDS
        verify_audit(office.state)


def test_who_decides_on_what_was_seen_is_told_when_it_is_not_so_any_more(fleet: Fleet) -> None:
    number = started(fleet, "changed")
    path = f"/rollouts/{number}"
    seen = fleet.ask("ada", "GET", path)[1]["revision"]
    commands = {
        "ada": ("pause", {"reason": "lunch", "seen": seen}),
        "bo": ("abort", {"reason": "bad", "returns": True, "seen": seen}),
        "cy": ("abort", {"reason": "worse", "returns": False, "seen": seen}),
        "dee": ("pause", {"reason": "again", "seen": seen}),
    }

    def command(who: str) -> tuple[int, Any]:
        verb, body = commands[who]
        return fleet.ask(who, "POST", f"{path}/{verb}", body)

    answers = fleet.all_at_once(command)
    winner = winner_of(answers)
    for who, (status, said) in answers.items():
        if status == 409:
            assert "went on since you saw it" in said["error"], (who, said)
    newest = fleet.ask("ada", "GET", path)[1]
    assert newest["revision"] > seen
    assert winner in newest["reason"] or winner == "dee"


def test_one_aborts_and_the_others_are_told_that_it_is_done(fleet: Fleet) -> None:
    number = started(fleet, "aborted")
    path = f"/rollouts/{number}/abort"
    answers = fleet.all_at_once(lambda who: fleet.ask(who, "POST", path, {"returns": True}))
    winner = winner_of(answers)
    assert all("aborted already" in said["error"] for status, said in answers.values()
               if status == 409)  # fmt: skip
    with open_fleet(fleet.home) as office:
        assert office.rollouts.status(number).reason == winner
