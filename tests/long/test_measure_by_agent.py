"""Variants that a device's agent measures: a real fleet, a real agent, a real search."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.fleet_process import fleet_serving
from tests.long.test_measure_on import network

from edgewright._npz import encode_npz
from edgewright.chain.engines import engine_named
from edgewright.chain.fleet import trust
from edgewright.keys.file import FileSigner
from edgewright.testing.fleet import SIGNER

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

ROWS = 900


def edgewright(*words: object, code: int = 0) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, "-m", "edgewright", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


class Site:
    """A fleet's folder, and the folder of a device whose agent runs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.fleet, self.device = folder, folder / "fleet", folder / "device"
        (folder / "key.pub").write_text(SIGNER.public.public_hex)
        trust(self.fleet, [folder / "key.pub"], threshold=1, by="test")
        self.key = folder / "bench.key"
        FileSigner.create(self.key)

    def allow(self, *keys: str) -> None:
        (self.device / "agent.toml").write_text(
            'serve_http = "127.0.0.1:0"\npoll_s = 5\nremote_commands = ["measure"]\n'
            f"measure_keys = {json.dumps(keys)}\n"
        )

    def search(self, key: Path, *, code: int = 0) -> "subprocess.CompletedProcess[str]":
        return edgewright(
            *("optimize", self.folder / "model.onnx", "--json"),
            *("--calib", self.folder / "calib.npz", "--eval", self.folder / "eval.npz"),
            *("--max-drop", "20", "--formats", "onnx", "--out", self.folder / "out"),
            *("--measure-on", "agent:press-7", "--measure-key", key, "--home", self.fleet),
            code=code,
        )

    @property
    def told(self) -> list[str]:
        shown = json.loads(
            edgewright("fleet", "audit", "show", "--home", self.fleet, "--json").stdout
        )
        return [entry["what"].removeprefix("remote command ") for entry in shown["entries"]]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    network(tmp_path / "model.onnx", 12)
    x = np.random.default_rng(0).normal(size=(ROWS, 64)).astype(np.float32)
    session = engine_named("onnxruntime").open(tmp_path / "model.onnx")
    y = session.run({"x": x})["y"]
    session.close()
    (tmp_path / "calib.npz").write_bytes(encode_npz({"x": x[:100]}))
    (tmp_path / "eval.npz").write_bytes(encode_npz({"x": x[100:], "y": y[100:]}))
    with fleet_serving(made.fleet) as fleet, (tmp_path / "agent.log").open("wb") as log:
        token = json.loads(edgewright("device", "token", "--home", made.fleet, "--json").stdout)
        who = ("--token", token["token"], "--device", "press-7", "--home", made.device)
        edgewright("agent", "enroll", fleet.devices, *who)
        (made.device / "bench.pub").write_bytes(made.key.with_suffix(".pub").read_bytes())
        made.allow("bench.pub")
        agent = [sys.executable, "-m", "edgewright", "agent", "run", "--home", str(made.device)]
        process = subprocess.Popen(agent, stdout=log, stderr=log)
        try:
            yield made
        finally:
            process.terminate()
            process.wait(60)


def test_a_search_is_measured_by_an_agent(site: Site) -> None:
    site.search(site.key)
    report = json.loads((site.folder / "out" / "report.json").read_text())
    assert report["measured_on"] == "agent:press-7"
    assert report["measured_machine"]["cores"] >= 1
    timed = [row for row in report["candidates"] if row["latency_ratio"] is not None]
    assert len(timed) > 10
    assert all(row["latency_ratio_high"] is not None for row in timed)
    assert report["best"]["memory_bytes"] > 10_000_000
    assert {"ordered", "has its kit", "fetched", "done", "file read"} <= set(site.told)
    assert not list(site.device.glob(".tmp-measure*"))
    assert not list((site.fleet / "kits").iterdir())


def test_an_agent_measures_nothing_that_a_stranger_signed(site: Site) -> None:
    stranger = site.folder / "stranger.key"
    FileSigner.create(stranger)
    done = site.search(stranger, code=6)
    assert "nobody whom this device trusts with measurements signed the kit" in done.stderr
    assert not (site.folder / "out").exists()


def test_a_key_is_asked_for(site: Site) -> None:
    done = edgewright(
        *("optimize", site.folder / "model.onnx", "--max-drop", "1", "--out", site.folder / "out"),
        *("--calib", site.folder / "calib.npz", "--eval", site.folder / "eval.npz"),
        *("--measure-on", "agent:press-7", "--home", site.fleet),
        code=2,
    )
    assert "give --measure-key" in done.stderr
    assert not (site.folder / "out").exists()
