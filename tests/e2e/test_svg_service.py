"""The SVG quality model over HTTP: a real engine, real pictures, and wrong questions."""

import asyncio
import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("vtracer", reason="absent: vtracer (extra svg)")
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw

from edgewright.bundle import Draft, build_bundle
from edgewright.chain.svg import open_quality_model, recommend_settings
from edgewright.chain.svg_service import SvgService
from edgewright.clock import SystemClock
from edgewright.errors import InputError
from edgewright.transports.http1 import Client, start_server
from edgewright.workbench.recipes.base import ModelFacts
from edgewright.workbench.recipes.svg import SvgQuality
from edgewright.workbench.recipes.svg.features import Pilots
from edgewright.workbench.recipes.svg.settings import CLASSIC, PARAMETERS

Answer = tuple[int, dict[str, object]]
JSON = {"content-type": "application/json"}


def logo(size: tuple[int, int] = (40, 40)) -> bytes:
    image = Image.new("RGBA", size, (0, 0, 0, 0))
    ImageDraw.Draw(image).ellipse((0, 0, size[0] - 1, size[1] - 1), fill=(200, 30, 60, 255))
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()


def write_model(path: Path) -> None:
    """A network that likes colours and hates dropped speckles, whatever the picture."""
    weight = np.zeros((len(PARAMETERS), 1), np.float32)
    names = [parameter.name for parameter in PARAMETERS]
    weight[names.index("color_precision")], weight[names.index("filter_speckle")] = 0.4, -0.1
    nodes = [
        helper.make_node("MatMul", ["settings", "w"], ["liking"]),
        helper.make_node("ReduceSum", ["features", "axis"], ["sum"], keepdims=1),
        helper.make_node("Mul", ["sum", "nothing"], ["ignored"]),
        helper.make_node("Add", ["liking", "ignored"], ["both"]),
        helper.make_node("Squeeze", ["both", "axis"], ["flat"]),
        helper.make_node("Sigmoid", ["flat"], ["ssim"]),
    ]
    inputs = [
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", Pilots.size]),
        helper.make_tensor_value_info("settings", TensorProto.FLOAT, ["batch", len(PARAMETERS)]),
    ]
    output = helper.make_tensor_value_info("ssim", TensorProto.FLOAT, ["batch"])
    constants = [
        numpy_helper.from_array(weight, "w"),
        numpy_helper.from_array(np.array([1]), "axis"),
        numpy_helper.from_array(np.zeros(1, np.float32), "nothing"),
    ]
    graph = helper.make_graph(nodes, "g", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path.write_bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quality")
    write_model(folder / "model.onnx")
    shapes = {"features": (Pilots.size,), "settings": (len(PARAMETERS),)}
    draft = Draft(
        name="logos",
        version="1",
        format="onnx",
        precision="fp32",
        contract=SvgQuality().contract(ModelFacts(inputs=shapes)),
    )
    build_bundle(
        folder / "logos.ewb", draft, [("model", "model.onnx", folder / "model.onnx")], signers=[]
    )
    return folder / "logos.ewb"


@pytest.fixture(scope="module")
def service(bundle: Path) -> Iterator[SvgService]:
    with open_quality_model(bundle) as model:
        found = SvgService(model)
        yield found
        found.close()


def ask(service: SvgService, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    async def session() -> Answer:
        server = await start_server(service, clock=SystemClock())
        async with Client(server.address) as client:
            answer = await client.request(method, path, body=body, headers=headers)
        await server.close()
        return answer.status, json.loads(answer.body)

    return asyncio.run(session())


def ask_json(service: SvgService, path: str, **document: object) -> Answer:
    return ask(service, "POST", path, json.dumps(document).encode(), **JSON)


def in_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_candidates_are_answered_in_order_with_the_best(service: SvgService) -> None:
    candidates = [{"color_precision": 2}, {"color_precision": 8, "mode": "polygon"}, {}]
    status, found = ask_json(
        service, "/v1/svg/predict", image=in_base64(logo()), candidates=candidates
    )
    assert status == 200
    predictions = found["predictions"]
    assert [each["settings"]["color_precision"] for each in predictions] == [2, 8, 6]
    assert found["best"] == 1
    assert predictions[1]["ssim"] == pytest.approx(1 / (1 + np.exp(-(3.2 - 0.4))), abs=1e-3)


def test_a_picture_as_the_body_takes_parameters_from_the_query(service: SvgService) -> None:
    path = "/v1/svg/predict?mode=polygon&length_threshold=5.5&filter_speckle=0"
    status, found = ask(service, "POST", path, logo(), **{"content-type": "image/png"})
    assert status == 200
    (only,) = found["predictions"]
    assert (only["settings"]["mode"], only["settings"]["length_threshold"]) == ("polygon", 5.5)


def test_a_recommendation_is_traced_beside_the_default(service: SvgService) -> None:
    status, found = ask(service, "POST", "/v1/svg/recommend", logo())
    assert status == 200
    assert found["pick"]["true_ssim"] >= found["default"]["true_ssim"]
    assert found["pick"]["svg_bytes"] <= found["default"]["svg_bytes"]


def test_the_parameters_and_health_can_be_asked(service: SvgService) -> None:
    _, found = ask(service, "GET", "/v1/svg/parameters")
    assert {each["name"] for each in found["parameters"]} >= set(CLASSIC)
    assert ask(service, "GET", "/readyz") == (200, {"ok": True})
    assert ask(service, "POST", "/v1/svg/else")[0] == 404


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("filter_speckel=1", "did you mean 'filter_speckle'"),
        ("color_precision=9", "color_precision is 9, expected 1 to 8"),
        ("color_precision=2.5", "color_precision"),
        ("mode=curve", "mode"),
        ("length_threshold=nan", "length_threshold is nan, expected 3.5 to 10"),
    ],
)
def test_a_wrong_parameter_is_named(service: SvgService, query: str, told: str) -> None:
    status, found = ask(service, "POST", f"/v1/svg/predict?{query}", logo())
    assert status == 400
    assert told in found["error"]


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (b"junk", "not a picture"),
        (b"", "not a picture"),
        (logo((1, 1)), "expected at least 8 x 8"),
        (logo()[:60], "picture"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "a <script> element"),
        (b"\xef\xbb\xbf <svg", "not well-formed"),
    ],
)
def test_what_cannot_be_drawn_is_refused(service: SvgService, image: bytes, told: str) -> None:
    status, found = ask(service, "POST", "/v1/svg/predict", image)
    assert status == 400
    assert told in found["error"]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"image": "%"}, "not base64"),
        ({"settings": {}}, "image"),
        ({"image": "", "settings": {}, "candidates": [{}]}, "both settings and candidates"),
        ({"image": "", "candidates": []}, "0, expected 1 to 1000"),
        ({"image": "", "candidates": [{}, {"mode": 7}]}, "candidates[1]"),
        ({"image": "", "setting": {}}, "did you mean 'settings'"),
    ],
)
def test_a_wrong_body_is_named(service: SvgService, document: dict[str, object], told: str) -> None:
    status, found = ask_json(service, "/v1/svg/predict", **document)
    assert status == 400
    assert told in found["error"]


def test_a_bundle_of_another_recipe_is_refused(bundle: Path, tmp_path: Path) -> None:
    other = SvgQuality().contract(ModelFacts(inputs={"features": (24,), "settings": (9,)}))
    tensors = tuple(t for t in other.inputs if t.name == "features")
    draft = Draft(
        name="other",
        version="1",
        format="onnx",
        precision="fp32",
        contract=msgspec.structs.replace(other, inputs=tensors),
    )
    model = bundle.parent / "model.onnx"
    build_bundle(tmp_path / "o.ewb", draft, [("model", "model.onnx", model)], signers=[])
    (tmp_path / "logo.png").write_bytes(logo())
    with pytest.raises(InputError, match="expected features and settings"):
        recommend_settings(tmp_path / "logo.png", tmp_path / "o.ewb")
