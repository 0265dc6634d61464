"""Motifs from the command line to a session, on real processes and a model of known weights."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from tests.streams import updown_bundle

from edgewright.transports.http1 import Client


def test_motifs_are_learnt_served_and_told(tmp_path: Path) -> None:
    bundle = updown_bundle(tmp_path)
    rng = np.random.default_rng(4)
    level = np.repeat([-1.0, 1.0], 40)[:, None, None]
    np.savez(tmp_path / "windows.npz", imu=(level + rng.normal(0, 0.05, (80, 10, 1))).astype("f4"))
    command = [sys.executable, "-m", "edgewright"]
    motifs_file = tmp_path / "motifs.npz"
    learning = ["motifs", bundle, tmp_path / "windows.npz", "--out", motifs_file, "--count", "2"]
    learnt = subprocess.run(
        [*command, *learning, "--json"], capture_output=True, text=True, timeout=60, check=False
    )
    assert learnt.returncode == 0, learnt.stderr
    assert sorted(json.loads(learnt.stdout)["windows"]) == [40, 40]

    async def session(address: str) -> list[int | None]:
        async with Client(address) as client:
            answer = await client.request("POST", "/api/v1/analysis/start")
            name = json.loads(answer.body)["sessionId"]
            rows = [{"t": n / 20, "ax": 1.0 if n < 40 else -1.0} for n in range(80)]
            body = json.dumps({"sessionId": name, "samples": rows}).encode()
            assert (await client.request("PUT", "/api/v1/analysis/stream", body=body)).status == 202
            path = f"/api/v1/analysis/motifs?sessionId={name}"
            answer = await client.request("GET", path)
            return [each["motif"] for each in json.loads(answer.body)["windows"]]

    serving = ["serve", bundle, "--http", "127.0.0.1:0", "--json", "--motifs", motifs_file]
    with subprocess.Popen([*command, *serving], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = json.loads(server.stdout.readline())["address"]
            motifs = asyncio.run(asyncio.wait_for(session(address), 30))
        finally:
            server.terminate()
    assert len(motifs) == 15
    assert motifs[0] is not None
    assert motifs[-1] is not None
    assert motifs[:7] == [motifs[0]] * 7
    assert motifs[-7:] == [motifs[-1]] * 7
    assert motifs[0] != motifs[-1]
