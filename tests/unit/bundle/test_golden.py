import numpy as np
import pytest

from edgewright._npz import encode_npz
from edgewright.bundle import Draft
from edgewright.bundle.golden import Golden, check_golden, decode_golden, encode_golden
from edgewright.errors import InputError

GOLDEN = Golden(
    inputs={"x": np.array([[1.0, 2.0]], np.float32)},
    outputs={"y": np.array([[0.5]], np.float32)},
)


def test_golden_vectors_survive_and_have_one_text() -> None:
    again = decode_golden(encode_golden(GOLDEN))
    np.testing.assert_array_equal(again.inputs["x"], GOLDEN.inputs["x"])
    np.testing.assert_array_equal(again.outputs["y"], GOLDEN.outputs["y"])
    assert encode_golden(again) == encode_golden(GOLDEN)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04broken",
        b"text",
        encode_npz({"in:x": np.zeros(1)}),
        encode_npz({"in:x": np.zeros(1), "out:y": np.zeros(1), "z": np.zeros(1)}),
    ],
)
def test_other_files_are_refused(content: bytes) -> None:
    with pytest.raises(InputError, match="golden vectors"):
        decode_golden(content)


def test_pickled_objects_are_refused() -> None:
    import io

    buffer = io.BytesIO()
    np.savez(buffer, **{"in:x": np.array([{"a": 1}], dtype=object), "out:y": np.zeros(1)})
    with pytest.raises(InputError, match="golden vectors"):
        decode_golden(buffer.getvalue())


def test_vectors_of_another_contract_are_refused(draft: Draft) -> None:
    check_golden(GOLDEN, draft.contract)
    with pytest.raises(InputError, match=r"have inputs \['q'\], the contract has \['x'\]"):
        check_golden(Golden(inputs={"q": np.zeros(1)}, outputs=GOLDEN.outputs), draft.contract)
