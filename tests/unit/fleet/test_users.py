from pathlib import Path
from typing import get_args

import pytest
from sqlalchemy import update

from edgewright.errors import InputError, TrustError
from edgewright.fleet.audit import read_audit
from edgewright.fleet.office import Office
from edgewright.fleet.roles import PERMISSIONS, ROLES, Permission, may
from edgewright.fleet.state import schema
from edgewright.testing import FakeClock
from edgewright.testing.fleet import release_file


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


PASSWORD = "correct horse battery"


def test_wrong_passwords_lock_an_account_for_ever_longer(office: Office, clock: FakeClock) -> None:
    office.users.add("rita", "releaser", by="root")
    office.users.set_password("rita", PASSWORD, by="root")
    for _ in range(5):
        with pytest.raises(TrustError, match="do not belong together"):
            office.users.login("rita", "wrong")
    with pytest.raises(TrustError):
        office.users.login("rita", PASSWORD)
    clock.advance(61)
    session = office.users.login("rita", PASSWORD).session
    assert office.users.allowed(session, "rollout").name == "rita"
    deeds = [entry.what for entry in read_audit(office.state)]
    assert {"login", "login refused", "account locked"} <= set(deeds)


def test_a_lock_does_not_end_by_guessing_on(office: Office, clock: FakeClock) -> None:
    office.users.add("rita", "releaser", by="root")
    office.users.set_password("rita", PASSWORD, by="root")
    with office.state.write() as connection:
        connection.execute(update(schema.users).values(failures=5000, locked_until_s=0.0))
    with pytest.raises(TrustError, match="do not belong together"):
        office.users.login("rita", "wrong")
    clock.advance(3599)
    with pytest.raises(TrustError, match="locked"):
        office.users.login("rita", PASSWORD)


def test_a_session_ends_with_time_logout_password_and_disabling(
    office: Office, clock: FakeClock
) -> None:
    office.users.add("rita", "releaser", by="root")

    def session() -> str:
        office.users.set_password("rita", PASSWORD, by="root")
        return office.users.login("rita", PASSWORD).session

    def ends(held: str) -> bool:
        try:
            office.users.allowed(held, "read")
        except TrustError:
            return True
        return False

    held = session()
    assert not ends(held)
    office.users.logout(held)
    assert ends(held)
    held = session()
    session()
    assert ends(held)
    held = session()
    office.users.set_disabled("rita", is_disabled=True, by="root")
    assert ends(held)
    with pytest.raises(TrustError):
        office.users.login("rita", PASSWORD)
    office.users.set_disabled("rita", is_disabled=False, by="root")
    held = session()
    clock.advance(8 * 3600)
    assert ends(held)


def test_a_scope_narrows_a_token_and_widens_none(office: Office) -> None:
    office.users.add("rita", "releaser", by="root")
    office.users.add("vera", "viewer", by="root")
    made = office.users.create_token("rita", lifetime_s=60, by="root", scopes=["read"]).token
    assert office.users.allowed(made, "read").name == "rita"
    with pytest.raises(TrustError, match="is for read only"):
        office.users.allowed(made, "rollout")
    wide = office.users.create_token("vera", lifetime_s=60, by="root", scopes=["rollout"]).token
    with pytest.raises(TrustError, match="role viewer"):
        office.users.allowed(wide, "rollout")
    with pytest.raises(InputError, match="no scope 'roll'"):
        office.users.create_token("vera", lifetime_s=60, by="root", scopes=["roll"])
    assert office.users.revoke_tokens("rita", by="root") == 1
    with pytest.raises(TrustError):
        office.users.allowed(made, "read")


def test_nobody_approves_what_was_proposed_a_moment_ago(office: Office, tmp_path: Path) -> None:
    for version in "12":
        release_file(tmp_path / f"{version}.ewb", version=version)
        office.registry.publish(tmp_path / f"{version}.ewb", by="ada")
        office.aliases.propose(f"tiny@{version}", "production", by="ada")
    with pytest.raises(InputError, match="tiny@2 is proposed for tiny@production, not tiny@1"):
        office.aliases.approve("tiny@1", "production", by="bert")
    assert office.aliases.approve("tiny@2", "production", by="bert").approved_by == "bert"


@pytest.mark.parametrize("password", ["", "short", "x" * 257])
def test_a_password_has_a_length(office: Office, password: str) -> None:
    office.users.add("rita", "releaser", by="root")
    with pytest.raises(InputError, match="expected 12 to 256"):
        office.users.set_password("rita", password, by="root")


def test_an_alias_needs_two_people(office: Office, tmp_path: Path) -> None:
    release_file(tmp_path / "1.ewb", version="1")
    office.registry.publish(tmp_path / "1.ewb", by="ada")
    office.aliases.propose("tiny@1", "production", by="ada")
    with pytest.raises(InputError, match="none has"):
        office.registry.release("tiny@production")
    with pytest.raises(TrustError, match="cannot approve"):
        office.aliases.approve("tiny@1", "production", by="ada")
    office.aliases.approve("tiny@1", "production", by="bert")
    assert office.registry.release("tiny@production").version == "1"
    with pytest.raises(InputError, match="nothing is proposed"):
        office.aliases.approve("tiny@1", "production", by="carl")
    with pytest.raises(InputError, match="is a version"):
        office.aliases.propose("tiny@1", "1", by="ada")
