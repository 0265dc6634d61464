import json
import struct

import numpy as np
import pytest

from edgewright.contract import Contract, Tensor
from edgewright.device.serve.reading import Feed, Wanted
from edgewright.device.serve.writing import Writer
from edgewright.errors import InputError
from edgewright.wire.v2 import split_response, unpack_strings

CONTRACT = Contract(
    inputs=(Tensor(name="x", dtype="float32", shape=("batch", 2)),),
    outputs=(
        Tensor(name="scores", dtype="float32", shape=("batch", 3)),
        Tensor(name="label", dtype="string", shape=("batch",)),
    ),
    labels=("walk", "sit", "run"),
)
OUTPUTS = {
    "scores": np.array([[0.1, 0.7, 0.2], [0.5, 0.5, 0.0]], np.float32),
    "label": np.array(["sit", "walk"], dtype=object),
}


def feed(*wanted: Wanted, request_id: str | None = None) -> Feed:
    return Feed((b"",), ((2, 2),), 2, request_id, wanted or None)


@pytest.fixture
def writer() -> Writer:
    return Writer(CONTRACT, name='m"1', version="3")


def test_plain_answer_holds_every_output_as_flat_json(writer: Writer) -> None:
    body, header_bytes = writer.write(feed(request_id="a"), OUTPUTS)
    assert header_bytes is None
    assert json.loads(body) == {
        "model_name": 'm"1',
        "model_version": "3",
        "id": "a",
        "outputs": [
            {
                "name": "scores",
                "datatype": "FP32",
                "shape": [2, 3],
                "data": [0.1, 0.7, 0.2, 0.5, 0.5, 0.0],
            },
            {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["sit", "walk"]},
        ],
    }


def test_binary_and_json_outputs_may_be_mixed(writer: Writer) -> None:
    wanted = (Wanted(name="label", is_binary=True), Wanted(name="scores", is_binary=False))
    body, header_bytes = writer.write(feed(*wanted), OUTPUTS)
    response, contents = split_response(body, header_bytes)
    assert [output.name for output in response.outputs] == ["label", "scores"]
    assert unpack_strings(contents["label"]) == [b"sit", b"walk"]
    assert set(contents) == {"label"}


def test_binary_floats_are_exact(writer: Writer) -> None:
    body, header_bytes = writer.write(feed(Wanted(name="scores", is_binary=True)), OUTPUTS)
    _, contents = split_response(body, header_bytes)
    assert struct.unpack("<6f", contents["scores"]) == tuple(OUTPUTS["scores"].ravel().tolist())


def test_rows_cut_out_of_a_shared_pass_are_written_alone(writer: Writer) -> None:
    rows = {name: array[1:2] for name, array in OUTPUTS.items()}
    body, _ = writer.write(feed(), rows)
    assert [output["data"] for output in json.loads(body)["outputs"]] == [[0.5, 0.5, 0.0], ["walk"]]


def test_classification_names_the_best_classes_best_first(writer: Writer) -> None:
    wanted = Wanted(name="scores", is_binary=False, classes=2)
    body, _ = writer.write(feed(wanted), OUTPUTS)
    (output,) = json.loads(body)["outputs"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [2, 2])
    assert output["data"] == [
        "0.700000:1:sit",
        "0.200000:2:run",
        "0.500000:0:walk",
        "0.500000:1:sit",
    ]


def test_classification_of_unsigned_scores_and_of_more_classes_than_there_are() -> None:
    output = Tensor(name="scores", dtype="uint8", shape=("batch", 2))
    contract = Contract(inputs=CONTRACT.inputs, outputs=(output,))
    wanted = Wanted(name="scores", is_binary=False, classes=9)
    scores = {"scores": np.array([[3, 200]], np.uint8)}
    body, _ = Writer(contract, name="m", version="1").write(feed(wanted), scores)
    assert json.loads(body)["outputs"][0]["data"] == ["200:1", "3:0"]


def test_classification_of_texts_is_refused(writer: Writer) -> None:
    with pytest.raises(InputError, match="holds no scores"):
        writer.write(feed(Wanted(name="label", is_binary=False, classes=1)), OUTPUTS)


def test_rows_written_together_are_what_they_are_alone() -> None:
    outputs = (
        Tensor(name='a"%', dtype="float32", shape=("batch", 3)),
        Tensor(name="b", dtype="int8", shape=("batch",)),
        Tensor(name="c", dtype="bool", shape=("batch", 2, 2)),
    )
    generator = np.random.default_rng(0)
    writer = Writer(Contract(inputs=CONTRACT.inputs, outputs=outputs), name="m%b", version="%")
    for count in (1, 2, 5):
        arrays = {
            'a"%': generator.standard_normal((count, 3)).astype(np.float32),
            "b": generator.integers(-9, 9, count).astype(np.int8),
            "c": generator.random((count, 2, 2)) > 0.5,
        }
        feeds = [Feed((b"",), ((1, 2),), 1, "%d" if row else None) for row in range(count)]
        together = writer.write_rows(feeds, arrays)
        alone = [
            writer.write(feed, {name: array[row : row + 1] for name, array in arrays.items()})[0]
            for row, feed in enumerate(feeds)
        ]
        assert together == alone
        assert json.loads(alone[0])["outputs"][0]["name"] == 'a"%'


def test_rows_with_texts_are_not_written_together(writer: Writer) -> None:
    assert writer.write_rows([feed(), feed()], OUTPUTS) is None


def test_binary_answers_of_several_shapes_keep_their_own_headers() -> None:
    outputs = (Tensor(name="scores", dtype="float32", shape=("batch", 3)),)
    numbers = Writer(Contract(inputs=CONTRACT.inputs, outputs=outputs), name="m", version="1")
    for rows in (1, 2, 1, 2):
        scores = np.full((rows, 3), rows, np.float32)
        asked = feed(Wanted(name="scores", is_binary=True))
        body, header_bytes = numbers.write(asked, {"scores": scores})
        response, contents = split_response(body, header_bytes)
        assert response.outputs[0].shape == (rows, 3)
        assert bytes(contents["scores"]) == scores.tobytes()
        named = feed(Wanted(name="scores", is_binary=True), request_id="a")
        assert split_response(*numbers.write(named, {"scores": scores}))[0].id == "a"


def test_classification_rounds_no_whole_number() -> None:
    outputs = (Tensor(name="y", dtype="int64", shape=("batch", 4)),)
    writer = Writer(Contract(inputs=CONTRACT.inputs, outputs=outputs), name="m", version="1")
    least = -(2**63)
    scores = np.array([[2**53, 2**53 + 1, least, 2**53 + 1]])
    body, _ = writer.write(feed(Wanted(name="y", is_binary=False, classes=4)), {"y": scores})
    expected = [f"{2**53 + 1}:1", f"{2**53 + 1}:3", f"{2**53}:0", f"{least}:2"]
    assert json.loads(body)["outputs"][0]["data"] == expected


def test_classes_that_would_hold_everybody_up_are_refused() -> None:
    outputs = (Tensor(name="y", dtype="float32", shape=("batch", 10)),)
    writer = Writer(Contract(inputs=CONTRACT.inputs, outputs=outputs), name="m", version="1")
    many = {"y": np.zeros((25_001, 10), np.float32)}
    with pytest.raises(InputError, match="2 classes for each of 25001 are 50002, at most 50000"):
        writer.write(feed(Wanted(name="y", is_binary=False, classes=2)), many)
    few = {"y": np.zeros((3, 10), np.float32)}
    body, _ = writer.write(feed(Wanted(name="y", is_binary=False, classes=2)), few)
    assert len(json.loads(body)["outputs"][0]["data"]) == 6
