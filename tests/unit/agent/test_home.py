import multiprocessing
from pathlib import Path

import pytest

from edgewright.device.agent import Home, Identity, Settings, State
from edgewright.errors import InputError, ResourceError
from edgewright.testing import MemorySigner
from edgewright.trust import TrustedKeys

KEYS = TrustedKeys(threshold=1, keys=(MemorySigner.from_seed(1).public,))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.save_enrolment(Identity(device="d1", fleet_url="http://127.0.0.1:1", secret="hush"), KEYS)
    return home


def test_an_enrolment_comes_back(home: Home) -> None:
    assert home.identity().device == "d1"
    assert home.trusted_keys() == KEYS


def test_the_secret_is_its_owners_and_is_never_shown(home: Home) -> None:
    assert home.identity_path.stat().st_mode & 0o777 == 0o600
    assert home.root.stat().st_mode & 0o777 == 0o700
    assert "hush" not in repr(home.identity())


def test_a_home_that_was_not_enrolled_says_how(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="agent enroll"):
        Home(tmp_path).identity()


def test_settings_have_defaults_and_know_their_keys(home: Home) -> None:
    assert home.settings() == Settings()
    home.settings_path.write_text("probation_s = 5.0\n")
    assert home.settings().probation_s == 5.0
    home.settings_path.write_text("probation = 5.0\n")
    with pytest.raises(InputError, match="did you mean 'probation_s'"):
        home.settings()
    home.settings_path.write_text("poll_s = -1.0\n")
    with pytest.raises(InputError, match="poll_s is -1"):
        home.settings()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('maintenance_windows = ["at night"]', "not a window"),
        ('maintenance_windows = ["02:00-04:00"]\ntimezone = "Mars/Olympus"', "not known here"),
        ('windows_without_clock = "perhaps"', "perhaps"),
        ("[deadlines_s]\ndownload = 0.0", "deadlines_s.download is 0"),
        ("[deadlines_s]\nidle = 5.0", "deadlines_s.idle is 5"),
        ("[deadlines_s]\nsleep = 5.0", "sleep"),
        ('mqtt = "mqtts://d1:hush@b.example"', "put it into mqtt_password_file"),
        ('mqtt = "mqtts://d1:hu/sh@b.example:1"', "put it into mqtt_password_file"),
    ],
)
def test_a_setting_that_cannot_be_says_which(home: Home, line: str, reason: str) -> None:
    home.settings_path.write_text(line + "\n")
    with pytest.raises(InputError, match=reason):
        home.settings()


def test_windows_and_deadlines_are_read(home: Home) -> None:
    home.settings_path.write_text(
        'maintenance_windows = ["sat 02:00-04:00", "22:00-23:00"]\n'
        'timezone = "Europe/Berlin"\n[deadlines_s]\ndownload = 60.0\n'
    )
    settings = home.settings()
    assert [window.text for window in settings.maintenance.windows] == [
        "sat 02:00-04:00",
        "22:00-23:00",
    ]
    assert settings.maintenance.timezone == "Europe/Berlin"
    assert settings.deadlines_s == {State.DOWNLOAD: 60.0}
    home.settings_path.write_text('mqtt = "mqtts://d1@b.example:8883"\n')
    assert home.settings().mqtt == "mqtts://d1@b.example:8883"
    home.settings_path.unlink()
    assert home.settings().maintenance.why_closed(0.0) == ""


def _hold(root: Path, held: object, done: object) -> None:
    with Home(root).locked():
        held.set()
        done.wait(10)


def test_only_one_agent_works_on_a_home(home: Home) -> None:
    context = multiprocessing.get_context("fork")
    held, done = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(home.root, held, done))
    holder.start()
    assert held.wait(10)
    assert home.is_locked
    with pytest.raises(ResourceError, match="another agent"), home.locked():
        pass
    done.set()
    holder.join()
    assert not home.is_locked
    with home.locked():
        assert Home(home.root).root == home.root
