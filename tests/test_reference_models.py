"""The builders of the reference models give the parameters and multiply-adds that figures cite."""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx
import pytest

from edgewright.workbench.optimize.recommending import size_of

BENCH = Path(__file__).resolve().parents[1] / "bench"
MODELS: Mapping[str, Mapping[str, Any]] = tomllib.loads((BENCH / "models.toml").read_text())
SERVING = ("mlp-16", "tcn-bench")

BenchScript = Callable[[str], ModuleType]


@pytest.mark.parametrize("name", SERVING)
def test_a_model_of_serving_goals_is_what_the_table_says(
    name: str, bench_script: BenchScript, tmp_path: Path
) -> None:
    path = bench_script("_models").BUILDERS[name](tmp_path / "model.onnx")
    assert_said(name, path)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in MODELS if name not in SERVING])
def test_a_model_of_a_recipe_is_what_the_table_says(
    name: str, bench_script: BenchScript, tmp_path: Path
) -> None:
    for extra in ("PIL", "vtracer"):
        pytest.importorskip(extra, reason=f"absent: {extra}")
    path = bench_script("_recipe_models").BUILDERS[name](tmp_path / "model.onnx")
    assert_said(name, path)


def assert_said(name: str, path: Path) -> None:
    size = size_of(onnx.load(str(path)))
    assert (size.parameters, size.macs) == (MODELS[name]["parameters"], MODELS[name]["macs"])
