"""Requests made from the fleet's own description, as every role: none may fail inside, and none
may tell of another project.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from litestar.testing import TestClient

from edgewright.fleet.office import Office
from edgewright.fleet.people_api import House, build_app
from edgewright.fleet.roles import ROLES
from edgewright.testing import FakeClock
from edgewright.testing.fleet import fleet_office
from edgewright.testing.projects import leaks, their_path, two_projects

schemathesis = pytest.importorskip("schemathesis", reason="absent: schemathesis (extra oracles)")

pytestmark = pytest.mark.timeout(300)

NOBODY = "nobody"
DESCRIPTION = "/api/v1/schema/openapi.json"


class Walk:
    """The fleet, a client of it for each role, and every operation of its description."""

    def __init__(self, office: Office, client: TestClient[Any]) -> None:
        self.office, self.client = office, client
        self.tokens = {NOBODY: ""}
        for role in ROLES:
            office.users.add(role, role, by="root")
            made = office.users.create_token(role, lifetime_s=86_400, by="root")
            self.tokens[role] = made.token
        description = client.get(DESCRIPTION, headers=self.headers("viewer")).json()
        schema = schemathesis.openapi.from_dict(description)
        self.operations = [found.ok() for found in schema.get_all_operations()]
        self.sent = 0

    def headers(self, role: str) -> dict[str, str]:
        token = self.tokens[role]
        return {"authorization": f"Bearer {token}"} if token else {}

    def go(self, operation: Any, role: str, *, examples: int, number: int) -> None:
        """Send what the description allows (and some that it does not) to one operation: with the
        names that were made up, and with those of the other project.
        """

        @seed(number)
        @settings(max_examples=examples, database=None, deadline=None, phases=[Phase.generate],
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(case=operation.as_strategy())
        def send(case: Any) -> None:
            made_up = case.as_transport_kwargs(base_url="https://fleet.example")
            theirs = dict(made_up)
            path = operation.path.replace("{project}", "default")
            theirs["url"] = f"https://fleet.example{their_path(path)}"
            for request in (made_up, theirs):
                self._send(request, role)

        send()

    def _send(self, request: dict[str, Any], role: str) -> None:
        headers = {k: v for k, v in dict(request.pop("headers", None) or {}).items()
                   if k.lower() not in ("authorization", "cookie", "user-agent")}  # fmt: skip
        request.pop("cookies", None)
        if isinstance(request.get("data"), bytes | str):
            request["content"] = request.pop("data")
        answer = self.client.request(**request, headers=headers | self.headers(role))
        self.sent += 1
        what = (role, request["method"], request["url"], answer.status_code, answer.text[:500])
        assert answer.status_code < 500, what
        assert not leaks(answer.text, is_refused=answer.status_code >= 400), what


def public(_host: str, _port: int) -> tuple[str, ...]:
    """Names that were made up are looked up nowhere."""
    return ("8.8.8.8",)


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    folder: Path = tmp_path_factory.mktemp("openapi")
    with fleet_office(folder / "home", FakeClock(), resolve=public) as office:
        two_projects(office, folder)
        app = build_app(office, house=House(names=("fleet.example",), is_local=False))
        with TestClient(app, base_url="https://fleet.example") as client:
            yield Walk(office, client)


def test_no_request_of_the_description_fails_inside_or_leaks(walk: Walk) -> None:
    roles = itertools.cycle((*ROLES, NOBODY))
    assert len(walk.operations) > 60
    for number, (operation, role) in enumerate(zip(walk.operations, roles, strict=False)):
        walk.go(operation, role, examples=1, number=number)
    assert walk.sent >= 2 * len(walk.operations)


@pytest.mark.long
def test_no_role_finds_a_request_that_fails_inside_or_leaks(walk: Walk, long_slice: Any) -> None:
    every = list(itertools.product(walk.operations, (*ROLES, NOBODY)))
    for number, (operation, role) in enumerate(long_slice.pick(every, 150)):
        walk.go(operation, role, examples=10, number=number)
    assert walk.sent >= 1000
