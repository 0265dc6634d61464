"""What vendors' programs are given, by small programs of the same names that keep it. What those
write is nothing that a chip would load.
"""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgewright.errors import InputError
from edgewright.workbench.convert.artefact import Job, Wishes
from edgewright.workbench.convert.vendors import qnn_artefact


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the programs copy into whatever they found."""
    folder, kept = tmp_path / "programs", tmp_path / "kept"
    folder.mkdir()
    kept.mkdir()
    scripts = {
        "qnn-onnx-converter": f'cp *.raw rows.txt "{kept}"; echo "$@" >"{kept}/arguments"',
        "qnn-model-lib-generator": ":",
        "qnn-context-binary-generator": 'mkdir out; echo kept >"out/$6.bin"',
    }
    for name, line in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\nset -e\n{line}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return kept


def added(dtype: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """x/0 + z, of three numbers each."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x/0", "z"], ["y"])],
        "g",
        [helper.make_tensor_value_info(name, dtype, ["batch", 3]) for name in ("x/0", "z")],
        [helper.make_tensor_value_info("y", dtype, ["batch", 3])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def job(model: onnx.ModelProto, calibration: dict[str, np.ndarray], timeout_s: float = 60) -> Job:
    return Job(stem="net", model=model, calibration=calibration, wishes=Wishes(timeout_s=timeout_s))


def test_calibration_rows_have_the_types_of_the_graph(programs: Path) -> None:
    rows = np.arange(6.0).reshape(2, 3)
    artefact = qnn_artefact(job(added(), {"z": rows + 10, "x/0": rows, "y": rows}))
    assert artefact.main == "net_qnn.bin"
    assert (programs / "rows.txt").read_text().split() == [
        "x/0:=input0_0.raw", "z:=input1_0.raw", "x/0:=input0_1.raw", "z:=input1_1.raw"
    ]  # fmt: skip
    first = np.frombuffer((programs / "input1_1.raw").read_bytes(), np.float32)
    assert first.tolist() == [13.0, 14.0, 15.0]
    assert "--use_native_input_files" not in (programs / "arguments").read_text()


def test_whole_numbers_are_said_to_be_such(programs: Path) -> None:
    rows = np.ones((1, 3), np.int64)
    qnn_artefact(job(added(TensorProto.INT32), {"x/0": rows, "z": rows}))
    assert np.frombuffer((programs / "input0_0.raw").read_bytes(), np.int32).tolist() == [1, 1, 1]
    assert "--use_native_input_files" in (programs / "arguments").read_text()


@pytest.mark.parametrize(
    ("calibration", "words"),
    [
        ({"x/0": np.ones((2, 3))}, "no array for input 'z'"),
        ({"x/0": np.ones((2, 3)), "z": np.ones((2, 4))}, r"'z' has shape \[2, 4\]"),
        ({"x/0": np.ones((2, 3)), "z": np.ones((1, 3))}, "different numbers of rows"),
        ({"x/0": np.ones((2, 3)), "z": np.ones((2, 3), np.int8)}, "'z' is int8, expected float32"),
    ],
)
@pytest.mark.usefixtures("programs")
def test_calibration_that_does_not_fit_the_graph_is_refused(
    calibration: dict[str, np.ndarray], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        qnn_artefact(job(added(), calibration))


def test_a_program_that_does_not_end_is_told_as_such(programs: Path) -> None:
    slow = programs.parent / "programs" / "qnn-model-lib-generator"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    rows = np.ones((1, 3))
    with pytest.raises(InputError, match=r"qnn-model-lib-generator took more than 0\.5 s"):
        qnn_artefact(job(added(), {"x/0": rows, "z": rows}, timeout_s=0.5))
