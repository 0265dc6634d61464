from typing import get_args

import pytest

from edgewright.errors import InputError, TrustError
from edgewright.fleet.office import Office
from edgewright.fleet.roles import PERMISSIONS, ROLES, Permission, may
from edgewright.testing import FakeClock


def token(office: Office, role: str) -> str:
    office.users.add("ada", role, by="root")
    return office.users.create_token("ada", lifetime_s=60, by="root").token


@pytest.mark.parametrize("role", ROLES)
def test_a_token_allows_what_its_role_does(office: Office, role: str) -> None:
    secret = token(office, role)
    for permission in get_args(Permission):
        if may(role, permission):
            assert office.users.allowed(secret, permission).name == "ada"
        else:
            with pytest.raises(TrustError, match="does not include"):
                office.users.allowed(secret, permission)


def test_every_role_is_in_the_table_and_may_read() -> None:
    assert set(PERMISSIONS) == set(ROLES)
    assert all(may(role, "read") for role in ROLES)


def test_a_token_expires(office: Office, clock: FakeClock) -> None:
    secret = token(office, "releaser")
    clock.advance(60)
    with pytest.raises(TrustError, match="expired"):
        office.users.allowed(secret, "read")


def test_another_role_holds_at_once(office: Office) -> None:
    secret = token(office, "releaser")
    office.users.set_role("ada", "viewer", by="root")
    with pytest.raises(TrustError):
        office.users.allowed(secret, "rollout")


def test_wrong_names_and_roles_are_refused(office: Office) -> None:
    office.users.add("ada", "viewer", by="root")
    with pytest.raises(InputError, match="there already"):
        office.users.add("ada", "viewer", by="root")
    with pytest.raises(InputError, match="did you mean 'releaser'"):
        office.users.add("bob", "release", by="root")
    with pytest.raises(InputError, match="no user"):
        office.users.set_role("bob", "viewer", by="root")
    with pytest.raises(InputError, match="no user"):
        office.users.create_token("bob", lifetime_s=60, by="root")
    with pytest.raises(InputError, match="at most a year"):
        office.users.create_token("ada", lifetime_s=1e12, by="root")
