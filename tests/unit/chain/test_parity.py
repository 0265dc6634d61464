from pathlib import Path

import numpy as np
import pytest

from edgewright._npz import encode_npz
from edgewright.chain.parity import ParityRequest, verify_files
from edgewright.chain.predictions import calibrate_here
from edgewright.errors import EdgewrightError, InputError
from edgewright.runtimes.base import EngineTensor
from edgewright.runtimes.reference import Graph, Layer, write_reference


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_golden_data_that_no_model_answers_are_not_blamed_on_one(
    tmp_path: Path, value: float
) -> None:
    graph = Graph(
        inputs=(EngineTensor(name="x", dtype="float32", shape=(None, 2)),),
        outputs=(EngineTensor(name="y", dtype="float32", shape=(None, 2)),),
        layers=(Layer(op="relu", inputs=("x",), output="y"),),
    )
    model, data = tmp_path / "net.npz", tmp_path / "golden.npz"
    write_reference(model, graph, {})
    rows = np.ones((4, 2), np.float32)
    data.write_bytes(encode_npz({"x": rows}))
    assert verify_files(ParityRequest(reference=model, candidate=model, data=data)).ok
    rows[3, 1] = value
    data.write_bytes(encode_npz({"x": rows}))
    with pytest.raises(InputError, match=r"golden\.npz: input 'x' holds NaN or infinity"):
        verify_files(ParityRequest(reference=model, candidate=model, data=data))


def test_a_file_that_cannot_be_kept_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    told: list[str] = []
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgewrightError, match="in the way"):
        calibrate_here(tmp_path / "file" / "kept.jsonl", tell=lambda _, text: told.append(text))
    assert told == []
