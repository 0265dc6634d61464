"""Tensors in JSON and binary bodies say the same, and lies about sizes are seen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgewright.errors import InputError
from edgewright.validate.encoding import (
    array_bytes,
    decode_binary,
    decode_request,
    encode_binary,
    encode_body,
    header_end,
)
from edgewright.wire import v2

METADATA = v2.ModelMetadata(
    name="m",
    versions=("1",),
    platform="",
    inputs=(
        v2.TensorMetadata(name="x", datatype="FP32", shape=(-1, 2)),
        v2.TensorMetadata(name="t", datatype="BYTES", shape=(-1,)),
    ),
    outputs=(),
)


def answer(array: np.ndarray, *, extra: bytes = b"") -> bytes:
    output = v2.InferOutput(name="y", datatype="FP32", shape=array.shape)
    message = v2.InferResponse(model_name="m", outputs=(output,))
    body, _ = v2.join_binary(message, [array_bytes(array, "FP32")])
    return body + extra


@given(arrays.arrays(np.float32, st.tuples(st.just(1), st.just(2))))
def test_a_binary_answer_is_read_bit_for_bit(array: np.ndarray) -> None:
    assert decode_binary(answer(array))["y"].tobytes() == array.tobytes()


def test_a_json_answer_to_a_binary_request_is_read_as_well() -> None:
    body = b'{"model_name":"m","outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[2]}]}'
    assert decode_binary(body)["y"].tolist() == [2.0]


def test_both_forms_of_a_request_hold_the_same() -> None:
    inputs = {"x": np.array([[1, 2.5]], np.float32), "t": np.array(["a", "bc"])}
    body, header_bytes = encode_binary(inputs, METADATA)
    request, contents = v2.split_request(body, header_bytes)
    assert header_end(body) == header_bytes
    assert request.parameters == {"binary_data_output": True}
    assert v2.unpack_strings(contents["t"]) == [b"a", b"bc"]
    plain = decode_request(encode_body(inputs, METADATA))
    assert plain["x"].tobytes() == bytes(contents["x"])
    assert plain["t"].tolist() == ["a", "bc"]


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe", b"{", answer(np.zeros((1, 2)), extra=b"x"), answer(np.zeros((1, 2)))[:-1]],
)
def test_what_does_not_add_up_is_no_answer(body: bytes) -> None:
    with pytest.raises(InputError):
        decode_binary(body)
