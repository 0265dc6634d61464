"""The same two people, written by every kind of device into every kind of file, are the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgewright.workbench.data import (
    ChannelMapping,
    Dataset,
    SourceMapping,
    check_dataset,
    read_source,
)

CONTRACT_HZ = 50.0
SECONDS = 6.0
AFTER_GAP_S = 4.0
FACTORS = {"g": 1.0, "m/s2": 9.80665, "rad/s": 1.0, "deg/s": 180 / np.pi, "uT": 1.0}
Columns = dict[str, NDArray[Any]]


def truth(time_s: NDArray[np.float64], sensor: str) -> NDArray[np.float64]:
    """Slow enough that a straight line between samples at 20 Hz is right to a hundredth."""
    swing = np.sin(2 * np.pi * 0.3 * time_s)
    still = np.zeros_like(swing)
    of_sensor = {
        "acc": (0.1 * swing, still, np.sqrt(1 - (0.1 * swing) ** 2)),
        "gyro": (still, 0.19 * np.cos(2 * np.pi * 0.3 * time_s), 0.02 * swing),
        "mag": (20 + swing, -5 * swing, 40 + still),
    }
    return np.stack(of_sensor[sensor], axis=1)


def clock(rate_hz: float, fault: str, seed: int) -> NDArray[np.float64]:
    time_s = np.arange(round(SECONDS * rate_hz)) / rate_hz
    if fault == "jitter":
        time_s += np.random.default_rng(seed).uniform(-0.2, 0.2, len(time_s)) / rate_hz
    if fault == "gap":
        time_s = time_s[(time_s < 3.0) | (time_s > AFTER_GAP_S - 1e-9)]
    return time_s


def table(rate_hz: float, fault: str, units: dict[str, str]) -> Columns:
    parts: list[Columns] = []
    for seed, who in enumerate(("ann", "bob")):
        time_s = clock(rate_hz, fault, seed)
        part: Columns = {"t": time_s, "who": np.full(len(time_s), who)}
        part["what"] = np.where(time_s < SECONDS / 2, "slow", "fast")
        for sensor, unit in units.items():
            values = truth(time_s, sensor) * FACTORS[unit]
            part |= {f"{sensor}_{a}": values[:, at] for at, a in enumerate("xyz")}
        parts.append(part)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def write_csv(path: Path, columns: Columns) -> Path:
    rows = [
        ",".join(columns),
        *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True)),
    ]
    path.with_suffix(".csv").write_text("\n".join(rows) + "\n")
    return path.with_suffix(".csv")


def write_npz(path: Path, columns: Columns) -> Path:
    channels = [name for name in columns if "_" in name]
    x = np.stack([columns[name] for name in channels], axis=1)
    rest = {name: columns[name] for name in ("t", "who", "what")}
    np.savez(path.with_suffix(".npz"), X=x, channels=np.array(channels), **rest)
    return path.with_suffix(".npz")


def write_parquet(path: Path, columns: Columns) -> Path:
    pa = pytest.importorskip("pyarrow", reason="absent: pyarrow (extra parquet)")
    pq = pytest.importorskip("pyarrow.parquet", reason="absent: pyarrow (extra parquet)")
    pq.write_table(pa.table(columns), path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


def write_lines(path: Path, columns: Columns) -> Path:
    """As an MQTT capture: the clock of the sensor is in the payload."""
    names = list(columns)
    lines = [
        json.dumps(
            {
                "tst": "2026-01-02T10:00:00.000000+0100",
                "topic": "gym/watch",
                "payload": json.dumps(dict(zip(names, row, strict=True))),
            }
        )
        for row in zip(*(column.tolist() for column in columns.values()), strict=True)
    ]
    path.with_suffix(".jsonl").write_text("\n".join(lines) + "\n")
    return path.with_suffix(".jsonl")


def write_folder(path: Path, columns: Columns) -> Path:
    folder = path.with_suffix("")
    folder.mkdir()
    for who in ("ann", "bob"):
        mine = columns["who"] == who
        write_csv(folder / who, {name: column[mine] for name, column in columns.items()})
    return folder


WRITERS: list[Callable[[Path, Columns], Path]] = [
    write_csv,
    write_npz,
    write_parquet,
    write_lines,
    write_folder,
]


def mapping(units: dict[str, str]) -> SourceMapping:
    channels = tuple(
        ChannelMapping(
            column=f"{sensor}_{axis}", unit=units.get(sensor, unit), optional=sensor not in units
        )
        for sensor, unit in (("acc", "g"), ("gyro", "rad/s"), ("mag", "uT"))
        for axis in "xyz"
    )
    return SourceMapping(
        channels=channels,
        label="what",
        subject="who",
        recording="who",
        time="t",
        resample_hz=CONTRACT_HZ,
    )


def assert_is_truth(dataset: Dataset, units: dict[str, str], fault: str, rate_hz: float) -> None:
    first_after_gap_s = np.ceil(AFTER_GAP_S * rate_hz) / rate_hz
    assert dataset.rate_hz == CONTRACT_HZ
    assert dataset.subjects == ("ann", "bob")
    assert set(dataset.label_names) == {"fast", "slow"}
    assert len(dataset.recordings) == (4 if fault == "gap" else 2)
    for each in dataset.recordings:
        start_s = first_after_gap_s if each.name.endswith("#1") else 0.0
        time_s = start_s + np.arange(len(each)) / CONTRACT_HZ
        for at, sensor in enumerate(("acc", "gyro", "mag")):
            values = each.samples[:, 3 * at : 3 * at + 3]
            if sensor not in units:
                assert np.isnan(values).all()
                continue
            size = 20.0 if sensor == "mag" else 1.0
            assert np.abs(values - truth(time_s, sensor)).max() < 0.02 * size


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("rate_hz", [20.0, 93.0, 200.0])
@pytest.mark.parametrize("fault", ["none", "jitter", "gap"])
@pytest.mark.parametrize(
    "units",
    [
        {"acc": "m/s2", "gyro": "deg/s", "mag": "uT"},
        {"acc": "g", "gyro": "rad/s"},
        {"acc": "m/s2"},
    ],
    ids=["nine-axes", "six-axes", "three-axes"],
)
def test_every_device_gives_the_same_recordings(
    tmp_path: Path,
    write: Callable[[Path, Columns], Path],
    rate_hz: float,
    fault: str,
    units: dict[str, str],
) -> None:
    path = write(tmp_path / "walk", table(rate_hz, fault, units))
    dataset = read_source(path.name, mapping(units), folder=tmp_path)
    assert_is_truth(dataset, units, fault, rate_hz)
    assert "gravity" not in {f.code for f in check_dataset(dataset).findings}


@pytest.mark.parametrize(("true", "said"), [("m/s2", "g"), ("g", "m/s2")])
def test_a_wrong_unit_is_suspected_at_every_rate(tmp_path: Path, true: str, said: str) -> None:
    for rate_hz in (20.0, 200.0):
        path = write_npz(tmp_path / "walk", table(rate_hz, "none", {"acc": true, "gyro": "rad/s"}))
        wrong = mapping({"acc": said, "gyro": "rad/s"})
        found = check_dataset(read_source(path.name, wrong, folder=tmp_path)).findings
        assert [(f.code, f.severity) for f in found if f.channel == "acc"] == [("gravity", "error")]
