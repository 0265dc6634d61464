"""The agent as people run it: real processes, a real server, files that are good and bad."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgewright.contract import Budgets
from edgewright.errors import TransportError
from edgewright.testing import MemorySigner
from edgewright.testing.bundles import MODEL, build_tiny, no_model, not_finite, wrong_output
from edgewright.transports.http1 import Client

pytestmark = pytest.mark.timeout(180)

AGENT = [sys.executable, "-m", "edgewright", "agent"]
SIGNER = MemorySigner.from_seed(1)


class Place:
    """An enrolled device without a fleet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        key = folder / "key.pub"
        key.write_text(SIGNER.public.public_hex)
        self.call("enroll", "--key", str(key), "--device", "d1")
        (self.home / "agent.toml").write_text('serve_http = "127.0.0.1:0"\nprobation_s = 0.5\n')

    def call(self, *words: str, code: int = 0, stdin: bytes = b"") -> Any:
        """A command on this home; its JSON, or its error text when a code is expected."""
        done = subprocess.run(
            [*AGENT, *words, "--home", str(self.home), "--json"],
            input=stdin,
            capture_output=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == code, done.stderr.decode()
        return json.loads(done.stdout) if code == 0 else done.stderr.decode()

    def bundle(self, version: str, **options: Any) -> Path:
        path = self.folder / f"{version}.ewb"
        build_tiny(path, version=version, **options)
        return path

    def active(self) -> str:
        model = self.call("status")["models"][0]
        return str(model["version"])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def running(place: Place) -> Iterator[subprocess.Popen[bytes]]:
    """The agent of the place, running; ended well at the end."""
    place.call("apply", str(place.bundle("1")))
    agent = start(place)
    yield agent
    end(agent)


def start(place: Place) -> subprocess.Popen[bytes]:
    (place.home / "server.log").unlink(missing_ok=True)
    with (place.folder / "agent.log").open("ab") as log:
        agent = subprocess.Popen([*AGENT, "run", "--home", str(place.home)], stdout=log, stderr=log)
    wait_for(lambda: address(place))
    return agent


def end(agent: subprocess.Popen[bytes]) -> None:
    if agent.poll() is None:
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(30) == 0


def wait_for(look: Callable[[], Any], *, timeout_s: float = 60.0) -> Any:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def address(place: Place) -> str:
    log = place.home / "server.log"
    found = re.findall(r"http://[0-9.:]+", log.read_text()) if log.exists() else []
    return found[-1] if found else ""


def server_pid(place: Place) -> int:
    """The process that listens on the admin socket."""
    from edgewright.device.agent.process import find_listener

    process = find_listener(place.home / "admin.sock")
    return process.pid if process else 0


async def answered(client: Client, model: str = "") -> int:
    path, body = "/infer", b'{"x": [0.1, 0.2, 0.3, 0.4]}'
    if model:
        path = f"/v2/models/{model}/infer"
        body = (
            b'{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1,2,3,4]}]}'
        )
    return (await client.request("POST", path, body=body)).status


def infer(place: Place) -> int:
    async def ask() -> int:
        async with Client(address(place)) as client:
            return await answered(client)

    return asyncio.run(ask())


def test_a_script_of_the_bundle_runs_at_its_step_where_the_device_allows_it(place: Place) -> None:
    told = place.folder / "told.txt"
    script = f"import os; open({str(told)!r}, 'w').write(os.environ['EDGEWRIGHT_VERSION'])"
    bundle = place.bundle("1", hooks={"after_commit.py": script.encode()})
    assert "allow_step_hooks = true" in place.call("apply", str(bundle), code=5)
    with (place.home / "agent.toml").open("a") as settings:
        settings.write("allow_step_hooks = true\n")
    assert place.call("apply", str(bundle))["reason"] == "committed"
    assert told.read_text() == "1"


def test_files_and_stdin_are_applied_without_any_server(place: Place) -> None:
    one = place.call("apply", str(place.bundle("1")))
    assert one["event"] == "done"
    two = place.call("apply", "-", stdin=place.bundle("2").read_bytes())
    assert two["previous"] == one["good"]
    assert place.active() == "2"
    assert place.call("rollback")["good"] == one["good"]
    assert place.active() == "1"
    assert list((place.home / "downloads").iterdir()) == []


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "other-key": ({"signer": MemorySigner.from_seed(2)}, 5, "trusted key"),
    "wrong-output": ({"change": wrong_output}, 6, "golden vectors"),
    "nan": ({"change": not_finite}, 6, "NaN"),
    "no-model": ({"change": no_model}, 6, "not an npz"),
    "slow": ({"budgets": Budgets(latency_p95_ms=1e-4)}, 6, "probe: latency"),
    "fat": ({"budgets": Budgets(memory_mb=1)}, 6, "memory"),
}


def test_bad_bundles_end_on_the_old_model_with_the_reason(place: Place) -> None:
    place.call("apply", str(place.bundle("1")))
    for version, (options, code, reason) in REFUSED.items():
        error = place.call("apply", str(place.bundle(version, **options)), code=code)
        assert reason in error
        assert "Traceback" not in error
    torn = place.folder / "torn.ewb"
    torn.write_bytes(place.bundle("2").read_bytes()[:-2000])
    place.call("apply", str(torn), code=5)
    place.call("apply", str(place.folder / "absent.ewb"), code=2)
    status = place.call("status")
    assert place.active() == "1"
    assert len(status["models"][0]["slots"]) == 1
    assert [bad["version"] for bad in status["models"][0]["bad"]] == list(REFUSED)
    reasons = " ".join(step.get("reason", "") for step in status["history"])
    assert all(reason in reasons for _, _, reason in REFUSED.values())
    assert "torn.ewb" in reasons


def test_a_home_that_was_not_enrolled_says_what_to_do(tmp_path: Path) -> None:
    done = subprocess.run(
        [*AGENT, "status", "--home", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "agent enroll" in done.stderr


def test_no_request_fails_while_bundles_come_and_are_refused(
    place: Place, running: subprocess.Popen[bytes]
) -> None:
    wait_for(lambda: infer(place) == 200)
    counts: dict[int, int] = {}

    async def scene() -> None:
        done = asyncio.Event()

        async def ask() -> None:
            async with Client(address(place)) as client:
                while not done.is_set():
                    status = await answered(client)
                    counts[status] = counts.get(status, 0) + 1
                    await asyncio.sleep(0.005)

        asking = asyncio.create_task(ask())
        for path, code in (
            (place.bundle("2"), 0),
            (place.bundle("wrong", change=wrong_output), 6),
            (place.bundle("3"), 0),
        ):
            await asyncio.to_thread(place.call, "apply", str(path), code=code)
        await asyncio.to_thread(place.call, "rollback")
        done.set()
        await asking

    asyncio.run(scene())
    assert set(counts) == {200}
    assert counts[200] > 200
    assert place.active() == "2"


def test_a_second_models_bad_updates_cost_the_first_no_request(
    place: Place, running: subprocess.Popen[bytes]
) -> None:
    wait_for(lambda: infer(place) == 200)
    counts: dict[int, int] = {}

    async def scene() -> None:
        done = asyncio.Event()

        async def ask() -> None:
            async with Client(address(place)) as client:
                while not done.is_set():
                    status = await answered(client, MODEL)
                    counts[status] = counts.get(status, 0) + 1
                    await asyncio.sleep(0.005)

        asking = asyncio.create_task(ask())
        for path, code in (
            (place.bundle("nan", name="second", change=not_finite), 6),
            (place.bundle("5", name="second"), 0),
            (place.bundle("wrong", name="second", change=wrong_output), 6),
        ):
            await asyncio.to_thread(place.call, "apply", str(path), code=code)
        done.set()
        await asking
        async with Client(address(place)) as client:
            assert await answered(client, "second") == 200

    asyncio.run(scene())
    assert set(counts) == {200}
    assert counts[200] > 200
    error = place.call("rollback", code=2)
    assert "['second', 'tiny']" in error
    assert "nothing to cancel" in place.call("cancel", "--model", MODEL, code=2)
    found = {m["model"]: (m["version"], len(m["bad"])) for m in place.call("status")["models"]}
    assert found == {"second": ("5", 2), MODEL: ("1", 0)}


def test_a_killed_server_is_back_with_its_model(
    place: Place, running: subprocess.Popen[bytes]
) -> None:
    wait_for(lambda: infer(place) == 200)
    before = server_pid(place)
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: server_pid(place) not in (0, before))
    wait_for(lambda: _answers(place))
    assert running.poll() is None


def test_a_killed_agent_leaves_a_serving_device_and_the_next_one_keeps_the_server(
    place: Place, running: subprocess.Popen[bytes]
) -> None:
    wait_for(lambda: infer(place) == 200)
    server, where = server_pid(place), address(place)
    running.kill()
    running.wait()
    assert infer(place) == 200
    log = (place.home / "server.log").read_text()
    agent = subprocess.Popen([*AGENT, "run", "--home", str(place.home)])
    try:
        wait_for(lambda: place.call("status")["is_running"])
        place.call("apply", str(place.bundle("2")))
        assert server_pid(place) == server
        assert (place.home / "server.log").read_text() == log
        assert (address(place), infer(place)) == (where, 200)
    finally:
        end(agent)
    wait_for(lambda: not Path(f"/proc/{server}").exists() or _is_zombie(server))


def test_the_agent_is_small_and_loads_no_numpy(
    place: Place, running: subprocess.Popen[bytes]
) -> None:
    place.call("apply", str(place.bundle("2")))
    maps = Path(f"/proc/{running.pid}/maps").read_text()
    assert not re.search(r"numpy|onnxruntime", maps)
    status = Path(f"/proc/{running.pid}/status").read_text()
    resident_kib = int(re.findall(r"VmRSS:\s+(\d+)", status)[0])
    assert resident_kib < 48 * 1024


def test_a_stopped_agent_stops_its_server_too(place: Place) -> None:
    place.call("apply", str(place.bundle("1")))
    agent = start(place)
    server = server_pid(place)
    end(agent)
    assert not Path(f"/proc/{server}").exists()
    assert not (place.home / "agent.sock").exists()


def _answers(place: Place) -> bool:
    try:
        return infer(place) == 200
    except TransportError:
        return False


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_the_status_is_readable_by_people(place: Place) -> None:
    place.call("apply", str(place.bundle("1")))
    done = subprocess.run(
        [*AGENT, "status", "--home", str(place.home)], capture_output=True, text=True, check=True
    )
    assert "current good factory" in done.stdout
    assert MODEL in done.stdout


def mount(*options: str) -> None:
    done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"absent: the right to mount ({done.stderr.strip()})")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, which can become read-only."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("absent: root and mount")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=256m", "tmpfs", str(folder))
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.root
def test_a_disk_that_became_read_only_goes_on_answering_after_a_restart(
    disk: Path, tmp_path: Path
) -> None:
    place = Place(disk)
    place.call("apply", str(place.bundle("1")))
    place.call("apply", str(place.bundle("2")))
    active = place.home / "slots" / MODEL / "current"
    largest = max(active.resolve().rglob("*"), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[-1] ^= 1
    largest.chmod(0o600)
    largest.write_bytes(content)
    mount("-o", "remount,ro", str(disk))
    command = [*AGENT, "run", "--home", str(place.home)]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with (tmp_path / "agent.log").open("wb") as log:
        agent = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        said = wait_for(
            lambda: re.search(r"bundle=\w+ is served", (tmp_path / "agent.log").read_text())
        )
        assert said
        (server_log,) = tmp_path.glob("edgewright-*/server.log")
        url = re.findall(r"http://[0-9.:]+", server_log.read_text())[-1]

        async def ask() -> int:
            async with Client(url) as client:
                return await answered(client)

        assert asyncio.run(ask()) == 200
        status = place.call("status")
        assert (status["is_read_only"], status["is_running"]) == (True, True)
        assert "takes no orders" in place.call("rollback", code=8)
        mount("-o", "remount,rw", str(disk))
        wait_for(lambda: place.active() == "1" and address(place))
        assert infer(place) == 200
    finally:
        end(agent)
