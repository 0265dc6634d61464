import base64
import json
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from edgewright.cli.device import device
from edgewright.errors import InputError
from edgewright.fleet.prepare import SYSTEMS, PrepareOrder, System, prepared_files

TOKEN = "ewt_secret.0123abcd"
SSH_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5cWPhvcoAXvBaITDvEBvsq9VwcpKzTs0HnZJQdC4Tf ada@desk"
)


def order(system: System = "debian", **more: Any) -> PrepareOrder:
    told: dict[str, Any] = {"device": "d1", "fleet_url": "https://fleet.example:8701",
                            "token": TOKEN} | more  # fmt: skip
    return PrepareOrder(system=system, **told)


def files(order: PrepareOrder) -> dict[str, str]:
    return {file.name: file.content for file in prepared_files(order)}


def laid(tmp_path: Path, order: PrepareOrder) -> Path:
    """A root file system that install-into.sh worked on."""
    root = tmp_path / "root"
    (root / "etc/systemd/system").mkdir(parents=True)
    script = tmp_path / "install-into.sh"
    script.write_text(files(order)["install-into.sh"])
    subprocess.run(["sh", str(script), str(root)], check=True, capture_output=True)
    return root


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("kind", ["fleet", "push"])
def test_every_script_is_one_that_a_shell_reads(tmp_path: Path, system: System, kind: str) -> None:
    more = {} if kind == "fleet" else {"fleet_url": "", "token": "", "keys": ("aa\n", "bb\n")}
    made = files(order(system, ssh_keys=(SSH_KEY,), labels=("site=berlin",), **more))
    scripts = [content for content in made.values() if content.startswith("#!/bin/sh")]
    user_data = made.get("user-data")
    if user_data:
        written = json.loads(user_data.removeprefix("#cloud-config\n"))["write_files"]
        contents = [base64.b64decode(each["content"]).decode() for each in written]
        scripts += [content for content in contents if content.startswith("#!/bin/sh")]
    assert scripts
    for script in scripts:
        subprocess.run(["sh", "-n"], input=script, text=True, check=True)
        assert "{{" not in script


def test_cloud_init_lays_down_what_the_machine_needs() -> None:
    text = files(order(ssh_keys=(SSH_KEY,)))["user-data"]
    assert text.startswith("#cloud-config\n")
    told = json.loads(text.removeprefix("#cloud-config\n"))
    written = {each["path"]: each for each in told["write_files"]}
    assert set(written) == {
        "/usr/local/sbin/edgewright-setup",
        "/etc/systemd/system/edgewright-setup.service",
        "/etc/systemd/system/edgewright-agent.service",
        "/etc/edgewright/token",
    }
    assert written["/etc/edgewright/token"]["permissions"] == "0600"
    assert written["/usr/local/sbin/edgewright-setup"]["permissions"] == "0755"
    assert base64.b64decode(written["/etc/edgewright/token"]["content"]).decode() == f"{TOKEN}\n"
    assert told["ssh_authorized_keys"] == [SSH_KEY]
    assert ["systemctl", "enable", "--now", "--no-block", "edgewright-setup.service"] in told[
        "runcmd"
    ]


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_token_lies_in_files_of_their_owner_only(system: System) -> None:
    for file in prepared_files(order(system)):
        holds = TOKEN in file.content or base64.b64encode(f"{TOKEN}\n".encode()).decode() in (
            file.content.replace("\\", "")
        )
        assert not (holds and file.mode & 0o077), file.name
        assert TOKEN not in repr(file)
    assert TOKEN not in repr(order(system))


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_machine_looks_at_itself_and_claims_what_it_measured(
    tmp_path: Path, system: System
) -> None:
    root = laid(tmp_path, order("jetpack"))
    setup = root / "usr/local/sbin/edgewright-setup"
    if system != "jetpack":
        user_data = files(order(system))["user-data"].removeprefix("#cloud-config\n")
        (content,) = (
            each["content"]
            for each in json.loads(user_data)["write_files"]
            if each["path"].endswith("edgewright-setup")
        )
        setup.write_bytes(base64.b64decode(content))
    done = subprocess.run(["sh", str(setup), "--check"], capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    checks = {check["name"]: check for check in report["checks"]}
    assert (report["system"], report["step"]) == (system, "look")
    assert checks["architecture"]["status"] == "PASSED"
    assert checks["disk"]["measured"].endswith("MB free")
    assert checks["clock"]["status"] == "PASSED"
    for check in report["checks"]:
        assert check["status"] in ("PASSED", "FAILED", "NOT MEASURED")
        assert bool(check["measured"]) == (check["status"] != "NOT MEASURED"), check
    if system != "debian":
        assert checks["board"]["status"] == "NOT MEASURED"


def test_an_unfit_machine_is_refused_with_a_report_and_nothing_is_installed(
    tmp_path: Path,
) -> None:
    root = laid(tmp_path, order("jetpack"))
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "uname").write_text("#!/bin/sh\necho armv6l\n")
    (tools / "uname").chmod(0o755)
    done = subprocess.run(
        ["sh", str(root / "usr/local/sbin/edgewright-setup")],
        env={"PATH": f"{tools}:/usr/bin:/bin", "EDGEWRIGHT_ROOT": str(root)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "not passed: architecture" in done.stderr
    report = json.loads((root / "var/lib/edgewright/prepare.json").read_text())
    assert report["step"] == "refused"
    assert not (root / "opt/edgewright").exists()


def small_wheel(folder: Path) -> None:
    """A package of the same name that says its version."""
    folder.mkdir(parents=True)
    info = "edgewright-0.1.dist-info"
    lines = {
        "edgewright/__init__.py": "",
        "edgewright/__main__.py": "def main():\n    print('small 0.1')\n\n"
        "if __name__ == '__main__':\n    main()\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: edgewright\nVersion: 0.1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nedgewright = edgewright.__main__:main\n",
    }
    lines[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*lines, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / "edgewright-0.1-py3-none-any.whl", "w") as wheel:
        for name, content in lines.items():
            wheel.writestr(name, content)


@pytest.mark.long
def test_a_program_that_does_not_answer_is_made_anew_and_one_that_does_is_kept(
    tmp_path: Path,
) -> None:
    root = laid(tmp_path, order("jetpack", wheelhouse="/wheels"))
    small_wheel(root / "wheels")
    (root / "var/lib/edgewright").mkdir(parents=True)
    (root / "var/lib/edgewright/identity.json").write_text("{}")
    program = root / "opt/edgewright/bin/edgewright"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!{root}/opt/edgewright.new/bin/python\n")
    program.chmod(0o755)

    def set_up() -> None:
        subprocess.run(
            ["sh", str(root / "usr/local/sbin/edgewright-setup")],
            env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
                 "EDGEWRIGHT_ROOT": str(root)},
            check=True, capture_output=True, text=True,
        )  # fmt: skip

    set_up()
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == "small 0.1\n"
    assert (program.parent / "python").is_symlink()
    assert not (root / "opt/edgewright.new").exists()
    made = program.stat().st_ino
    set_up()
    assert program.stat().st_ino == made


def test_a_root_file_system_gets_everything_with_its_modes(tmp_path: Path) -> None:
    root = laid(tmp_path, order("jetpack"))
    token = root / "etc/edgewright/token"
    assert token.read_text() == f"{TOKEN}\n"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    wanted = root / "etc/systemd/system/multi-user.target.wants/edgewright-setup.service"
    assert wanted.resolve() == (root / "etc/systemd/system/edgewright-setup.service").resolve()
    assert (root / "etc/hostname").read_text() == "d1\n"


@pytest.mark.parametrize(
    "more",
    [
        {"token": ""},
        {"fleet_url": ""},
        {"keys": ("aa",)},
        {"fleet_url": "ftp://fleet.example"},
        {"fleet_url": "https://"},
        {"package": "edgewright; rm -rf /"},
        {"package": "other"},
        {"labels": ("site=$(id)",)},
        {"labels": ("site",)},
        {"wheelhouse": "relative"},
        {"wheelhouse": "/a b"},
        {"ssh_keys": ("ssh-ed25519 AAAA\nevil",)},
        {"ssh_keys": ("-----BEGIN OPENSSH PRIVATE KEY-----",)},
    ],
)
def test_what_no_machine_can_be_made_of_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        prepared_files(order(**more))


def test_what_people_write_cannot_break_out_of_a_script() -> None:
    evil = "https://fleet.example/'$(touch /tmp/x)'"
    made = files(order("jetpack", fleet_url=evil))["edgewright-setup"]
    (line,) = [line for line in made.splitlines() if line.startswith("FLEET=")]
    shown = subprocess.run(
        ["sh", "-c", f'{line}; printf %s "$FLEET"'], capture_output=True, text=True, check=True
    )
    assert shown.stdout == evil


def test_the_command_writes_a_folder_and_no_second_time(tmp_path: Path) -> None:
    arguments = ["prepare", "d1", "--system", "debian", "--fleet", "https://fleet.example",
                 "--token", TOKEN, "--out", str(tmp_path / "out"), "--json"]  # fmt: skip
    done = CliRunner().invoke(device, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    told = msgspec.json.decode(done.stdout)
    assert [file["name"] for file in told["files"]] == ["user-data", "meta-data", "README.txt"]
    assert stat.S_IMODE((tmp_path / "out/user-data").stat().st_mode) == 0o600
    with pytest.raises(InputError, match="not empty"):
        CliRunner().invoke(device, arguments, catch_exceptions=False)
