import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.errors import InputError
from edgewright.wire.v2 import (
    InferInput,
    InferOutput,
    InferRequest,
    InferResponse,
    join_binary,
    pack_strings,
    parse_header_length,
    split_request,
    split_response,
    unpack_strings,
)

CONTENTS = st.lists(st.binary(max_size=20), max_size=4)


@given(CONTENTS, st.integers(0, 3))
def test_binary_request_comes_back_as_it_was_joined(contents: list[bytes], in_json: int) -> None:
    tensors = [InferInput(name=f"b{i}", shape=(1,), datatype="INT8") for i in range(len(contents))]
    tensors += [
        InferInput(name=f"j{i}", shape=(1,), datatype="INT8", data=msgspec.Raw(b"[1]"))
        for i in range(in_json)
    ]
    body, length = join_binary(InferRequest(inputs=tuple(tensors), id="7"), contents)
    request, found = split_request(body, length)
    assert [bytes(found[f"b{i}"]) for i in range(len(contents))] == contents
    assert [bytes(tensor.data) for tensor in request.inputs[len(contents) :]] == [b"[1]"] * in_json
    assert request.id == "7"


@given(CONTENTS)
def test_binary_answer_comes_back_as_it_was_joined(contents: list[bytes]) -> None:
    outputs = tuple(
        InferOutput(name=f"y{i}", shape=(1,), datatype="INT8") for i in range(len(contents))
    )
    body, length = join_binary(InferResponse(model_name="m", outputs=outputs), contents)
    response, found = split_response(body, length)
    assert response.model_name == "m"
    assert [bytes(found[f"y{i}"]) for i in range(len(contents))] == contents


@given(st.lists(st.binary(max_size=30), max_size=8))
def test_strings_come_back_as_they_were_packed(items: list[bytes]) -> None:
    assert unpack_strings(memoryview(pack_strings(items))) == items


@given(st.binary(max_size=60))
def test_any_bytes_are_strings_or_refused(content: bytes) -> None:
    try:
        items = unpack_strings(memoryview(content))
    except InputError:
        return
    assert pack_strings(items) == content


_INPUT = b'{"name":"x","shape":[1],"datatype":"FP32","data":[1]}'


@given(
    st.binary(max_size=80)
    | st.lists(
        st.sampled_from(
            [b"{", b"}", b"[", b"]", b'"inputs"', b":", b",", _INPUT, b"null", b"1e999", b'"\xff"']
        ),
        max_size=14,
    ).map(b"".join),
    st.none() | st.integers(0, 90),
)
def test_any_body_is_a_request_or_refused(body: bytes, length: int | None) -> None:
    try:
        request, _ = split_request(body, length)
    except InputError:
        return
    assert isinstance(request.inputs, tuple)


@pytest.mark.parametrize(
    ("body", "length", "complaint"),
    [
        (b"", None, "not a valid V2 message"),
        (b"[]", None, "not a valid V2 message"),
        (b'{"inputs":[{"name":1}]}', None, r"inputs\[0\].name"),
        (b'{"inputs":[]}', 99, "the body has 13 bytes"),
        (b'{"inputs":[]}xx', 13, "2 bytes behind the last binary tensor"),
        (b"[" * 100_000, None, "not a valid V2 message"),
    ],
)
def test_wrong_request_is_refused_by_name(body: bytes, length: int | None, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        split_request(body, length)


@pytest.mark.parametrize("size", [b"-1", b"5", b"true", b'"4"', b"1.5"])
def test_binary_size_beyond_the_body_is_refused(size: bytes) -> None:
    text = (
        b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32",'
        b'"parameters":{"binary_data_size":' + size + b"}}]}"
    )
    with pytest.raises(InputError, match="binary_data_size"):
        split_request(text + b"abcd", len(text))


def test_null_members_mean_absent_ones() -> None:
    body = b'{"id":null,"parameters":null,"outputs":null,"inputs":[]}'
    request, _ = split_request(body, None)
    assert (request.id, request.parameters, request.outputs) == (None, None, None)


@pytest.mark.parametrize("text", ["", "-1", "1x", "\u0661", "9" * 13])
def test_wrong_header_length_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="number of bytes"):
        parse_header_length(text)


def test_header_length_is_read() -> None:
    assert (parse_header_length("12"), parse_header_length(None)) == (12, None)
