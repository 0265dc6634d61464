"""Our metadata read by the same reader as files of others."""

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from flatbuffers import encode, number_types
from flatbuffers.table import Table

from edgewright.contract import Argmax, Channel, Contract, Labels, Normalise, Tensor

lite = pytest.importorskip("ai_edge_litert", reason="absent: ai-edge-litert (extra litert)")
from edgewright.workbench.convert.lite_file import LiteModel  # noqa: E402
from edgewright.workbench.convert.litert_metadata import (  # noqa: E402
    BLOCK,
    LABELS_FILE,
    metadata_bytes,
    with_labels,
)

CONTRACT = Contract(
    inputs=(
        Tensor(
            name="x",
            dtype="float32",
            shape=("batch", 4, 2),
            channels=(
                Channel(name="a", unit="g", low=-8.0, high=8.0),
                Channel(name="b", unit="g", low=-4.0, high=4.0),
            ),
        ),
    ),
    outputs=(
        Tensor(name="logits", dtype="float32", shape=("batch", 3)),
        Tensor(name="label", dtype="string", shape=("batch",)),
    ),
    preprocess=(Normalise(tensor="x", mean=(0.5, 1.5), std=(2.0, 3.0)),),
    postprocess=(Argmax(tensor="logits", into="label"), Labels(tensor="label")),
    labels=("sit", "stand", "walk"),
)


class Reader:
    """Fields of a flatbuffer table by number."""

    def __init__(self, content: bytes, at: int | None = None) -> None:
        where = encode.Get(number_types.UOffsetTFlags.packer_type, content, 0)
        self.table = Table(content, where if at is None else at)

    def _place(self, field: int) -> int:
        offset = self.table.Offset(4 + 2 * field)
        return self.table.Pos + offset if offset else 0

    def text(self, field: int) -> str:
        place = self._place(field)
        return self.table.String(place).decode() if place else ""

    def byte(self, field: int) -> int:
        place = self._place(field)
        return int(self.table.Get(number_types.Uint8Flags, place)) if place else 0

    def child(self, field: int) -> "Reader":
        return Reader(self.table.Bytes, self.table.Indirect(self._place(field)))

    def children(self, field: int) -> "list[Reader]":
        offset = self.table.Offset(4 + 2 * field)
        if not offset:
            return []
        start, count = self.table.Vector(offset), self.table.VectorLen(offset)
        return [Reader(self.table.Bytes, self.table.Indirect(start + 4 * i)) for i in range(count)]

    def floats(self, field: int) -> list[float]:
        offset = self.table.Offset(4 + 2 * field)
        start, count = self.table.Vector(offset), self.table.VectorLen(offset)
        return [self.table.Get(number_types.Float32Flags, start + 4 * i) for i in range(count)]


def summary(content: bytes) -> dict[str, Any]:
    root = Reader(content)
    (graph,) = root.children(3)
    return {
        "inputs": [one.text(0) for one in graph.children(2)],
        "outputs": [one.text(0) for one in graph.children(3)],
        "labels": [
            (file.text(0), file.byte(2)) for one in graph.children(3) for file in one.children(6)
        ],
        "normalise": [
            (unit.byte(0), unit.child(1).floats(0), unit.child(1).floats(1))
            for one in graph.children(2)
            for unit in one.children(4)
        ],
        "min_parser": root.text(7),
    }


def test_what_readers_of_the_schema_find() -> None:
    content = metadata_bytes(CONTRACT, ["x"], ["logits"], name="activity")

    assert content[4:8] == b"M001"
    assert summary(content) == {
        "inputs": ["x"],
        "outputs": ["logits"],
        "labels": [(LABELS_FILE, 2)],
        "normalise": [(1, [0.5, 1.5], [2.0, 3.0])],
        "min_parser": "1.0.0",
    }
    stats = Reader(content).children(3)[0].children(2)[0].child(5)
    assert (stats.floats(0), stats.floats(1)) == ([8.0, 4.0], [-8.0, -4.0])


def test_the_reader_reads_a_file_of_the_makers(shared_data: Path) -> None:
    """So that reader and writer do not merely share a mistake."""
    path = next(shared_data.rglob("mobilenet_v1_0.25_128_quant.tflite"))
    model = LiteModel(path.read_bytes())
    (entry,) = [one for one in model.table.metadata if one.name in {BLOCK, BLOCK.encode()}]

    found = summary(bytes(model.table.buffers[entry.buffer].data))

    assert found["labels"] == [("imagenet_labels.txt", 2)]
    assert [kind for kind, _, _ in found["normalise"]] == [1]
    assert len(found["inputs"]) == len(found["outputs"]) == 1


def test_labels_lie_behind_the_file_and_change_nothing_in_it(shared_data: Path) -> None:
    from edgewright.runtimes.litert import LiteRtRuntime  # noqa: F401  # the engine is there

    content = next(shared_data.rglob("kws_dscnn_int8.tflite")).read_bytes()
    labelled = with_labels(content, CONTRACT.labels)

    archive = zipfile.ZipFile(io.BytesIO(labelled))
    assert archive.read(LABELS_FILE) == b"sit\nstand\nwalk\n"
    assert labelled.startswith(content)
    assert with_labels(content, CONTRACT.labels) == labelled
    assert with_labels(content, ()) == content
    assert len(LiteModel(labelled).operators()) == len(LiteModel(content).operators())
