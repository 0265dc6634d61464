"""The stream files of docs/streams.md, run as they are printed."""

import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.streams import updown_bundle

from edgewright.chain.stream_gateway import read_stream_file
from edgewright.device.streams import config


@pytest.fixture(scope="module")
def printed(project_root: Path) -> list[str]:
    page = (project_root / "docs" / "streams.md").read_text()
    return re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)


def test_the_first_file_of_the_page_runs_as_printed(printed: list[str], tmp_path: Path) -> None:
    updown_bundle(tmp_path).rename(tmp_path / "model.ewb")
    rows = "".join(f"{n * 50},{1 if n < 60 else -1}\n" for n in range(120))
    (tmp_path / "imu.csv").write_text("t,ax\n" + rows)
    (tmp_path / "first.toml").write_text(printed[0])
    done = subprocess.run(
        [sys.executable, "-m", "edgewright", "stream", "first.toml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert len(results) == 12
    assert [each["label"] for each in results] == ["up"] * 6 + ["down"] * 6
    database = sqlite3.connect(tmp_path / "results.db")
    try:
        ((count,),) = database.execute("SELECT count(*) FROM results")
    finally:
        database.close()
    assert count == 12


def test_the_gateway_of_the_page_is_read_as_printed(printed: list[str], tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(printed[1])
    order = read_stream_file(path)
    assert isinstance(order.stream[0].source, config.MqttSource)
    assert [type(each) for each in order.stream[0].sinks] == [
        config.MqttSink,
        config.CommandSinkOrder,
    ]
    assert order.bridge[0].target_login.cert == "site1.pem"
    assert len(printed) == 2


def test_every_key_of_a_kind_is_on_the_page(project_root: Path) -> None:
    page = (project_root / "docs" / "streams.md").read_text()
    kinds = (
        *(config.FileSource, config.MqttSource, config.AmqpSource, config.CoapSource),
        *(config.SerialSource, config.CameraSource, config.FileSink, config.HttpSink),
        *(config.InfluxSink, config.MqttSink, config.AmqpSink, config.SqlSink),
        *(config.CommandSinkOrder, config.StreamPart, config.BridgePart, config.StreamFile),
        *(config.Login, config.QueueOrder, config.ServePart),
    )
    keys = {key for kind in kinds for key in kind.__struct_fields__} - {"schema_version"}
    assert sorted(key for key in keys if not re.search(rf"\b{key}\b", page)) == []


def test_options_beside_a_stream_file_are_refused_rather_than_ignored(
    printed: list[str], tmp_path: Path
) -> None:
    (tmp_path / "first.toml").write_text(printed[0])
    done = subprocess.run(
        [sys.executable, "-m", "edgewright", "stream", "first.toml", "--hop", "3"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "--hop beside a stream file; say it in the file instead" in done.stderr
