from collections.abc import Mapping

import numpy as np
import pytest

from edgewright.errors import InputError
from edgewright.runtimes.base import Array, EngineTensor
from edgewright.workbench.verify import check_arrays, edge_inputs, row_count, run_rows


class Doubling:
    """A session that doubles; its batch may be fixed."""

    def __init__(self, batch: int | None) -> None:
        self.inputs = (EngineTensor(name="x", dtype="float32", shape=(batch, 3)),)
        self.outputs = (EngineTensor(name="y", dtype="float32", shape=(batch, 3)),)
        self.batches: list[int] = []

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        self.batches.append(len(feeds["x"]))
        return {"y": feeds["x"] * 2}

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("batch", "batches"), [(None, [64, 36]), (1, [1] * 100), (32, [32, 32, 32, 32])]
)
def test_every_row_gets_its_answer_whatever_batch_the_file_allows(
    batch: int | None, batches: list[int]
) -> None:
    x = np.arange(300, dtype=np.float32).reshape(100, 3)
    session = Doubling(batch)
    assert np.array_equal(run_rows(session, {"x": x})["y"], x * 2)
    assert session.batches == batches


def test_arrays_must_agree_on_their_rows() -> None:
    with pytest.raises(InputError, match="same number"):
        row_count({"a": np.zeros(3), "b": np.zeros(4)})
    with pytest.raises(InputError, match="1 or more"):
        row_count({"a": np.zeros((0, 4))})


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"z": np.zeros((2, 3), np.float32)}, "no array for input 'x'"),
        ({"x": np.zeros((2, 4), np.float32)}, r"shape \[2, 4\], expected \['rows', 3\]"),
        ({"x": np.zeros(3, np.float32)}, r"shape \[3\]"),
        ({"x": np.zeros((2, 3), np.int64)}, "is int64, expected float32"),
        ({"x": np.full((2, 3), np.nan, np.float32)}, "NaN or infinity"),
        ({"x": np.array([["a", "b", "c"]])}, "expected float32"),
    ],
)
def test_an_array_that_the_model_cannot_take_is_named(
    arrays: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check_arrays(arrays, Doubling(None).inputs, source="golden.npz")


def test_double_precision_is_fitted_and_other_arrays_are_left_out() -> None:
    arrays = {"x": np.ones((2, 3)), "y": np.zeros(2)}
    fitted = check_arrays(arrays, Doubling(None).inputs, source="golden.npz")
    assert list(fitted) == ["x"]
    assert fitted["x"].dtype == np.float32


def test_edges_stay_in_the_range_and_type_of_the_golden_data() -> None:
    golden = {"ids": np.array([[1, 5], [3, 2]]), "x": np.array([[0.5, 2.0]], np.float32)}
    cases = edge_inputs(golden, np.random.default_rng(0))
    assert {"zeros", "lowest", "highest", "random"} <= set(cases)
    for arrays in cases.values():
        for name, array in arrays.items():
            assert array.dtype == golden[name].dtype
            assert array.shape[1:] == golden[name].shape[1:]
            assert golden[name].min() <= array.min()
            assert array.max() <= golden[name].max()


def test_an_output_of_one_number_for_all_rows_is_refused() -> None:
    class Summing(Doubling):
        def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
            return {"y": feeds["x"] * 2, "sum": np.float32(feeds["x"].sum())}

    with pytest.raises(InputError, match=r"\['sum'\] hold one number for all rows"):
        run_rows(Summing(None), {"x": np.zeros((2, 3), np.float32)})


def test_edge_inputs_of_the_widest_range_are_finite() -> None:
    widest = {"x": np.array([[-1e308], [1e308]])}
    assert all(
        np.isfinite(edge["x"]).all()
        for edge in edge_inputs(widest, np.random.default_rng(1)).values()
    )
