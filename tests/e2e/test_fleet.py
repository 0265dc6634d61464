"""A real fleet process on loopback, three devices that speak the real device API, and people."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fleet_process import ANY_PORT, start_fleet

from edgewright.chain.agent import status
from edgewright.chain.fleet import open_fleet, trust
from edgewright.chain.simulation import SimulationOrder, enrolled_homes
from edgewright.clock import SystemClock
from edgewright.device.agent import Home
from edgewright.device.sim import NOT_RUN, Behaviour, Tally, simulate
from edgewright.testing.bundles import MODEL, build_tiny, wrong_output
from edgewright.testing.fleet import SIGNER, ScriptedDevice, release_file
from edgewright.transports.http1 import Client

pytestmark = pytest.mark.timeout(240)

EDGEWRIGHT = [sys.executable, "-m", "edgewright"]
QUICK = ["--soak", "0", "--deadline", "60", "--reached", "100"]


class Fleet:
    """A home folder, the command line over it, and the server process when it runs."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.process: subprocess.Popen[bytes] | None = None
        self.people = self.devices = ""

    def run(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        done = subprocess.run(
            [*EDGEWRIGHT, *arguments, "--home", str(self.home), "--json"],
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == code, done.stderr.decode()
        return json.loads(done.stdout) if code == 0 else {"error": done.stderr.decode()}

    def start(self) -> None:
        people = self.people.removeprefix("http://") or ANY_PORT
        devices = self.devices.removeprefix("http://") or ANY_PORT
        made = start_fleet(self.home, people=people, devices=devices)
        self.process, self.people, self.devices = made

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(timeout=20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return code


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    (tmp_path / "key.pub").write_text(SIGNER.public.public_hex)
    made = Fleet(tmp_path / "home")
    trust(made.home, [tmp_path / "key.pub"], threshold=1, by="test")
    with open_fleet(made.home) as office:
        for version in ("1", "2"):
            release_file(tmp_path / f"{version}.ewb", version=version)
            office.registry.publish(tmp_path / f"{version}.ewb", by="test")
    made.start()
    yield made
    if made.process is not None:
        made.stop(signal.SIGKILL)


@contextlib.asynccontextmanager
async def living(fleet: Fleet, *devices: ScriptedDevice) -> AsyncIterator[Client]:
    """Devices that follow the fleet while the block runs."""
    async with Client(fleet.devices, timeout_s=30) as client:
        tasks = [asyncio.create_task(device.live(client)) for device in devices]
        try:
            yield client
        finally:
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


async def until(holds: Callable[[], bool], *, timeout_s: float = 40.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110 - the devices are told, not watched
            await asyncio.sleep(0.1)


async def rollout_of(fleet: Fleet, number: int) -> dict[str, Any]:
    async with Client(fleet.people) as client:
        answer = await client.request("GET", f"/api/v1/rollouts/{number}")
    assert answer.status == 200
    return json.loads(answer.body)


async def ended(
    fleet: Fleet, number: int, *statuses: str, within_s: float = 40.0
) -> dict[str, Any]:
    async with asyncio.timeout(within_s):
        while True:
            facts = await rollout_of(fleet, number)
            if facts["status"] in statuses:
                return facts
            await asyncio.sleep(0.1)


async def enrol(fleet: Fleet, *devices: ScriptedDevice) -> None:
    made = await asyncio.to_thread(fleet.run, "device", "token", "--uses", str(len(devices)))
    async with Client(fleet.devices) as client:
        for device in devices:
            reply = await device.enrol(client, made["token"], site="bench")
            assert [key.public_hex for key in reply.keys] == [SIGNER.public.public_hex]


async def command(fleet: Fleet, *arguments: str) -> dict[str, Any]:
    return await asyncio.to_thread(fleet.run, *arguments)


def test_a_good_release_goes_out_wave_by_wave(fleet: Fleet) -> None:
    async def story() -> None:
        devices = [ScriptedDevice(f"d{number}") for number in (1, 2, 3)]
        await enrol(fleet, *devices)
        async with living(fleet, *devices):
            await command(
                fleet,
                "rollout",
                "start",
                "tiny@1",
                "--query",
                "site=bench",
                "--waves",
                "1,100%",
                *QUICK,
            )
            facts = await ended(fleet, 1, "done", "aborted", "paused")
        assert facts["status"] == "done"
        assert [device.installed for device in devices] == [["1"]] * 3
        texts = [entry["text"] for entry in facts["history"]]
        assert texts[:3] == ["wave 1 opened", "wave 1 passed: 1 of 1", "wave 2 of 2 opened"]
        shown = await command(fleet, "device", "show", "d2")
        async with asyncio.timeout(40):
            while shown["last_seen_s"] is None:  # it is noted every few seconds
                shown = await command(fleet, "device", "show", "d2")
        assert shown["models"][0]["running_version"] == "1"
        assert shown["models"][0]["desired_version"] == "1"

    asyncio.run(story())
    assert fleet.stop() == 0


def test_a_bad_release_stops_at_the_canary_and_goes_back(fleet: Fleet) -> None:
    async def story() -> None:
        devices = [ScriptedDevice(f"d{number}", bad=["2"]) for number in (1, 2, 3)]
        await enrol(fleet, *devices)
        async with living(fleet, *devices):
            await command(fleet, "rollout", "start", "tiny@1", "--waves", "100%", *QUICK)
            assert (await ended(fleet, 1, "done", "aborted"))["status"] == "done"
            await command(fleet, "rollout", "start", "tiny@2", "--waves", "1,100%", *QUICK)
            facts = await ended(fleet, 2, "done", "aborted")
            await until(lambda: devices[0].desired[0].version == "1")
        assert facts["status"] == "aborted"
        assert "1 of 1 finished devices failed in wave 1" in facts["reason"]
        by_name = {member["device"]: member for member in facts["members"]}
        assert by_name["d1"]["reason"] == "probe: wrong output"
        assert [by_name[name]["standing"] for name in ("d2", "d3")] == ["waiting"] * 2
        assert [device.running for device in devices] == ["1"] * 3

    asyncio.run(story())


def test_a_killed_fleet_goes_on_where_it_was(fleet: Fleet) -> None:
    async def story() -> None:
        devices = [ScriptedDevice(f"d{number}") for number in (1, 2, 3)]
        await enrol(fleet, *devices)
        async with living(fleet, *devices):
            await command(fleet, "rollout", "start", "tiny@1", "--waves", "1,2,100%", *QUICK)
            for _ in range(2):
                await asyncio.sleep(0.3)
                await asyncio.to_thread(fleet.stop, signal.SIGKILL)
                await asyncio.to_thread(fleet.start)
            facts = await ended(fleet, 1, "done", "aborted", "paused")
        assert facts["status"] == "done"
        assert [device.installed for device in devices] == [["1"]] * 3
        opened = [entry["text"] for entry in facts["history"] if "opened" in entry["text"]]
        assert opened == ["wave 1 opened", "wave 2 of 3 opened", "wave 3 of 3 opened"]
        verified = await command(fleet, "fleet", "audit", "verify")
        assert verified["entries"] >= 6

    asyncio.run(story())


def test_a_person_aborts_through_the_api_and_devices_go_back(fleet: Fleet) -> None:
    async def story() -> None:
        devices = [ScriptedDevice(f"d{number}") for number in (1, 2)]
        await enrol(fleet, *devices)
        await command(fleet, "user", "add", "ada", "--role", "releaser")
        token = (await command(fleet, "user", "token", "ada"))["token"]
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        async with living(fleet, *devices), Client(fleet.people) as people:
            await command(fleet, "rollout", "start", "tiny@1", "--waves", "100%", *QUICK)
            await ended(fleet, 1, "done")
            order = {"release": "tiny@2", "waves": "100%", "limits": {"soak_s": 0}}
            body = json.dumps(order).encode()
            refused = await people.request("POST", "/api/v1/rollouts", body=body)
            assert refused.status == 401
            started = await people.request("POST", "/api/v1/rollouts", body=body, headers=headers)
            assert started.status == 201, started.body
            await until(lambda: all(device.running == "2" for device in devices))
            aborted = await people.request(
                "POST",
                "/api/v1/rollouts/2/abort",
                headers=headers,
                body=b'{"reason": "customer call", "returns": true}',
            )
            assert json.loads(aborted.body)["reason"] == "ada: customer call"
            await until(lambda: all(device.running == "1" for device in devices))
        assert [device.installed for device in devices] == [["1", "2", "1"]] * 2

    asyncio.run(story())


@contextlib.contextmanager
def real_agents(fleet: Fleet, folder: Path, *names: str) -> Iterator[None]:
    """Agents as a device runs them, enrolled and following the fleet."""
    token = fleet.run("device", "token", "--uses", str(len(names)))["token"]
    running = []
    with (folder / "agents.log").open("wb") as log:
        for name in names:
            agent = [*EDGEWRIGHT, "agent"]
            home = ["--home", str(folder / name)]
            subprocess.run(
                [*agent, "enroll", fleet.devices, "--token", token, "--device", name, *home],
                check=True,
                capture_output=True,
            )
            settings = 'serve_http = "127.0.0.1:0"\nprobation_s = 0.2\npoll_s = 5\n'
            settings += 'remote_commands = ["probe"]\n' if name == "a2" else ""
            (folder / name / "agent.toml").write_text(settings)
            running.append(subprocess.Popen([*agent, "run", *home], stdout=log, stderr=log))
        try:
            yield
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(timeout=30)


async def command_ended(fleet: Fleet, device: str, kind: str) -> dict[str, Any]:
    """What came of a remote command."""
    made = await command(fleet, "device", "command", device, kind)
    path = f"/api/v1/devices/{device}/commands/{made['number']}"
    async with Client(fleet.people) as client, asyncio.timeout(60):
        while True:
            told = json.loads((await client.request("GET", path)).body)
            if told["status"] not in ("ordered", "fetched"):
                return dict(told)
            await asyncio.sleep(0.2)


async def order_from_afar(fleet: Fleet, folder: Path) -> None:
    """Every kind of remote command to a1, and what a2 forbids."""
    probe = await command_ended(fleet, "a1", "probe")
    assert (probe["status"], json.loads(probe["text"])["passed"]) == ("done", True), probe
    restart = await command_ended(fleet, "a1", "restart-server")
    assert (restart["status"], "runs anew" in restart["text"]) == ("done", True), restart
    logs = await command_ended(fleet, "a1", "support-bundle")
    assert logs["status"] == "done", logs
    out = folder / "logs.tar.gz"
    number = str(logs["number"])
    await command(fleet, "device", "command-file", "a1", number, "--out", str(out))
    with tarfile.open(out) as archive:
        assert "edgewright-support/journal.log" in archive.getnames()
    forbidden = await command_ended(fleet, "a2", "restart-server")
    assert forbidden["status"] == "forbidden", forbidden
    assert (await command_ended(fleet, "a2", "probe"))["status"] == "done"


def test_real_agents_take_a_good_release_refuse_a_wrong_one_and_obey_from_afar(
    fleet: Fleet, tmp_path: Path
) -> None:
    for version, change in (("11", None), ("12", wrong_output)):
        build_tiny(tmp_path / f"{version}.ewb", version=version, change=change)
        fleet.run("release", "publish", str(tmp_path / f"{version}.ewb"))

    async def story() -> None:
        await command(fleet, "rollout", "start", f"{MODEL}@11", "--waves", "1,100%", *QUICK)
        good = await ended(fleet, 1, "done", "aborted", "paused", within_s=100)
        assert good["status"] == "done", good
        await command(fleet, "rollout", "start", f"{MODEL}@12", "--waves", "1,100%", *QUICK)
        bad = await ended(fleet, 2, "done", "aborted", "paused", within_s=100)
        assert bad["status"] == "aborted", bad
        by_name = {member["device"]: member for member in bad["members"]}
        assert by_name["a1"]["standing"] == "failed"
        assert "probe" in by_name["a1"]["reason"]
        assert by_name["a2"]["standing"] == "waiting"
        await order_from_afar(fleet, tmp_path)

    with real_agents(fleet, tmp_path, "a1", "a2"):
        asyncio.run(story())
        for name in ("a1", "a2"):
            (model,) = fleet.run("device", "show", name)["models"]
            assert (model["running_version"], model["desired_version"]) == ("11", "11")


def test_a_revoked_device_is_refused_within_its_poll(fleet: Fleet) -> None:
    async def story() -> None:
        device = ScriptedDevice("d1")
        await enrol(fleet, device)
        async with Client(fleet.devices, timeout_s=30) as client:
            assert await device.poll(client) == 200
            held = asyncio.create_task(device.poll(client, wait_s=25))
            await asyncio.sleep(0.3)
            await command(fleet, "device", "revoke", "d1")
            assert await asyncio.wait_for(held, timeout=20) == 401  # the poll itself holds for 25
            assert await device.poll(client) == 401

    asyncio.run(story())


def test_the_page_shows_the_fleet(fleet: Fleet) -> None:
    async def story() -> None:
        await enrol(fleet, ScriptedDevice("d1"))
        async with Client(fleet.people) as client:
            page = await client.request("GET", "/")
            style = await client.request("GET", "/style.css")
            schema = await client.request("GET", "/api/v1/schema/openapi.json")
            foreign = await client.request("GET", "/", headers={"host": "evil.example"})
        text = page.body.decode()
        assert page.status == 200
        assert "tiny 2" in text
        assert "site=bench" in text
        assert "http://" not in text
        assert style.headers["content-type"].startswith("text/css")
        assert "/api/v1/rollouts/{number}/abort" in json.loads(schema.body)["paths"]
        assert foreign.status == 403

    asyncio.run(story())


def test_a_second_server_on_the_same_port_is_refused(fleet: Fleet) -> None:
    done = subprocess.run(
        [
            *(*EDGEWRIGHT, "fleet", "serve", "--home", str(fleet.home), "--listen", "127.0.0.1:0"),
            *("--devices", fleet.devices.removeprefix("http://")),
        ],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 8
    assert b"in use" in done.stderr


SIMULATED = 6


def test_simulated_devices_commit_once_and_refuse_as_they_are_told(
    fleet: Fleet, tmp_path: Path
) -> None:
    async def run() -> tuple[Tally, list[Home]]:
        made = await command(fleet, "device", "token", "--uses", str(SIMULATED))
        behaviour = Behaviour(poll_s=2.0, fails_percent=100.0)
        order = SimulationOrder(
            url=fleet.devices, token=made["token"], count=SIMULATED, folder=tmp_path / "sims"
        )
        homes = await enrolled_homes(order)
        stop, tally = asyncio.Event(), Tally()
        living = asyncio.create_task(
            simulate(homes, behaviour, tally, clock=SystemClock(), stop=stop), name="sim"
        )
        for number, (version, status_wanted) in enumerate((("1", "done"), ("2", "aborted")), 1):
            start = ("rollout", "start", f"tiny@{version}", "--waves", "2,100%", *QUICK)
            await command(fleet, *start)
            assert (await ended(fleet, number, "done", "aborted"))["status"] == status_wanted
        stop.set()
        await living
        return tally, homes

    tally, homes = asyncio.run(run())
    assert len(tally.commits) == SIMULATED
    assert 1 <= len(tally.refused) <= 2  # no more than the first wave
    assert (tally.twice, tally.begun_again) == (0, 0)
    for home in homes:
        told = status(home.root)
        assert [model.version for model in told.models] == ["1"]
        assert any(NOT_RUN in step.reason for step in told.history)
