"""Passes whose tensors stay where they are answer as the plain call does, or are not used."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.contract import Contract, Normalise, Tensor
from edgewright.errors import DeviceError
from edgewright.runtimes.model import LoadedModel
from edgewright.runtimes.onnxruntime import OnnxRuntime, OnnxSession

onnx = pytest.importorskip("onnx", reason="absent: onnx")
_FLOAT = onnx.TensorProto.FLOAT

Open = Callable[..., OnnxSession]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens a model of a single operator from x to y."""
    sessions: list[OnnxSession] = []

    def open_operator(
        operator: str, shape: list[Any], to: list[Any], kind: int = _FLOAT, **attributes: Any
    ) -> OnnxSession:
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node(operator, ["x"], ["y"], **attributes)],
            "one",
            [onnx.helper.make_tensor_value_info("x", _FLOAT, shape)],
            [onnx.helper.make_tensor_value_info("y", kind, to)],
        )
        opset = [onnx.helper.make_opsetid("", 20)]
        model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=10)
        path = tmp_path / f"{operator}.onnx"
        path.write_bytes(model.SerializeToString())
        sessions.append(OnnxRuntime().open(path))
        return sessions[-1]

    yield open_operator
    for session in sessions:
        session.close()


def row(*values: float) -> dict[str, np.ndarray]:
    return {"x": np.array([values], np.float32)}


def free(session: OnnxSession) -> int:
    """How many passes are bound."""
    return len(session._bound._free)


def test_a_shape_that_comes_again_is_bound(opened: Open) -> None:
    session = opened("Neg", ["batch", 2], ["batch", 2])
    for value in range(6):
        assert session.run(row(value, 1))["y"].tolist() == [[-value, -1]]
        assert free(session) == (value > 0)
    session.run({"x": np.zeros((3, 2), np.float32)})
    assert free(session) == 1


def test_an_answer_as_long_as_its_values_say_is_never_bound_to_a_length(opened: Open) -> None:
    session = opened("NonZero", ["batch", 3], [2, "found"], onnx.TensorProto.INT64)
    for _ in range(4):
        assert session.run(row(1, 2, 3))["y"].shape == (2, 3)
    for _ in range(4):
        assert session.run(row(0, 2, 3))["y"].tolist() == [[0, 0], [1, 2]]
        assert session.run(row(0, 0, 0))["y"].shape == (2, 0)
    assert free(session) == 0


def test_a_model_that_throws_dice_is_not_bound(opened: Open) -> None:
    session = opened("RandomNormalLike", ["batch", 4], ["batch", 4])
    for _ in range(4):
        session.run(row(0, 0, 0, 0))
    assert free(session) == 0


def test_large_tensors_take_the_plain_call(opened: Open) -> None:
    session = opened("Neg", ["batch", 1 << 14], ["batch", 1 << 14])
    x = np.ones((1, 1 << 14), np.float32)
    for _ in range(4):
        assert session.run({"x": x})["y"].sum() == -(1 << 14)
    assert free(session) == 0


def test_an_input_that_is_the_output_is_copied(opened: Open) -> None:
    session = opened("Identity", ["batch", 2], ["batch", 2])
    answers = [session.run(row(value, value))["y"] for value in range(5)]
    assert [answer.tolist() for answer in answers] == [[[value] * 2] for value in range(5)]


def test_who_asks_for_many_shapes_gets_the_plain_call(opened: Open) -> None:
    session = opened("Neg", ["batch", 2], ["batch", 2])
    for _ in range(3):
        for rows in range(1, 100):
            assert session.run({"x": np.ones((rows, 2), np.float32)})["y"].shape == (rows, 2)
    assert free(session) == 64


CONTRACT = Contract(
    inputs=(Tensor(name="x", dtype="float32", shape=("batch", 2)),),
    outputs=(Tensor(name="y", dtype="float32", shape=("batch", 2)),),
)


def test_a_bound_model_answers_in_its_own_tensors(opened: Open) -> None:
    model = LoadedModel(CONTRACT, opened("Sqrt", ["batch", 2], ["batch", 2]))
    bound = model.bind(row(1, 1))
    assert bound is not None
    bound.inputs["x"][...] = [[4, 9]]
    bound.run()
    assert bound.outputs["y"].tolist() == [[2, 3]]
    bound.inputs["x"][...] = [[-1, 9]]
    with pytest.raises(DeviceError, match="output 'y' holds NaN or infinity"):
        bound.run()


def test_a_model_with_steps_or_more_is_not_bound(opened: Open) -> None:
    class More(LoadedModel):
        def predict_checked(self, arrays: Any) -> Any:
            return super().predict_checked(arrays)

    session = opened("Neg", ["batch", 2], ["batch", 2])
    steps = (Normalise(tensor="x", mean=(1.0, 1.0), std=(2.0, 2.0)),)
    contract = Contract(inputs=CONTRACT.inputs, outputs=CONTRACT.outputs, preprocess=steps)
    assert LoadedModel(contract, session).bind(row(1, 1)) is None
    assert More(CONTRACT, session).bind(row(1, 1)) is None
