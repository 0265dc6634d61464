"""What can be searched here, and what stands in the report as absent."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from edgewright.chain.engines import engine_named
from edgewright.errors import InputError, UnavailableError
from edgewright.runtimes import Runtime
from edgewright.runtimes.onnxruntime import OnnxRuntime
from edgewright.workbench.optimize import OptimizeOptions
from edgewright.workbench.optimize.space import Space, makers_for
from edgewright.workbench.optimize.variants import (
    BASELINES,
    FORMATS,
    OpenVinoRecipe,
    ProviderFp32,
    engine_of,
)


def space_of(model: onnx.ModelProto) -> Space:
    rng = np.random.default_rng(0)
    return Space(
        source=model,
        calibration={"x": rng.normal(size=(16, 32, 6)).astype(np.float32)},
        open_model=OnnxRuntime().open,
        points=lambda answer: 0.0,
        max_drop=1.0,
    )


def test_an_absent_engine_is_a_row_with_its_reason(conv_net: onnx.ModelProto) -> None:
    runtimes: dict[str, Runtime | UnavailableError] = {
        "onnx": OnnxRuntime(),
        "openvino": UnavailableError("engine 'openvino' cannot run here", hint="pip install x"),
    }
    makers, absent = makers_for(("onnx", "openvino"), runtimes, space_of(conv_net))
    assert list(makers) == ["onnx"]
    assert [(row.format, row.verdict) for row in absent] == [("openvino", "unavailable")]
    assert "pip install x" in absent[0].reason


def test_nothing_to_search_with_is_an_error(conv_net: onnx.ModelProto) -> None:
    with pytest.raises(UnavailableError, match="no engine for format 'onnx'"):
        makers_for(("onnx",), {}, space_of(conv_net))


def test_unknown_formats_are_refused() -> None:
    with pytest.raises(InputError, match="'tvm' is not searched; known: onnx, openvino"):
        OptimizeOptions(max_drop=1.0, formats=("tvm",))


def test_every_format_has_a_float_baseline() -> None:
    assert tuple(BASELINES) == FORMATS
    assert all(recipe.format == name for name, recipe in BASELINES.items())


def test_a_provider_is_another_engine_on_the_same_format() -> None:
    recipe = ProviderFp32(provider="cuda")
    assert (recipe.format, engine_of(recipe)) == ("onnx", "onnxruntime-cuda")


def test_openvino_float_answers_like_the_model(conv_net: onnx.ModelProto, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="absent: openvino (extra openvino)")
    makers, _ = makers_for(
        ("openvino",), {"openvino": engine_named("openvino")}, space_of(conv_net)
    )
    path = tmp_path / "model.openvino.zip"
    path.write_bytes(makers["openvino"].make(OpenVinoRecipe(kind="fp32")))
    onnx.save(conv_net, tmp_path / "model.onnx")
    x = np.random.default_rng(1).normal(size=(3, 32, 6)).astype(np.float32)
    made, model = engine_named("openvino").open(path), OnnxRuntime().open(tmp_path / "model.onnx")
    np.testing.assert_allclose(made.run({"x": x})["y"], model.run({"x": x})["y"], atol=1e-4)
    made.close()


@pytest.mark.long
def test_nncf_integers_are_smaller_and_close(conv_net: onnx.ModelProto, tmp_path: Path) -> None:
    pytest.importorskip("nncf", reason="absent: nncf (extra openvino)")
    makers, _ = makers_for(
        ("openvino",), {"openvino": engine_named("openvino")}, space_of(conv_net)
    )
    maker = makers["openvino"]
    answers = []
    sizes = []
    x = np.random.default_rng(1).normal(size=(3, 32, 6)).astype(np.float32)
    for kind in ("fp32", "int8 nncf mixed"):
        content = maker.make(OpenVinoRecipe(kind=kind))  # type: ignore[arg-type]
        path = tmp_path / f"{len(sizes)}.zip"
        path.write_bytes(content)
        session = engine_named("openvino").open(path)
        answers.append(session.run({"x": x})["y"])
        sizes.append(content.count(b"FakeQuantize"))
        session.close()
    assert sizes[0] == 0 < sizes[1]
    assert 0 < np.abs(answers[0] - answers[1]).max() < 0.2 * np.abs(answers[0]).max()
