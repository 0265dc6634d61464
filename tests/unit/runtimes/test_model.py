from collections.abc import Mapping

import numpy as np
import pytest

from edgewright.contract import Argmax, Contract, Labels, Normalise, Tensor
from edgewright.errors import DeviceError, InputError
from edgewright.runtimes.base import Array, EngineTensor
from edgewright.runtimes.model import LoadedModel, answer_golden, infer_contract


class Eightfold:
    """A session of plain numpy that multiplies by eight; a huge input overflows to infinity."""

    inputs = (EngineTensor(name="x", dtype="float32", shape=(None, 2)),)
    outputs = (EngineTensor(name="y", dtype="float32", shape=(None, 2)),)
    is_open = True

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        with np.errstate(over="ignore"):
            return {"y": feeds["x"] * np.float32(8)}

    def close(self) -> None:
        self.is_open = False


CONTRACT = Contract(
    inputs=(Tensor(name="x", dtype="float32", shape=("batch", 2)),),
    outputs=(
        Tensor(name="y", dtype="float32", shape=("batch", 2)),
        Tensor(name="label", dtype="string", shape=("batch",)),
    ),
    preprocess=(Normalise(tensor="x", mean=(1.0, 1.0), std=(2.0, 2.0)),),
    postprocess=(Argmax(tensor="y", into="label"), Labels(tensor="label")),
    labels=("left", "right"),
)


def request(*rows: tuple[float, float]) -> dict[str, Array]:
    return {"x": np.array(rows, np.float32)}


def test_a_request_goes_through_both_doors() -> None:
    answer = LoadedModel(CONTRACT, Eightfold()).predict(request((1.0, 3.0), (5.0, 1.0)))
    np.testing.assert_array_equal(answer["y"], [[0.0, 8.0], [16.0, 0.0]])
    assert answer["label"].tolist() == ["right", "left"]


def test_a_request_out_of_contract_never_reaches_the_engine() -> None:
    with pytest.raises(InputError, match="'x'"):
        LoadedModel(CONTRACT, Eightfold()).predict(request((float("nan"), 0.0)))


def test_an_answer_that_is_not_finite_is_a_device_error() -> None:
    with pytest.raises(DeviceError, match="output 'y' holds NaN or infinity"):
        LoadedModel(CONTRACT, Eightfold()).predict(request((3e38, -3e38), (3e38, 3e38)))


def test_golden_vectors_hold_what_the_model_answered() -> None:
    model = LoadedModel(CONTRACT, Eightfold())
    golden = answer_golden(model, request((1.0, 3.0)))
    assert set(golden.outputs) == {"y", "label"}
    np.testing.assert_array_equal(golden.outputs["y"], [[0.0, 8.0]])


def test_the_contract_of_a_bare_file_is_what_its_engine_declares() -> None:
    contract = infer_contract(Eightfold())
    assert contract.inputs == (Tensor(name="x", dtype="float32", shape=("batch", 2)),)
    assert [output.name for output in contract.outputs] == ["y"]


def test_closing_closes_the_engine() -> None:
    session = Eightfold()
    LoadedModel(CONTRACT, session).close()
    assert not session.is_open


def test_a_model_that_takes_nothing_has_no_contract() -> None:
    class Constant(Eightfold):
        inputs = ()

    with pytest.raises(InputError, match="0 inputs and 1 outputs"):
        infer_contract(Constant())


def test_inputs_whose_rows_are_called_differently_need_not_be_as_many() -> None:
    class Named:
        def __init__(self, *rows: str) -> None:
            self.inputs = tuple(
                EngineTensor(name=f"x{place}", dtype="float32", shape=(None, 3), rows=each)
                for place, each in enumerate(rows)
            )
            self.outputs = (EngineTensor(name="y", dtype="float32", shape=(None, None)),)

    def shapes(*rows: str) -> list[object]:
        contract = infer_contract(Named(*rows))  # type: ignore[arg-type]  # only asked for its tensors
        return [list(tensor.shape) for tensor in (*contract.inputs, *contract.outputs)]

    assert shapes("n", "m") == [["n", 3], ["m", 3], ["dim0", "dim1"]]
    assert shapes("n", "n") == [["batch", 3], ["batch", 3], ["batch", "dim1"]]
    assert shapes("n", "") == [["batch", 3], ["batch", 3], ["batch", "dim1"]]
