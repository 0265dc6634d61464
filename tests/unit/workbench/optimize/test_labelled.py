from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright._npz import encode_npz
from edgewright.errors import InputError
from edgewright.runtimes.base import EngineTensor
from edgewright.workbench.optimize.labelled import (
    Labelled,
    bootstrap_groups,
    divide,
    read_calibration,
    read_evaluation,
    shared_rows,
)

INPUTS = (EngineTensor(name="x", dtype="float32", shape=(None, 3)),)


def labelled(groups: list[int] | None, rows: int = 90) -> Labelled:
    return Labelled(
        inputs={"x": np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)},
        labels=np.arange(rows),
        groups=None if groups is None else np.array(groups),
    )


@given(st.lists(st.integers(0, 6), min_size=20, max_size=80), st.integers(0, 9))
def test_select_and_confirm_share_no_sample_and_lose_none(groups: list[int], seed: int) -> None:
    data = labelled(groups, len(groups))
    select, confirm, split = divide(data, np.random.default_rng(seed))
    both = np.concatenate([select.labels, confirm.labels])
    assert sorted(both) == list(range(len(groups)))
    assert len(select.labels) >= 1
    assert len(confirm.labels) >= 1
    if len(set(groups)) > 1:
        assert split.by == "group"
        assert select.groups is not None
        assert confirm.groups is not None
        assert not set(select.groups) & set(confirm.groups)
    assert np.array_equal(select.inputs["x"][:, 0], select.labels * 3)


def test_rows_are_divided_where_nobody_names_groups() -> None:
    select, confirm, split = divide(labelled(None), np.random.default_rng(0))
    assert split.by == "rows"
    assert (select.rows, confirm.rows) == (30, 60)


def test_the_same_seed_divides_the_same_way() -> None:
    data = labelled(None)
    first, second = (divide(data, np.random.default_rng(3))[0].labels for _ in range(2))
    assert np.array_equal(first, second)


def test_few_groups_are_no_bootstrap_units() -> None:
    assert bootstrap_groups(labelled([0, 1, 2] * 30)) is None
    assert bootstrap_groups(labelled(list(range(6)) * 15)) is not None


def test_shared_samples_are_counted() -> None:
    data = labelled(None)
    assert shared_rows({"x": data.inputs["x"][10:20]}, data) == 10


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    path.write_bytes(encode_npz(arrays))
    return path


X = np.zeros((40, 3), np.float32)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X[:1]}, "holds 1 calibration sample, expected 8 or more"),
        ({"z": X}, "no array for input 'x'"),
        ({"x": X[:, :2]}, r"shape \[40, 2\], expected \['rows', 3\]"),
        ({"x": X.astype(np.int64)}, "is int64, expected float32"),
    ],
)
def test_calibration_that_cannot_be_used_is_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_calibration(write(tmp_path / "c.npz", arrays), INPUTS)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "no labels `y`"),
        ({"x": X, "y": np.zeros(39, np.int64)}, "same number"),
        ({"x": X[:5], "y": np.zeros(5, np.int64)}, "holds 5 evaluation samples"),
        ({"x": X, "y": np.zeros(40, np.int64), "group": np.zeros((40, 2))}, "`group` has shape"),
    ],
)
def test_evaluation_that_cannot_be_used_is_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_evaluation(write(tmp_path / "e.npz", arrays), INPUTS)


def test_a_text_file_is_no_npz(tmp_path: Path) -> None:
    path = tmp_path / "e.npz"
    path.write_text("x,y\n1,2\n")
    with pytest.raises(InputError, match="not an npz file"):
        read_evaluation(path, INPUTS)
