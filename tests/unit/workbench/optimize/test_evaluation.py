"""What is known to be wrong before a search begins is said before it begins."""

from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgewright._npz import encode_npz
from edgewright.chain.optimizing import OptimizeOrder, optimize_here
from edgewright.errors import InputError, UnavailableError
from edgewright.runtimes.onnxruntime import OnnxRuntime
from edgewright.workbench.optimize import OptimizeOptions
from edgewright.workbench.optimize.evaluation import read_data

ROWS = 40
OPTIONS = OptimizeOptions(max_drop=1.0)


def write_model(folder: Path, nodes: list[onnx.NodeProto]) -> Path:
    """Positions in a table of four rows of three numbers; `nodes` make `y` of what was found."""
    table = numpy_helper.from_array(np.arange(12, dtype=np.float32).reshape(4, 3), "table")
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "at"], ["found"]), *nodes],
        "g",
        [helper.make_tensor_value_info("at", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [table],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(made, folder / "net.onnx")
    return folder / "net.onnx"


def write_rows(folder: Path, positions: np.ndarray) -> tuple[Path, Path]:
    calib, evaluation = folder / "calib.npz", folder / "eval.npz"
    calib.write_bytes(encode_npz({"at": np.zeros(ROWS, np.int64)}))
    labels = np.full(ROWS, 2)
    evaluation.write_bytes(encode_npz({"at": positions.astype(np.int64), "y": labels}))
    return calib, evaluation


def test_a_model_that_answers_no_numbers_is_told_before_anything_is_made(tmp_path: Path) -> None:
    model = write_model(tmp_path, [helper.make_node("Div", ["found", "found"], ["y"])])
    calib, evaluation = write_rows(tmp_path, np.arange(ROWS) // 30)
    with pytest.raises(
        InputError, match=r"net.onnx: output 'y' holds NaN .* in 30 of 40 .*first in row 0\)"
    ):
        read_data(model, calib, evaluation, OPTIONS, OnnxRuntime().open)


def test_rows_that_the_model_cannot_answer_are_the_datas_fault(tmp_path: Path) -> None:
    model = write_model(tmp_path, [helper.make_node("Identity", ["found"], ["y"])])
    calib, evaluation = write_rows(tmp_path, np.arange(ROWS))
    with pytest.raises(InputError, match=r"does not answer the rows of .*eval.npz: .*out of data"):
        read_data(model, calib, evaluation, OPTIONS, OnnxRuntime().open)


def test_a_target_of_ones_own_narrows_the_search(tmp_path: Path) -> None:
    own = tmp_path / "ours.toml"
    own.write_text(
        '[[targets]]\nname = "our-board"\nsummary = "Our board"\narchitecture = "armv7e-m"\n'
        'cpu = "Cortex-M4"\nmemory_mb = 1\nformats = ["tflm-c"]\nsource = "our data sheet"\n'
    )
    model = write_model(tmp_path, [helper.make_node("Identity", ["found"], ["y"])])
    calib, evaluation = write_rows(tmp_path, np.arange(ROWS) % 4)
    order = OptimizeOrder(
        model=model,
        calibration=calib,
        evaluation=evaluation,
        options=OptimizeOptions(max_drop=1.0, target="our-board", formats=("onnx",)),
        out=tmp_path / "out",
        target_files=(own,),
    )
    with pytest.raises(UnavailableError, match="target 'our-board' runs tflm-c"):
        optimize_here(order)
    with pytest.raises(InputError, match="unknown target 'our-board'"):
        optimize_here(msgspec.structs.replace(order, target_files=()))
    assert not (tmp_path / "out").exists()
