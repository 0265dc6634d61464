import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.contract import Contract, DType, Tensor
from edgewright.device.serve.reading import Feed, Reader
from edgewright.errors import InputError
from edgewright.testing.models import DOUBLER_CONTRACT
from edgewright.wire.v2 import DATATYPES, pack_strings


def body(*tensors: dict[str, Any], **members: Any) -> bytes:
    return json.dumps({"inputs": tensors, **members}).encode()


def x(data: Any, shape: list[int], **members: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": "FP32", "shape": shape, "data": data, **members}


def array(reader: Reader, feed: Feed, place: int = 0) -> Any:
    return reader.forms[place].array((feed.contents[place],), feed.shapes[place])


@pytest.fixture
def reader() -> Reader:
    return Reader(DOUBLER_CONTRACT)


@pytest.mark.parametrize(
    "data", [[1, 2.5, 3, 4], [[1, 2.5], [3, 4]], [[[1]], [[2.5]], [[3]], [[4]]]]
)
def test_json_data_is_read_flat_or_nested(reader: Reader, data: Any) -> None:
    feed = reader.read(body(x(data, [2, 2])), None)
    assert array(reader, feed).tolist() == [[1, 2.5], [3, 4]]
    assert (feed.rows, feed.wanted, feed.timeout_s) == (2, None, None)


def test_json_that_is_indented_for_people_is_read(reader: Reader) -> None:
    tensor = x([[[[1]], [[2.5]]], [[[3]], [[4]]]], [2, 2])
    feed = reader.read(json.dumps({"inputs": [tensor]}, indent=8).encode(), None)
    assert array(reader, feed).tolist() == [[1, 2.5], [3, 4]]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([[1], [2, 3, 4]], r"lists of \[1, 3\] elements side by side"),
        ([[1, 2, 3, 4]], r"nested as \[1, 4\], its shape says \[2, 2\]"),
        ([[1], [2], [3], [4]], r"nested as \[4, 1\]"),
        ([[], []], r"nested as \[2, 0\]"),
    ],
)
def test_data_that_is_nested_otherwise_than_its_shape_is_refused(
    reader: Reader, data: Any, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        reader.read(body(x(data, [2, 2])), None)


def test_binary_data_is_read_wherever_it_starts(reader: Reader) -> None:
    for padding in range(8):
        text = body(
            {
                "name": "x",
                "datatype": "FP32",
                "shape": [1, 2],
                "parameters": {"binary_data_size": 8},
            },
            id="i" * padding,
        )
        feed = reader.read(text + struct.pack("<2f", 1.5, -2), len(text))
        read = array(reader, feed)
        assert read.tolist() == [[1.5, -2]]
        assert read.flags.aligned


def test_json_and_binary_inputs_may_be_mixed_in_any_order(two_inputs: Contract) -> None:
    reader = Reader(two_inputs)
    text = body(
        {"name": "b", "datatype": "BYTES", "shape": [2], "data": ["u", "\u00e9"]},
        {"name": "a", "datatype": "INT8", "shape": [2, 2], "parameters": {"binary_data_size": 4}},
    )
    feed = reader.read(text + bytes([1, 2, 255, 4]), len(text))
    assert array(reader, feed, 0).tolist() == [[1, 2], [-1, 4]]
    assert array(reader, feed, 1).tolist() == ["u", "\u00e9"]


def test_strings_are_read_from_binary(two_inputs: Contract) -> None:
    reader = Reader(two_inputs)
    content = pack_strings([b"ab", b""])
    text = body(
        {"name": "a", "datatype": "INT8", "shape": [2, 2], "data": [1, 2, 3, 4]},
        {
            "name": "b",
            "datatype": "BYTES",
            "shape": [2],
            "parameters": {"binary_data_size": len(content)},
        },
    )
    assert array(reader, reader.read(text + content, len(text)), 1).tolist() == ["ab", ""]


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("bool", [True, False]),
        ("uint8", [0, 255]),
        ("int8", [-128, 127]),
        ("int16", [-32768, 32767]),
        ("int32", [-(2**31), 2**31 - 1]),
        ("int64", [-(2**63), 2**63 - 1]),
        ("float16", [0.5, -65504]),
        ("float32", [0.25, 2.0**100]),
        ("float64", [0.1, 1e300]),
        ("string", ["", "x"]),
    ],
)
def test_every_type_is_read_exactly(dtype: DType, values: list[Any]) -> None:
    tensor = Tensor(name="x", dtype=dtype, shape=(2,))
    reader = Reader(Contract(inputs=(tensor,), outputs=(tensor,)))
    feed = reader.read(body(x(values, [2], datatype=DATATYPES[dtype])), None)
    read = array(reader, feed)
    assert read.tolist() == values
    assert read.dtype == np.dtype(object if dtype == "string" else dtype)


@pytest.mark.parametrize(
    ("tensor", "complaint"),
    [
        (x([1, 2], [1, 3]), "has shape \\[1, 3\\], expected \\['batch', 2\\]"),
        (x([1, 2], [2]), "has shape \\[2\\]"),
        (x([], [0, 2]), "has shape \\[0, 2\\]"),
        (x([1, 2], [-1, 2]), "has shape \\[-1, 2\\]"),
        (x([1, 2, 3], [1, 2]), "has 3 elements, its shape says 2"),
        (x([1], [10**18, 2]), "its shape says"),
        (x([1, "2"], [1, 2]), "Expected `float`, got `str`"),
        (x([1, True], [1, 2]), "Expected `float`, got `bool`"),
        (x([1, None], [1, 2]), "Expected `float`, got `null`"),
        (x(7, [1, 2]), "not a list"),
        (x([1e39, 2], [1, 2]), "a value that FP32 cannot"),
        (x([1, 2], [1, 2], datatype="FP64"), "is FP64, expected FP32"),
        (x([1, 2], [1, 2], name="z"), "input 'x' is missing"),
        ({"name": "x", "datatype": "FP32", "shape": [1, 2]}, "has no data"),
        (x([[1, 2], 3], [1, 2]), "Expected `array`"),
        (x([1, 2], [1, 2], parameters={"shared_memory_region": "r"}), "shared memory"),
    ],
)
def test_wrong_tensor_is_refused_by_name(
    reader: Reader, tensor: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        reader.read(body(tensor), None)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (body(), "input 'x' is missing"),
        (body(x([1, 2], [1, 2]), x([1, 2], [1, 2])), "given twice"),
        (body(x([1, 2], [1, 2]), x([1, 2], [1, 2], name="z")), "input 'z' is unknown"),
        (body(x([1, 2], [1, 2]), outputs=[{"name": "q"}]), "output 'q' is unknown"),
        (body(x([1, 2], [1, 2]), outputs=[{"name": "y"}] * 2), "output is asked for twice"),
        (body(x([1, 2], [1, 2]), parameters={"timeout": "soon"}), "expected microseconds"),
        (body(x([1, 2], [1, 2]), parameters={"timeout": -1}), "expected microseconds"),
        (body(x([1, 2], [1, 2]), parameters={"binary_data_output": 1}), "true or false"),
        (
            body(x([1, 2], [1, 2]), outputs=[{"name": "y", "parameters": {"classification": -1}}]),
            "expected a number",
        ),
        (b"", "not a valid V2 message"),
        (b"[" * 100_000, "not a valid V2 message"),
        (b'{"inputs":[{"name":"x","extra":' + b"[" * 100_000, "not a valid V2 message"),
    ],
)
def test_wrong_request_is_refused_by_name(reader: Reader, content: bytes, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        reader.read(content, None)


def test_binary_tensor_with_wrong_size_is_refused(reader: Reader) -> None:
    text = body(x([1], [1, 2], parameters={"binary_data_size": 4}))
    with pytest.raises(InputError, match="JSON data and binary data"):
        reader.read(text + b"\0" * 4, len(text))
    tensor = x([], [1, 2], parameters={"binary_data_size": 4})
    del tensor["data"]
    text = body(tensor)
    with pytest.raises(InputError, match="has 4 bytes, its shape and type say 8"):
        reader.read(text + b"\0" * 4, len(text))


def test_options_are_read(reader: Reader) -> None:
    feed = reader.read(
        body(
            x([1, 2], [1, 2]),
            id="7",
            parameters={"timeout": 2500, "binary_data_output": True},
            outputs=[{"name": "y", "parameters": {"classification": 1}}],
        ),
        None,
    )
    assert (feed.id, feed.timeout_s) == ("7", 0.0025)
    (wanted,) = feed.wanted or ()
    assert (wanted.name, wanted.is_binary, wanted.classes) == ("y", True, 1)


@given(
    st.lists(
        st.sampled_from(
            [
                b'{"inputs":[',
                b'{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}',
                b'{"name":"x","datatype":"FP32","shape":[1,2],"parameters":{"binary_data_size":8}}',
                b'{"name":"x","datatype":"BYTES","shape":',
                b"[1,2]",
                b'"data":[[1],[2]]',
                b",",
                b"]",
                b"}",
                b'"outputs":[{"name":"y"}]',
                b"\0\0\0\0\0\0\0\0",
                b"\xff",
            ]
        )
        | st.binary(max_size=6),
        max_size=10,
    ).map(b"".join),
    st.none() | st.integers(0, 160),
)
def test_any_body_is_a_feed_or_refused(content: bytes, header_bytes: int | None) -> None:
    reader = Reader(DOUBLER_CONTRACT)
    try:
        feed = reader.read(content, header_bytes)
    except InputError:
        return
    assert array(reader, feed).shape == feed.shapes[0]


def test_header_of_a_binary_request_is_read_once(two_numbers: Contract) -> None:
    reader = Reader(two_numbers)
    text = body(
        {"name": "b", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}},
        {"name": "a", "datatype": "INT8", "shape": [1, 2], "parameters": {"binary_data_size": 2}},
        parameters={"binary_data_output": True, "timeout": 5000},
    )
    first = reader.read(text + struct.pack("<f2b", 1.5, 1, -2), len(text))
    again = reader.read(text + struct.pack("<f2b", 2.5, 3, -4), len(text))
    assert array(reader, again, 0).tolist() == [[3, -4]]
    assert array(reader, again, 1).tolist() == [2.5]
    assert (again.wanted, again.timeout_s, again.rows) == (first.wanted, first.timeout_s, 1)


@pytest.mark.parametrize(("missing", "moved"), [(1, 0), (0, 1), (0, -1), (-1, 0)])
def test_known_header_hides_no_fault(two_numbers: Contract, missing: int, moved: int) -> None:
    reader = Reader(two_numbers)
    text = body(
        {"name": "a", "datatype": "INT8", "shape": [1, 2], "parameters": {"binary_data_size": 2}},
        {"name": "b", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}},
    )
    content = struct.pack("<2bf", 1, -2, 1.5)
    reader.read(text + content, len(text))
    with pytest.raises(InputError):
        reader.read(text + (content + b"x")[: len(content) - missing], len(text) + moved)
