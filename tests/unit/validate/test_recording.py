"""Recorded traffic is read from JSON lines and HTTP archives, and nothing else."""

import json
from pathlib import Path

import numpy as np
import pytest

from edgewright.errors import InputError
from edgewright.validate.recording import read_recording, replay_questions
from edgewright.wire import v2

METADATA = v2.ModelMetadata(
    name="m",
    versions=("1",),
    platform="",
    inputs=(v2.TensorMetadata(name="x", datatype="FP32", shape=(-1, 2)),),
    outputs=(v2.TensorMetadata(name="y", datatype="FP32", shape=(-1, 1)),),
)
TENSOR = {"datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
BODY = {"inputs": [{"name": "x", **TENSOR}]}
ANSWER = {
    "model_name": "m",
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 1], "data": [3]}],
}


def test_lines_are_put_in_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    lines = [{"at_s": 7.5, "body": BODY}, {"at_s": 7.0, "body": BODY, "answer": ANSWER}]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    recording = read_recording(path)
    assert [one.at_s for one in recording] == [0.0, 0.5]
    first, second = replay_questions(recording, METADATA)
    assert first.expected is not None
    assert first.expected["y"].tolist() == [[3.0]]
    assert second.expected is None
    assert np.array_equal(first.inputs["x"], [[1, 2]])


def test_an_archive_gives_its_posts_to_infer(tmp_path: Path) -> None:
    def entry(second: int, method: str, url: str) -> dict:
        return {
            "startedDateTime": f"2026-01-01T00:00:0{second}.250Z",
            "request": {"method": method, "url": url, "postData": {"text": json.dumps(BODY)}},
            "response": {"status": 200, "content": {"text": json.dumps(ANSWER)}},
        }

    entries = [
        entry(1, "POST", "http://h:1/v2/models/m/infer"),
        entry(2, "GET", "http://h:1/v2/models/m"),
        entry(3, "POST", "http://h:1/v2/models/m/infer?x=1"),
    ]
    path = tmp_path / "t.har"
    path.write_text(json.dumps({"log": {"version": "1.2", "entries": entries}}))
    recording = read_recording(path)
    assert [one.at_s for one in recording] == [0.0, 2.0]
    assert all(one.expected is not None for one in replay_questions(recording, METADATA))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.jsonl", ""),
        ("t.jsonl", "hello"),
        ("t.jsonl", '{"at_s": "soon", "body": {}}'),
        ("t.jsonl", '{"at_s": 1e999, "body": {}}'),
        ("t.har", "{}"),
        ("t.har", '{"log": {"entries": []}}'),
    ],
)
def test_what_is_no_recording_is_refused_by_name(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=name):
        read_recording(path)


@pytest.mark.parametrize("body", [{"hello": 1}, {"inputs": [{"name": "q", **TENSOR}]}])
def test_traffic_of_another_model_is_refused(body: dict, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps({"at_s": 0, "body": body}))
    with pytest.raises(InputError, match="recorded request 0"):
        replay_questions(read_recording(path), METADATA)
