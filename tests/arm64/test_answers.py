"""Every golden bundle, and the reference models in float and in int8, answer on arm64 as here."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.arm64.answers import answers
from tests.arm64.conftest import Run

from edgewright.chain.bundles import BuildOrder, build_from_file

pytestmark = [pytest.mark.arm64, pytest.mark.timeout(3000)]

FLOAT_TOLERANCE = 1e-5
"""Of the largest answer of a model in float. Its sums are the same, in another order."""

ROWS = 2


@pytest.fixture
def reference_bundles(bench_script: Callable[[str], ModuleType], tmp_path: Path) -> list[Path]:
    """The network of 68 million multiply-adds, as it is and in int8, and the one of 640."""
    models = bench_script("_models")
    rng = np.random.default_rng(0)
    x = {"tcn": rng.normal(size=(ROWS, 100, 9)), "mlp": rng.normal(size=(ROWS, 16))}
    tcn = models.build_tcn_bench(tmp_path / "tcn-fp32.onnx")
    calibration = rng.normal(size=(8, 100, 9)).astype(np.float32)
    files = [
        models.build_mlp_16(tmp_path / "mlp-fp32.onnx"),
        tcn,
        # Without VNNI, an x86 saturates the sums of 8-bit weights in 16 bits.
        models.build_tcn_bench_int8(
            tcn, tmp_path / "tcn-int8.onnx", calibration, reduce_range=True
        ),
    ]
    for file in files:
        requests = tmp_path / f"{file.stem}.npz"
        np.savez(requests, x=x[file.stem[:3]].astype(np.float32))
        order = BuildOrder(model=file, name=file.stem, version="1", golden=requests)
        build_from_file(order, file.with_suffix(".ewb"))
    return [file.with_suffix(".ewb") for file in files]


def test_bundles_answer_as_on_this_machine(
    python: Run, project_root: Path, reference_bundles: list[Path], tmp_path: Path
) -> None:
    golden = sorted((project_root / "tests" / "golden").glob("v*/good.ewb"))
    assert golden
    bundles = [*golden, *reference_bundles]
    here = answers(bundles)

    done = python(Path(__file__).with_name("answers.py"), tmp_path / "there.npz", *bundles)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"machine": "aarch64"}
    with np.load(tmp_path / "there.npz") as there:
        assert sorted(there) == sorted(here)
        wrong = {
            name: fault for name in here if (fault := _difference(name, here[name], there[name]))
        }
    assert wrong == {}


def _difference(name: str, here: NDArray[Any], there: NDArray[Any]) -> str:
    """What is wrong with an answer; empty when it is the same."""
    if (here.dtype, here.shape) != (there.dtype, there.shape):
        return f"{there.dtype}{there.shape} instead of {here.dtype}{here.shape}"
    if here.dtype.kind != "f" or "int8" in name:
        return "" if np.array_equal(here, there) else f"{there.tolist()} instead of {here.tolist()}"
    limit = FLOAT_TOLERANCE * np.abs(here).max()
    error = np.abs(here - there).max()
    return "" if error <= limit else f"differs by {error:.3g}, {limit:.3g} are allowed"


def test_an_answer_that_differs_is_noticed() -> None:
    a = np.array([1.0, 2.0], np.float32)
    assert _difference("v1/good:y", a, a * np.float32(1 + 1e-6)) == ""
    assert "differs by" in _difference("v1/good:y", a, a * np.float32(1.001))
    assert "instead of" in _difference("1/tcn-int8:y", a, a * np.float32(1 + 1e-6))
    assert "instead of" in _difference("v1/good:label", np.array(["a"]), np.array(["b"]))
    assert "differs by nan" in _difference("v1/good:y", a, a * np.float32("nan"))
