"""A real fleet process whose state is in a real PostgreSQL, and a device that takes a release."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fleet_process import FleetProcess, fleet_serving
from tests.postgres import PostgreSql, running_postgres

from edgewright.testing.fleet import SIGNER, ScriptedDevice, release_file
from edgewright.transports.http1 import Client

pytest.importorskip("psycopg", reason="absent: psycopg (extra postgres)")

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

EDGEWRIGHT = [sys.executable, "-m", "edgewright"]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSql]:
    with running_postgres() as made:
        yield made


def run(home: Path, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [*EDGEWRIGHT, *arguments, "--home", str(home), "--json"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextlib.contextmanager
def fleet_on(url: str, folder: Path) -> Iterator[tuple[Path, FleetProcess]]:
    """A fleet with a release whose state is there: its home, its process."""
    home = folder / "home"
    (folder / "key.pub").write_text(SIGNER.public.public_hex)
    release_file(folder / "1.ewb", version="1")
    subprocess.run([*EDGEWRIGHT, "fleet", "database", url, "--home", str(home)], check=True)
    run(home, "fleet", "trust", str(folder / "key.pub"))
    run(home, "release", "publish", str(folder / "1.ewb"))
    with fleet_serving(home, "--database", url) as made:
        yield home, made


def test_a_rollout_is_done_on_postgresql(tmp_path: Path, server: PostgreSql) -> None:
    url = server.new_url()
    with fleet_on(url, tmp_path) as (home, fleet):
        token = run(home, "device", "token")["token"]
        asyncio.run(story(home, fleet.devices, token))
    assert run(home, "fleet", "audit", "verify")["entries"] > 3
    assert int(server.sql(url.rpartition("/")[2], "SELECT count(*) FROM records")) >= 9
    assert not (home / "fleet.db").exists()


def test_a_database_that_is_away_holds_up_who_asks_it_and_nobody_else(
    tmp_path: Path, server: PostgreSql
) -> None:
    with fleet_on(server.new_url(), tmp_path) as (home, fleet):
        token = run(home, "device", "token")["token"]
        asyncio.run(while_it_is_away(server, fleet, token))
        with server.frozen():
            assert fleet.stop(120) == 0


async def while_it_is_away(server: PostgreSql, fleet: FleetProcess, token: str) -> None:
    device = ScriptedDevice("d1")
    async with Client(fleet.devices) as devices, Client(fleet.people) as people:
        await device.enrol(devices, token)
        assert await device.poll(devices) == 200
        with server.frozen():
            asked = [asyncio.create_task(device.poll(devices)) for _ in range(3)]
            asked_people = asyncio.create_task(people.request("GET", "/api/v1/devices"))
            for _ in range(10):
                await asyncio.sleep(0.1)
                async with asyncio.timeout(2):
                    for one in (devices, people):
                        answer = await one.request("GET", "/livez")
                        assert (answer.status, answer.body) == (200, b"live")
            assert not any(task.done() for task in (*asked, asked_people))
        assert await asyncio.gather(*asked) == [304, 304, 304]
        assert (await asked_people).status == 200


async def status(home: Path) -> str:
    found = await asyncio.to_thread(run, home, "rollout", "status", "1")
    return str(found["status"])


async def story(home: Path, address: str, token: str) -> None:
    device = ScriptedDevice("d1")
    async with Client(address, timeout_s=30) as client:
        await device.enrol(client, token, site="bench")
        living = asyncio.create_task(device.live(client))
        try:
            start = ("rollout", "start", "tiny@1", "--waves", "100%", "--soak", "0")
            await asyncio.to_thread(run, home, *start)
            async with asyncio.timeout(60):
                while device.running != "1":  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
                while await status(home) != "done":  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
        finally:
            living.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await living
    assert device.installed == ["1"]
