from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from edgewright.contract import Argmax, Contract, Labels, Normalise, Tensor
from edgewright.contract.ensemble import Ensemble, Stage
from edgewright.errors import DeviceError, InputError
from edgewright.runtimes.base import Array
from edgewright.runtimes.ensemble import EnsembleModel


def tensor(name: str, *shape: int, dtype: Any = "float32", **limits: float) -> Tensor:
    return Tensor(name=name, dtype=dtype, shape=("batch", *shape), **limits)


class Times:
    """A part that multiplies its input."""

    def __init__(self, factor: float, *, takes: Tensor, gives: Tensor) -> None:
        self.contract = Contract(inputs=(takes,), outputs=(gives,))
        self.is_open = True
        self._factor = np.float32(factor)

    def predict_checked(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        (array,) = arrays.values()
        return {self.contract.outputs[0].name: array * self._factor}

    def close(self) -> None:
        self.is_open = False


LABELLED = Contract(
    inputs=(tensor("x", 2),),
    outputs=(tensor("z", 2), tensor("side", dtype="string")),
    preprocess=(Normalise(tensor="x", mean=(1.0, 1.0), std=(2.0, 2.0), into="n"),),
    postprocess=(Argmax(tensor="z", into="side"), Labels(tensor="side")),
    labels=("left", "right"),
)
TWO = (
    Stage(model="a", inputs={"x": "n"}, outputs={"y": "middle"}),
    Stage(model="b", inputs={"x": "middle"}, outputs={"y": "z"}),
)


def ensemble(contract: Contract = LABELLED, stages: tuple[Stage, ...] = TWO) -> Ensemble:
    return Ensemble(name="e", contract=contract, stages=stages)


def part(factor: float, high: float | None = None) -> Times:
    return Times(factor, takes=tensor("x", 2, high=high), gives=tensor("y", 2))


def test_tensors_flow_through_steps_and_parts() -> None:
    model = EnsembleModel(ensemble(), [part(10), part(-1)])
    outputs = model.predict({"x": np.array([[3, 5], [5, 3]], np.float32)})
    assert outputs["z"].tolist() == [[-10, -20], [-20, -10]]
    assert outputs["side"].tolist() == ["left", "right"]


def test_what_a_part_refuses_of_another_is_no_fault_of_the_client() -> None:
    model = EnsembleModel(ensemble(), [part(10), part(1, high=15)])
    with pytest.raises(DeviceError, match=r"stage 2 \(b\) does not take .*'x'.* is 20"):
        model.predict({"x": np.array([[3, 5]], np.float32)})


def test_what_a_part_refuses_of_the_clients_own_tensor_is() -> None:
    contract = Contract(inputs=(tensor("x", 2),), outputs=(tensor("y", 2),))
    model = EnsembleModel(ensemble(contract, (Stage(model="a"),)), [part(1, high=4)])
    with pytest.raises(InputError, match=r"'x'\[0, 1\] is 5, expected"):
        model.predict({"x": np.array([[3, 5]], np.float32)})


def test_closing_it_closes_every_part() -> None:
    parts = [part(1), part(1)]
    EnsembleModel(ensemble(), parts).close()
    assert [one.is_open for one in parts] == [False, False]


@pytest.mark.parametrize(
    ("stages", "complaint"),
    [
        (TWO[1:] + TWO[:1], r"stage 1 \(b\) reads tensor 'middle', which is not there by then"),
        ((TWO[0], Stage(model="b", inputs={"q": "n"})), r"stage 2 \(b\) has no input 'q'"),
        ((TWO[0], Stage(model="b", outputs={"q": "n"})), r"stage 2 \(b\) has no output 'q'"),
        ((TWO[0], TWO[0]), "output 'z' is given by no stage and no step"),
    ],
)
def test_wrong_wiring_is_refused_by_name(stages: tuple[Stage, ...], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        EnsembleModel(ensemble(stages=stages), [part(1), part(1)])


@pytest.mark.parametrize("gives", [tensor("y", 3), tensor("y", 2, dtype="int8"), tensor("y", 2, 1)])
def test_tensors_that_do_not_fit_are_refused_before_anything_runs(gives: Tensor) -> None:
    odd = Times(1, takes=tensor("x", 2), gives=gives)
    with pytest.raises(InputError, match=r"stage 2 .*tensor 'middle' is"):
        EnsembleModel(ensemble(), [odd, part(1)])
