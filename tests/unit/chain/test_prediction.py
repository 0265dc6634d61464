"""A file of rows through a model: the same answers however many are asked at once, or none."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from edgewright.chain.prediction import _as_declared, predict_rows
from edgewright.contract import Contract, Tensor
from edgewright.errors import InputError
from edgewright.runtimes.base import Array, EngineTensor
from edgewright.runtimes.model import LoadedModel

CONTRACT = Contract(
    inputs=(Tensor(name="x", dtype="float32", shape=("batch", 2)),),
    outputs=(Tensor(name="y", dtype="float32", shape=("batch", 2)),),
)
ROWS = {"x": np.arange(20, dtype=np.float32).reshape(10, 2)}


class Session:
    inputs = (EngineTensor(name="x", dtype="float32", shape=(None, 2)),)
    outputs = (EngineTensor(name="y", dtype="float32", shape=(None, 2)),)

    def __init__(self, function: Callable[[Array], Array]) -> None:
        self.function = function

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        return {"y": self.function(feeds["x"])}

    def close(self) -> None:
        pass


def asked(function: Callable[[Array], Array], *, batch: int) -> Array:
    model = LoadedModel(CONTRACT, Session(function))
    return predict_rows(model, ROWS, batch=batch)["y"]


@pytest.mark.parametrize("batch", [1, 2, 3, 64])
def test_every_row_gets_its_answer_whatever_the_batch(batch: int) -> None:
    assert np.array_equal(asked(lambda x: x * 2, batch=batch), ROWS["x"] * 2)


@pytest.mark.parametrize("batch", [2, 64])
def test_a_model_that_mixes_rows_is_asked_row_by_row_or_not_at_all(batch: int) -> None:
    with pytest.raises(InputError, match=r"row 0 depends on the rows .*--batch 1"):
        asked(lambda x: x - x.mean(axis=0), batch=batch)
    assert not asked(lambda x: x - x.mean(axis=0), batch=1).any()


def test_an_answer_for_all_rows_together_is_none_of_a_row() -> None:
    with pytest.raises(InputError, match=r"\['y'\] are not one a row"):
        asked(lambda x: x.sum(axis=0, keepdims=True), batch=64)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [([0.1, -2.5], "float32"), ([0.1, 7.0], "float16"), ([3.0, -4.0], "int8"), ([1, 2], "float32")],
)
def test_numbers_of_a_file_become_what_the_contract_says(values: list[float], dtype: str) -> None:
    array = np.array(values)
    found = _as_declared(array, "x", dtype)
    assert found.dtype == dtype
    assert np.allclose(found.astype(float), array, rtol=1e-3)


@pytest.mark.parametrize(
    ("values", "dtype", "what"),
    [
        ([1.0, 2.5], "int8", r"'x'\[1\] is 2.5, which int8"),
        ([300.0], "uint8", "is 300, which uint8"),
        ([-1.0], "uint8", "is -1, which uint8"),
        ([np.nan], "int16", "is nan, which int16"),
        ([1e300], "float32", "is 1e\\+300, which float32"),
    ],
)
def test_numbers_that_the_contract_cannot_hold_are_no_others(
    values: list[float], dtype: str, what: str
) -> None:
    with pytest.raises(InputError, match=what):
        _as_declared(np.array(values), "x", dtype)


def test_what_is_not_finite_is_left_to_the_door() -> None:
    assert np.isnan(_as_declared(np.array([np.nan]), "x", "float32")).all()
