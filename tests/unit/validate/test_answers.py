"""Wrong answers under load are found, counted and explained, however rare."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.bundle.golden import Golden
from edgewright.contract import Channel, Contract, Tensor, Tolerances
from edgewright.errors import InputError
from edgewright.validate.answers import check_answers
from edgewright.validate.encoding import decode_answer, encode_body
from edgewright.validate.questions import (
    Question,
    drawn_questions,
    golden_of_arrays,
    golden_questions,
)
from edgewright.wire import v2

METADATA = v2.ModelMetadata(
    name="m",
    versions=("1",),
    platform="",
    inputs=(v2.TensorMetadata(name="x", datatype="FP32", shape=(-1, 2)),),
    outputs=(v2.TensorMetadata(name="y", datatype="FP32", shape=(-1, 1)),),
)


def answer(value: float | str) -> bytes:
    text = str(value).replace("nan", "NaN")
    return (
        b'{"model_name":"m","outputs":[{"name":"y","datatype":"FP32","shape":[1,1],"data":[%s]}]}'
        % text.encode()
    )


def question(value: float) -> Question:
    return Question(body=b"", expected={"y": np.array([[value]], np.float32)})


def test_right_answers_are_counted_with_their_multiplicity() -> None:
    check = check_answers([{answer(1.0): 70, answer(1.0001): 30}], [question(1.0)], Tolerances())
    assert (check.checked, check.wrong, check.distinct, check.is_compared) == (100, 0, 2, True)


def test_one_nan_among_ten_thousand_is_found() -> None:
    check = check_answers(
        [{answer(1.0): 9999, answer(float("nan")): 1}], [question(1.0)], Tolerances()
    )
    assert check.wrong == 1
    assert "question 0, 1 times" in check.reasons[0]


@pytest.mark.parametrize(
    "body",
    [
        b"<html>all is well</html>",
        b"",
        b"{}",
        b'{"model_name":"m","outputs":[]}',
        b'{"model_name":"m","outputs":[{"name":"y","datatype":"FP32","shape":[1,1]}]}',
        b'{"model_name":"m","outputs":[{"name":"y","datatype":"FP99","shape":[1],"data":[1]}]}',
        b'{"model_name":"m","outputs":[{"name":"y","datatype":"FP32","shape":[5],"data":[1]}]}',
        b'{"model_name":"m","outputs":[{"name":"y","datatype":"FP32","shape":[1,1],"data":["a"]}]}',
    ],
)
@pytest.mark.parametrize("expected", [True, False])
def test_garbage_with_status_200_is_wrong_with_and_without_golden(
    body: bytes, expected: bool
) -> None:
    asked = question(1.0) if expected else Question(body=b"")
    assert check_answers([{body: 5}], [asked], Tolerances()).wrong == 5


@given(st.binary(max_size=200))
def test_no_body_makes_the_check_itself_fail(body: bytes) -> None:
    assert check_answers([{body: 1}], [question(1.0)], Tolerances()).wrong == 1


def test_without_golden_answers_must_be_finite_and_repeatable() -> None:
    asked = [Question(body=b"")]
    assert check_answers([{answer(1.0): 3}], asked, Tolerances()).wrong == 0
    assert check_answers([{answer(1.0): 3, answer(2.0): 2}], asked, Tolerances()).wrong == 2
    assert check_answers([{answer("1e999"): 1}], asked, Tolerances()).wrong == 1
    assert not check_answers([{answer(1.0): 3}], asked, Tolerances()).is_compared


def test_a_collapsed_embedding_is_wrong_though_every_answer_is_well_formed() -> None:
    asked = [Question(body=b"")] * 4
    check = check_answers([{answer(0.5): 10}] * 4, asked, Tolerances())
    assert (check.checked, check.wrong) == (40, 40)
    assert "all got the same answer" in check.reasons[0]


def test_answers_beyond_the_limit_are_counted_as_unchecked() -> None:
    many = {answer(1 + place * 1e-9): 2 for place in range(10)}
    check = check_answers([many], [question(1.0)], Tolerances(), unkept=3, limit=4)
    assert (check.checked, check.unchecked) == (8, 15)


def test_golden_rows_become_single_questions_with_their_answers() -> None:
    x = np.arange(200, dtype=np.float32).reshape(100, 2)
    golden = Golden(inputs={"x": x}, outputs={"y": x[:, :1]})
    questions = golden_questions(golden, METADATA, limit=10)
    assert len(questions) == 10
    request, _ = v2.split_request(questions[-1].body, None)
    assert request.inputs[0].shape == (1, 2)
    assert questions[-1].expected is not None
    assert questions[-1].expected["y"].tolist() == [[198.0]]


def test_golden_vectors_whose_rows_do_not_pair_stay_whole() -> None:
    golden = Golden(inputs={"x": np.zeros((6, 2))}, outputs={"y": np.zeros((2, 1))})
    (whole,) = golden_questions(golden, METADATA)
    assert whole.expected is not None
    assert whole.expected["y"].shape == (2, 1)


def test_golden_vectors_of_another_model_are_refused() -> None:
    golden = Golden(inputs={"z": np.zeros((1, 2))}, outputs={"y": np.zeros((1, 1))})
    with pytest.raises(InputError, match=r"inputs \['z'\], the served model has \['x'\]"):
        golden_questions(golden, METADATA)
    with pytest.raises(InputError, match="expected inputs"):
        golden_of_arrays({"x": np.zeros(1), "y_true": np.zeros(1)}, METADATA)


def test_drawn_questions_stay_in_the_contracts_ranges() -> None:
    channels = (Channel(name="a", low=100, high=101), Channel(name="b", low=-5, high=-4))
    contract = Contract(
        inputs=(Tensor(name="x", dtype="float32", shape=("n", 2), channels=channels),),
        outputs=(Tensor(name="y", dtype="float32", shape=("n", 1)),),
    )
    questions = drawn_questions(METADATA, contract, rng=np.random.default_rng(0))
    assert len({one.body for one in questions}) == 8
    for one in questions:
        request, _ = v2.split_request(one.body, None)
        first, second = np.array(eval(bytes(request.inputs[0].data)))
        assert 100 <= first <= 101
        assert -5 <= second <= -4


def test_float32_survives_the_way_through_json() -> None:
    values = np.array([[0.1, 1e-30]], np.float32)
    request, _ = v2.split_request(encode_body({"x": values}, METADATA), None)
    assert np.array(eval(bytes(request.inputs[0].data)), np.float32).tolist() == values[0].tolist()


def test_texts_and_integers_are_decoded_as_such() -> None:
    body = (
        b'{"model_name":"m","outputs":[{"name":"label","datatype":"BYTES","shape":[1],"data":["sit"]},'
        b'{"name":"place","datatype":"INT64","shape":[1],"data":[3]}]}'
    )
    outputs = decode_answer(body)
    assert outputs["label"].tolist() == ["sit"]
    assert outputs["place"].dtype == np.int64


@pytest.mark.parametrize(
    ("output", "fault"),
    [
        ('"name":"z","datatype":"FP32","shape":[1,1],"data":[1]', "'z' is not declared"),
        ('"name":"y","datatype":"INT8","shape":[1,1],"data":[1]', "'y' is int8, declared FP32"),
        ('"name":"y","datatype":"FP32","shape":[1,2],"data":[1,2]', r"shape \[1, 2\], declared"),
        ('"name":"y","datatype":"FP32","shape":[1],"data":[1]', r"shape \[1\], declared"),
    ],
)
def test_an_answer_of_another_form_than_declared_is_wrong(output: str, fault: str) -> None:
    asked = drawn_questions(METADATA, None, rng=np.random.default_rng(1), count=1)
    body = b'{"model_name":"m","outputs":[{%s}]}' % output.encode()
    check = check_answers([{body: 3}], asked, Tolerances(), declared=METADATA.outputs)
    assert check.wrong == 3
    assert re.search(fault, check.reasons[0])
    right = check_answers([{answer(1.0): 3}], asked, Tolerances(), declared=METADATA.outputs)
    assert right.wrong == 0
