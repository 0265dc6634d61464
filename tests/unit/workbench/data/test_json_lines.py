import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.errors import InputError
from edgewright.workbench.data import ChannelMapping, SourceMapping, read_source

ACC = tuple(ChannelMapping(column=f"acc.{axis}", name=f"acc_{axis}", unit="g") for axis in "xyz")
BY_TOPIC = SourceMapping(channels=ACC, subject="topic.1", recording="topic.1", label_is="walk")


def message(at: int, payload: Any, *, who: str = "ann", as_text: bool = True) -> dict[str, Any]:
    """A line of `mosquitto_sub -F %j`, or of `-F %J`."""
    content = json.dumps(payload) if as_text and not isinstance(payload, str) else payload
    return {
        "tst": f"2026-01-02T10:00:{at / 50:09.6f}+0100",
        "topic": f"gym/{who}/watch",
        "qos": 0,
        "retain": 0,
        "payloadlen": 9,
        "payload": content,
    }


def capture(folder: Path, *lines: Any) -> str:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "capture.jsonl").write_text("\n".join(texts) + "\n")
    return "capture.jsonl"


def acc(at: int) -> dict[str, Any]:
    return {"acc": {"x": at / 100, "y": 0.0, "z": 1.0}}


@pytest.mark.parametrize("as_text", [True, False])
def test_a_capture_is_read_by_topic_and_time_of_arrival(tmp_path: Path, as_text: bool) -> None:
    lines = [
        message(at, acc(at), who=who, as_text=as_text) for at in range(30) for who in ("ann", "bob")
    ]
    dataset = read_source(capture(tmp_path, *lines), BY_TOPIC, folder=tmp_path)
    assert (dataset.subjects, dataset.rate_hz) == (("ann", "bob"), 50.0)
    assert dataset.recordings[1].samples[:, 0].tolist() == pytest.approx(np.arange(30) / 100)
    assert set(dataset.recordings[0].label.tolist()) == {0}


def test_other_messages_are_counted_not_lost_in_silence(tmp_path: Path) -> None:
    lines = [message(at, acc(at)) for at in range(30)]
    lines.insert(3, message(3, {"battery": 80}))
    dataset = read_source(capture(tmp_path, *lines), BY_TOPIC, folder=tmp_path)
    assert dataset.notes == ("1 messages without a mapped channel were left out",)
    assert dataset.sample_count == 30


@pytest.mark.parametrize("payload", ["0.5, -1", "[0.5, -1]", [0.5, -1]])
def test_numbers_without_names_are_columns_by_position(tmp_path: Path, payload: Any) -> None:
    mapping = SourceMapping(
        channels=(ChannelMapping(column="1", name="acc_y", unit="g", sign=-1),), subject_is="ann"
    )
    lines = [message(at, payload, as_text=False) for at in range(5)]
    dataset = read_source(capture(tmp_path, *lines), mapping, folder=tmp_path)
    assert dataset.recordings[0].samples.tolist() == [[1.0]] * 5


def test_several_samples_in_one_message_keep_their_own_clock(tmp_path: Path) -> None:
    mapping = SourceMapping(
        channels=(ChannelMapping(column="v", unit="g"),), subject_is="ann", time="t", time_unit="ms"
    )
    batch = [{"t": 20 * at, "v": at} for at in range(10)]
    source = capture(tmp_path, message(0, batch[:6]), message(1, batch[6:]))
    dataset = read_source(source, mapping, folder=tmp_path)
    assert dataset.recordings[0].samples[:, 0].tolist() == list(range(10))


def test_plain_samples_need_no_broker(tmp_path: Path) -> None:
    mapping = SourceMapping(channels=(ChannelMapping(column="v", unit="g"),), time="t")
    lines = [{"t": at / 20, "v": at, "subject": 3, "label": "sit"} for at in range(9)]
    dataset = read_source(capture(tmp_path, *lines), mapping, folder=tmp_path)
    assert (dataset.rate_hz, dataset.subjects, dataset.label_names) == (20.0, ("3",), ("sit",))


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ([], "it is empty"),
        (["{", "{}"], "line 1: not a JSON object"),
        (["[1, 2]"], "line 1: not a JSON object"),
        (["gym/watch 0.1"], "line 1: not a JSON object.*mosquitto_sub -F %j"),
        ([message(0, {"battery": 1})], "none of its 1 messages has a mapped channel; mapped are"),
        ([message(0, acc(0)), message(1, {"acc": {"x": "high"}})], "'high', expected a number"),
        ([{**message(0, acc(0)), "tst": "noon"}], "'noon', expected a date and time"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, lines: list[Any], what: str) -> None:
    with pytest.raises(InputError, match=what):
        read_source(capture(tmp_path, *lines), BY_TOPIC, folder=tmp_path)
