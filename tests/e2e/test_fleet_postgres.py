"""A real fleet process whose state is in a real PostgreSQL, and a device that takes a release."""

import asyncio
import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.postgres import running_postgres

from edgewright.testing.fleet import SIGNER, ScriptedDevice, release_file
from edgewright.transports.http1 import Client

pytest.importorskip("psycopg", reason="absent: psycopg (extra postgres)")

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]

EDGEWRIGHT = [sys.executable, "-m", "edgewright"]


def run(home: Path, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [*EDGEWRIGHT, *arguments, "--home", str(home), "--json"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_rollout_is_done_on_postgresql(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (tmp_path / "key.pub").write_text(SIGNER.public.public_hex)
    release_file(tmp_path / "1.ewb", version="1")
    with running_postgres() as server:
        url = server.new_url()
        subprocess.run([*EDGEWRIGHT, "fleet", "database", url, "--home", str(home)], check=True)
        run(home, "fleet", "trust", str(tmp_path / "key.pub"))
        run(home, "release", "publish", str(tmp_path / "1.ewb"))
        token = run(home, "device", "token")["token"]
        process = subprocess.Popen(
            [*EDGEWRIGHT, "fleet", "serve", "--json", "--home", str(home), "--database", url,
             "--listen", "127.0.0.1:0", "--devices", "127.0.0.1:0"],
            stdout=subprocess.PIPE,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            text = b""
            while not text.rstrip().endswith(b"}"):
                line = process.stdout.readline()
                assert line, "the fleet ended before it was ready"
                text += line
            asyncio.run(story(home, json.loads(text)["devices"], token))
        finally:
            process.terminate()
            process.wait(20)
            if process.stdout:
                process.stdout.close()
        assert run(home, "fleet", "audit", "verify")["entries"] > 3
        assert int(server.sql(url.rpartition("/")[2], "SELECT count(*) FROM records")) >= 9
    assert not (home / "fleet.db").exists()


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
