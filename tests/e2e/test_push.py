"""Pushing to a real OpenSSH server on loopback, whose user has an enrolled agent."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.ssh_target import EDGEWRIGHT, PROGRAM, Remote, checks

from edgewright.chain.processes import free_port
from edgewright.testing.bundles import build_tiny, wrong_output
from edgewright.testing.keys import MemorySigner

asyncssh = pytest.importorskip("asyncssh", reason="absent: asyncssh (extra ssh)")

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    made = Remote(tmp_path_factory.mktemp("push"))
    with made.serving():
        yield made


def test_a_bundle_is_pushed_measured_and_taken_back(remote: Remote, tmp_path: Path) -> None:
    first = build_tiny(tmp_path / "1.ewb", version="1", name="walked")
    second = build_tiny(tmp_path / "2.ewb", version="2", name="walked")
    with remote.agent():
        code, report, said = remote.push(tmp_path / "1.ewb")
        assert (code, report["hosts"][0]["action"]) == (0, "pushed"), said
        assert report["hosts"][0]["downtime"] is None  # nothing ran before
        page = tmp_path / "report.html"
        code, report, said = remote.push(tmp_path / "2.ewb", "--html", str(page))
        assert (code, report["passed"], report["failed"]) == (0, 1, 0), said
        assert checks(report) == dict.fromkeys(
            [
                *("host key", "edgewright", "enrolled", "architecture", "disk", "memory"),
                *("runtime", "clock", "active bundle", "answers"),
            ],
            "PASSED",
        )
        host = report["hosts"][0]
        assert (host["before"], host["after"], remote.active("walked")) == (first, second, second)
        assert host["host_key"].startswith("SHA256:")
        assert host["downtime"]["asked"] > 3
        assert host["downtime"]["failed"] == 0
        assert "PASSED, pushed" in page.read_text()
        assert "Longest time without a good answer" in page.read_text()
        code, report, _ = remote.push(tmp_path / "2.ewb")
        assert (code, report["hosts"][0]["action"]) == (0, "nothing to do")
        build_tiny(tmp_path / "3.ewb", version="3", name="walked", change=wrong_output)
        code, report, said = remote.push(tmp_path / "3.ewb")
        assert code == 6
        assert report["hosts"][0]["action"] == "failed"
        assert "probe" in report["hosts"][0]["error"]
        assert remote.active("walked") == second
        code, report, said = remote.push(tmp_path / "2.ewb", "--rollback")
        assert (code, report["hosts"][0]["action"]) == (0, "rolled back"), said
        assert checks(report)["ready"] == "PASSED"
        assert remote.active("walked") == first
        code, report, _ = remote.push(tmp_path / "2.ewb", "--rollback")
        assert code == 2
        assert "give the bundle that is to be taken back" in report["hosts"][0]["error"]


def test_a_machine_without_a_running_agent_measures_no_downtime(
    remote: Remote, tmp_path: Path
) -> None:
    build_tiny(tmp_path / "9.ewb", version="9", name="other")
    code, report, said = remote.push(tmp_path / "9.ewb")
    assert code == 0, said
    assert checks(report)["answers"] == "NOT MEASURED"
    assert report["hosts"][0]["downtime"] is None


@pytest.mark.parametrize("known", ["wrong", "none"])
def test_a_host_key_that_is_not_the_known_one_ends_it(
    remote: Remote, tmp_path: Path, known: str
) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    text = f"[127.0.0.1]:{remote.port} {other}" if known == "wrong" else ""
    (remote.folder / known).write_text(text)
    build_tiny(tmp_path / "1.ewb", version="1")
    code, report, _ = remote.push(tmp_path / "1.ewb", known=known)
    assert code == 5
    assert "host key" in report["hosts"][0]["error"]


def test_a_bundle_that_nobody_trusted_signed_is_refused_there(
    remote: Remote, tmp_path: Path
) -> None:
    build_tiny(tmp_path / "1.ewb", version="77", signer=MemorySigner.from_seed(9))
    before = remote.active("tiny")
    code, report, _ = remote.push(tmp_path / "1.ewb")
    assert code in (5, 6)
    assert report["hosts"][0]["action"] == "failed"
    assert remote.active("tiny") == before


def test_many_machines_are_pushed_from_an_inventory_and_one_that_fails_is_told(
    remote: Remote, tmp_path: Path
) -> None:
    build_tiny(tmp_path / "1.ewb", version="5", name="fleetwide")
    inventory = tmp_path / "machines.toml"
    inventory.write_text(f'[[hosts]]\nurl = "ssh://nobody-here@127.0.0.1:{free_port()}"\n')
    code, report, said = remote.push(tmp_path / "1.ewb", "--inventory", str(inventory))
    assert code == 4, said
    assert [host["action"] for host in report["hosts"]] == ["pushed", "failed"]
    assert (report["passed"], report["failed"]) == (1, 1)


def test_a_machine_without_a_program_or_home_is_told_what_to_do(
    remote: Remote, tmp_path: Path
) -> None:
    build_tiny(tmp_path / "1.ewb", version="1")
    code, report, _ = remote.push(tmp_path / "1.ewb", "--edgewright", "/nowhere/edgewright")
    assert code == 2
    assert "no edgewright that answers" in report["hosts"][0]["error"]
    code, report, _ = remote.push(tmp_path / "1.ewb", "--home", str(tmp_path / "nothing"))
    assert code == 2
    assert "--key KEY.pub" in report["hosts"][0]["error"]


@pytest.mark.long
def test_the_active_model_is_validated_on_the_machine_itself(
    remote: Remote, tmp_path: Path
) -> None:
    bundle_id = build_tiny(tmp_path / "v.ewb", version="v")
    url = remote.url
    options = [
        *("--agent-home", str(remote.home), "--suite", str(tmp_path / "suite.toml"), "--json"),
        *("--identity", str(remote.folder / "user")),
        *("--known-hosts", str(remote.folder / "known_hosts")),
    ]
    suite = f'[machine]\nedgewright = "{PROGRAM}"\n'
    (tmp_path / "suite.toml").write_text(suite)
    golden = tmp_path / "golden.npz"
    np.savez(golden, x=np.ones((4, 4), np.float32), y=np.full((4, 3), 9, np.float32))

    def validated(*more: str) -> tuple[int, dict[str, Any], str]:
        done = subprocess.run(
            [*EDGEWRIGHT, "validate", url, *options, *more],
            capture_output=True,
            check=False,
            timeout=150,
        )
        report = json.loads(done.stdout) if done.stdout else {}
        return done.returncode, report, done.stderr.decode()

    with remote.agent():
        code, _, said = remote.push(tmp_path / "v.ewb")
        assert code == 0, said
        short = ("--model", "tiny", "--seconds", "1", "--attempts", "1")
        code, report, said = validated(*short)
        assert code in (0, 9), said  # 9: the test machine is busy
        assert report["subject"].startswith(f"{url}: bundle {bundle_id[:12]}")
        assert report["answers"]["is_compared"]
        assert report["answers"]["wrong"] == 0
        assert report["answers"]["checked"] > 10
        names = {figure["name"] for figure in report["figures"]}
        assert {"latency p95", "server memory peak"} <= names
        code, report, said = validated(*short, "--golden", str(golden))
        assert code == 7, said  # our file was sent there, and its answers are others
        (tmp_path / "suite.toml").write_text(f'{suite}[server]\nadmin = "/x"\n')
        code, _, said = validated(*short)
        assert code == 2
        assert "[server] admin cannot be used" in said
        scenes = (
            '[load]\nseconds = 1\n[[scenarios]]\nname = "offline"\n[[scenarios]]\nname = "faults"'
        )
        (tmp_path / "suite.toml").write_text(f"{suite}{scenes}\n")
        code, report, said = validated("--attempts", "1")
        assert code in (0, 9), said
        assert [one["scenario"] for one in report["reports"]] == ["offline", "faults"]
