"""Which wheels a machine is sent, and what is said before when they are not enough."""

import zipfile
from pathlib import Path

import pytest

from edgewright.errors import InputError, TransportError
from edgewright.fleet.push.installing import parse_ground
from edgewright.fleet.push.wheelhouse import (
    Interpreter,
    chosen,
    package_prechecks,
    read_wheelhouse,
)

PI = Interpreter(version=(3, 11), arch="aarch64", glibc=(2, 36))
OLD_PI = Interpreter(version=(3, 11), arch="aarch64", glibc=(2, 17))


def wheel(folder: Path, name: str, *needs: str, extras: tuple[str, ...] = ()) -> None:
    first = name.split("-", 1)[0]
    info = "-".join(name.split("-")[:2])
    with zipfile.ZipFile(folder / f"{name}.whl", "w") as archive:
        lines = "".join(f"Requires-Dist: {need}\n" for need in needs)
        lines += "".join(f"Provides-Extra: {extra}\n" for extra in extras)
        archive.writestr(f"{info}.dist-info/METADATA", f"Name: {first}\n{lines}\n")
        archive.writestr(f"{first}/code.py", "x" * 1000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    wheel(tmp_path, "edgewright-1.0-py3-none-any", "numpy>=2", "uvloop; sys_platform != 'win32'")
    wheel(tmp_path, "edgewright-1.2-py3-none-any", "numpy>=2", "win; sys_platform == 'win32'")
    wheel(tmp_path, "numpy-2.1-cp311-cp311-manylinux_2_28_aarch64")
    wheel(tmp_path, "numpy-2.0-cp311-cp311-manylinux2014_aarch64")
    wheel(tmp_path, "numpy-2.2-cp311-cp311-manylinux_2_28_x86_64")
    wheel(tmp_path, "numpy-2.3-cp312-cp312-manylinux_2_28_aarch64")
    return tmp_path


@pytest.mark.parametrize(
    ("machine", "numpy"),
    [
        (PI, "2.1"),
        (OLD_PI, "2.0"),
        (Interpreter(version=(3, 11), arch="x86_64", glibc=(2, 36)), "2.2"),
        (Interpreter(version=(3, 12), arch="aarch64", glibc=(2, 36)), "2.3"),
    ],
)
def test_a_machine_is_sent_the_newest_wheels_that_fit_it(
    folder: Path, machine: Interpreter, numpy: str
) -> None:
    wheels, lacking = chosen(read_wheelhouse(folder), machine)
    assert lacking == []
    assert [(one.name, str(one.version)) for one in wheels] == [
        ("edgewright", "1.2"),
        ("numpy", numpy),
    ]


def test_what_no_wheel_fulfils_is_named_before_anything_is_sent(folder: Path) -> None:
    (folder / "edgewright-1.2-py3-none-any.whl").unlink()
    wheels, lacking = chosen(read_wheelhouse(folder), PI)
    assert lacking == ['uvloop; sys_platform != "win32"']
    verdicts = {
        check.name: check.status
        for check in package_prechecks(
            PI, has_venv=True, disk_free_mb=500, wheels=wheels, lacking=lacking, reserve_mb=64
        )
    }
    assert verdicts.pop("wheels") == "FAILED"
    assert set(verdicts.values()) == {"PASSED"}


def test_a_wheel_may_carry_others_and_two_needs_of_one_must_agree(folder: Path) -> None:
    with zipfile.ZipFile(folder / "numpy-2.1-cp311-cp311-manylinux_2_28_aarch64.whl", "a") as file:
        file.writestr("numpy/_vendor/other-1.dist-info/METADATA", "Name: other")
    wheel(folder, "edgewright-1.3-py3-none-any", "picky", "numpy>=2.1")
    wheel(folder, "picky-1.0-py3-none-any", "numpy<2.1")
    _, lacking = chosen(read_wheelhouse(folder), PI)
    assert lacking == ["numpy<2.1 beside numpy 2.1"]


def test_a_machine_that_cannot_take_a_package_is_told_why() -> None:
    verdicts = {
        check.name: (check.status, check.measured)
        for check in package_prechecks(
            Interpreter(), has_venv=False, disk_free_mb=-1, wheels=(), lacking=(), reserve_mb=64
        )
    }
    assert {status for status, _ in verdicts.values()} == {"FAILED"}
    assert verdicts["python"] == ("FAILED", "none found")
    assert verdicts["disk for the package"] == ("FAILED", "not said")


def test_extras_bring_their_own_requirements_also_those_of_other_packages(folder: Path) -> None:
    extra = "mqtt"
    needs = ("numpy", f"broker[{extra}]; extra == '{extra}'", "x; extra == 'other'")
    wheel(folder, "edgewright-1.4-py3-none-any", *needs, extras=("mqtt", "other"))
    wheel(folder, "broker-1.0-py3-none-any", "line; extra == 'mqtt'", extras=("mqtt",))
    wheel(folder, "line-2.0-py3-none-any")
    wheels = read_wheelhouse(folder)
    assert {one.name for one in chosen(wheels, PI)[0]} == {"edgewright", "numpy"}
    taken, lacking = chosen(wheels, PI, ["mqtt"])
    assert lacking == []
    assert {one.name for one in taken} == {"edgewright", "numpy", "broker", "line"}
    assert chosen(wheels, PI, ["other"])[1] == ["x; extra == 'other'".replace("'", '"')]
    assert chosen(wheels, PI, ["nil"])[1] == ["extra nil of edgewright 1.4, which has none such"]


@pytest.mark.parametrize("spoiled", ["edgewright.whl", "edgewright-1.0-py3-none-any.whl"])
def test_a_folder_that_is_no_wheelhouse_is_refused(tmp_path: Path, spoiled: str) -> None:
    with pytest.raises(InputError, match="no wheel of edgewright"):
        read_wheelhouse(tmp_path)
    (tmp_path / spoiled).write_bytes(b"no zip")
    with pytest.raises(InputError, match="not a wheel"):
        read_wheelhouse(tmp_path)
    with pytest.raises(InputError, match="reading"):
        read_wheelhouse(tmp_path / "absent")


def test_what_a_machine_says_of_itself_is_read_or_refused() -> None:
    said = b"venv=/opt/e\narch=aarch64\nglibc=2.36\nwritable=yes\ndisk_kb=2000\nversion=3.11\n"
    more = b"extras=mqtt,serial\nother=/home/pi/x\ntaken=yes\n"
    found = parse_ground(said + more)
    assert (found.extras, found.other, found.is_taken) == ({"mqtt", "serial"}, "/home/pi/x", True)
    ground = parse_ground(said)
    assert (ground.extras, ground.other, ground.is_taken) == (frozenset(), "", False)
    assert (ground.interpreter, ground.is_writable, ground.has_venv) == (PI, True, False)
    assert ground.disk_free_mb == pytest.approx(2.048)
    for nonsense in (b"", b"venv=/x\nglibc=two"):
        with pytest.raises(TransportError, match="not understood"):
            parse_ground(nonsense)
