"""Samples that somebody brings fit the model, or the message says why not."""

from pathlib import Path

import numpy as np
import pytest

from edgewright._npz import encode_npz
from edgewright.contract import Contract, Tensor
from edgewright.errors import InputError
from edgewright.workbench.given import fit_samples, read_arrays

OUTPUTS = (Tensor(name="y", dtype="float32", shape=("batch", 1)),)


def contract(*inputs: Tensor) -> Contract:
    return Contract(inputs=inputs, outputs=OUTPUTS)


ROWS = contract(Tensor(name="x", dtype="float32", shape=("batch", 2)))
FIXED = contract(Tensor(name="x", dtype="float32", shape=(4, 2)))
STATEFUL = contract(
    Tensor(name="x", dtype="float32", shape=("batch", 3)),
    Tensor(name="state", dtype="float32", shape=(2, "dim1")),
    Tensor(name="rate", dtype="int64", shape=()),
)


def test_rows_keep_labels_and_groups() -> None:
    arrays = {"x": np.zeros((3, 2)), "y": np.arange(3), "group": np.array(["a", "a", "b"])}
    samples = fit_samples(arrays, ROWS, source="x.npz")
    assert (samples.layout, samples.count) == ("rows", 3)
    assert samples.arrays["x"].dtype == np.float32
    assert samples.take(np.array([2])).groups is not None


def test_a_fixed_batch_is_filled_from_the_beginning_again() -> None:
    samples = fit_samples({"x": np.arange(6.0).reshape(3, 2)}, FIXED, source="x.npz")
    assert samples.request(FIXED)["x"][:, 0].tolist() == [0, 2, 4, 0]


def test_models_with_a_state_take_whole_requests() -> None:
    arrays = {"x": np.zeros((2, 1, 3)), "state": np.zeros((2, 2, 5)), "rate": np.array([8, 8])}
    samples = fit_samples(arrays, STATEFUL, source="x.npz")
    assert (samples.layout, samples.count) == ("requests", 2)
    request = samples.request(STATEFUL)
    assert {name: array.shape for name, array in request.items()} == {
        "x": (1, 3), "state": (2, 5), "rate": ()
    }  # fmt: skip
    assert all(isinstance(array, np.ndarray) for array in request.values())


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"input": np.zeros((3, 2))}, "name the arrays like the model's inputs: x float32"),
        ({"x": np.zeros((3, 2)), "extra": np.zeros(3)}, r"\['extra'\] are no inputs"),
        ({"x": np.zeros((3, 5))}, "has shape"),
        ({"x": np.zeros((3, 2), np.int64)}, "is int64, expected float32"),
        ({"x": np.full((3, 2), np.nan)}, "NaN or infinity"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(2)}, "the same number"),
        ({"x": np.zeros((0, 2))}, "1 or more"),
    ],
)
def test_what_does_not_fit_is_named(arrays: dict[str, np.ndarray], told: str) -> None:
    with pytest.raises(InputError, match=told):
        fit_samples(arrays, ROWS, source="x.npz")


def test_one_npy_is_the_only_input(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 2)))
    assert fit_samples(read_arrays(tmp_path / "x.npy"), ROWS, source="x.npy").count == 3
    (tmp_path / "x.npz").write_bytes(encode_npz({"x": np.zeros((3, 2))}))
    assert read_arrays(tmp_path / "x.npz")["x"].shape == (3, 2)


def test_pickles_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(InputError, match="not a plain array"):
        read_arrays(tmp_path / "x.npy")
