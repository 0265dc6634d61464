"""Routes of other servers: their bodies, the real model's answers, nobody's invented numbers."""

import asyncio
import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.contract import Contract, Tensor
from edgewright.device.serve import InferenceServer, Servable, ServeOptions
from edgewright.device.serve.access import Access
from edgewright.errors import InputError
from edgewright.runtimes.base import Array, EngineTensor, Placement
from edgewright.runtimes.model import LoadedModel
from edgewright.testing import FakeClock
from edgewright.testing.models import open_doubler
from edgewright.transports.http1 import Client

decode_image = pytest.importorskip(
    "edgewright.chain.images", reason="absent: pillow (extra vision)"
).decode_image

KEY = "0123456789abcdef"


class PictureSession:
    """Scores: the mean of each colour; mask: the strongest colour of each pixel."""

    placement = Placement(engine="numpy", device="CPU", precision="as-is", threads=1)
    inputs = (EngineTensor(name="image", dtype="uint8", shape=(None, None, None, 3)),)
    outputs = (
        EngineTensor(name="scores", dtype="float32", shape=(None, 3)),
        EngineTensor(name="mask", dtype="uint8", shape=(None, None, None)),
    )

    def run(self, feeds: Any) -> dict[str, Array]:
        image = feeds["image"]
        scores = image.mean(axis=(1, 2)).astype(np.float32)
        return {"scores": scores, "mask": image.argmax(axis=3).astype(np.uint8)}

    def close(self) -> None:
        pass


def open_colours(path: Path) -> Servable:
    contract = Contract(
        inputs=(Tensor(name="image", dtype="uint8", shape=("batch", "height", "width", 3)),),
        outputs=(
            Tensor(name="scores", dtype="float32", shape=("batch", 3)),
            Tensor(name="mask", dtype="uint8", shape=("batch", "height", "width")),
        ),
        labels=("red", "green", "blue"),
    )
    return Servable(name=path.stem, version="1", platform="numpy", identity="0" * 64,
                    model=LoadedModel(contract, PictureSession()))  # fmt: skip


def open_colours_alone(path: Path) -> Servable:
    """Scores without the mask, so that there is an embedding."""
    session = PictureSession()
    session.outputs = session.outputs[:1]
    contract = Contract(
        inputs=(Tensor(name="image", dtype="uint8", shape=("batch", "height", "width", 3)),),
        outputs=(Tensor(name="scores", dtype="float32", shape=("batch", 3)),),
    )
    return Servable(name=path.stem, version="1", platform="numpy", identity="0" * 64,
                    model=LoadedModel(contract, session))  # fmt: skip


def ask(
    path: str, body: bytes | object = b"", *, method: str = "POST", open_model: Any = open_doubler,
    headers: dict[str, str] | None = None, names: tuple[str, ...] = ("m",), **parts: Any,
) -> tuple[int, Any]:  # fmt: skip
    async def case() -> tuple[int, Any]:
        server = InferenceServer(open_model, ServeOptions(), clock=FakeClock(),
                                 timer=time.perf_counter, **parts)  # fmt: skip
        await server.start([Path(name) for name in names])
        async with Client(server.addresses[0]) as client:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            answer = await client.request(method, path, body=content, headers=headers)
        await server.close(drain_s=1)
        return answer.status, json.loads(answer.body)

    return asyncio.run(case())


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("/v1/models/m:predict", {"instances": [[1, 2], [3, 4]]},
         {"predictions": [[2, 4], [6, 8]]}),
        ("/v1/models/m:predict", {"instances": [{"x": [1, 2]}]}, {"predictions": [[2, 4]]}),
        ("/v1/models/m:predict", {"inputs": [[1, 2]]}, {"outputs": [[2, 4]]}),
        ("/v1/models/m:predict", {"inputs": {"x": [[1, 2]]}}, {"outputs": [[2, 4]]}),
        ("/v1/models/m/versions/1:predict", {"instances": [[1, 2]]}, {"predictions": [[2, 4]]}),
        ("/predictions/m", {"data": [[1, 2]]}, [[2, 4]]),
        ("/predictions/m/1", [[1, 2]], [[2, 4]]),
        ("/invocations", {"instances": [[1, 2]]}, {"predictions": [[2, 4]]}),
        ("/invocations", {"inputs": {"x": [[1, 2]]}}, {"predictions": [[2, 4]]}),
        ("/invocations", {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}},
         {"predictions": [[2, 4]]}),
    ],
)  # fmt: skip
def test_bodies_of_other_servers_are_answered(path: str, body: Any, answer: Any) -> None:
    assert ask(path, body) == (200, answer)


@pytest.mark.parametrize(
    ("path", "body", "status", "complaint"),
    [
        ("/v1/models/m:predict", {}, 400, "neither 'instances' nor 'inputs'"),
        ("/v1/models/m:predict", {"instances": [[1, 2]], "inputs": [[1, 2]]}, 400, "both"),
        ("/v1/models/m:predict", b"{", 400, "not a valid body"),
        ("/v1/models/m:predict", {"instances": [[1, 5000]]}, 400, "is 5000, expected -1000"),
        ("/v1/models/m:predict", {"instances": [[1, "a"]]}, 400, "does not hold numbers only"),
        ("/v1/models/m:predict", {"instances": [[1, 2, 3]]}, 400, "has shape [1, 3]"),
        ("/v1/models/m:predict", {"inputs": {"z": [[1, 2]]}}, 400, "the body names ['z']"),
        ("/v1/models/n:predict", {"instances": [[1, 2]]}, 404, "'n' is unknown"),
        ("/v1/models/m:explain", {}, 404, "there is nothing at"),
        ("/v1/models/m:classify?k=0", {"instances": [[1, 2]]}, 400, "k is '0'"),
        ("/v1/models/m:segment", {"instances": [[1, 2]]}, 400, "gives no mask"),
        ("/invocations", {"rows": 1}, 400, "none of 'instances'"),
    ],
)
def test_what_does_not_fit_is_refused(path: str, body: Any, status: int, complaint: str) -> None:
    got, document = ask(path, body)
    assert got == status
    assert complaint in document["error"]


def test_without_a_model_nothing_is_invented() -> None:
    for path in ("/v1/models/m:predict", "/predictions/m", "/invocations"):
        assert ask(path, {"instances": [[1, 2]]}, names=())[0] == 503
    assert ask("/ping", method="GET", names=()) == (503, {"status": "Unhealthy"})
    assert ask("/ping", method="GET") == (200, {"status": "Healthy"})
    assert ask("/v1/models/m", method="GET")[1]["model_version_status"][0]["state"] == "AVAILABLE"


@pytest.mark.parametrize("route", ["/infer", "/encode"])
def test_models_of_whole_numbers_are_answered_on_the_routes_of_the_sidecar(route: str) -> None:
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3).tolist()
    status, document = ask(route, {"image": image}, open_model=open_colours_alone)
    assert status == 200, document
    assert (document if route == "/infer" else document["latent_embedding"]) == (
        {"scores": [4.5, 5.5, 6.5]} if route == "/infer" else [4.5, 5.5, 6.5]
    )


@pytest.mark.parametrize(
    ("value", "complaint"), [(256, "uint8 cannot"), (-1, "uint8 cannot"), (1.5, "holds fractions")]
)
def test_a_number_that_the_type_cannot_hold_is_refused_there(value: float, complaint: str) -> None:
    image = [[[value, 0, 0]]]
    status, document = ask("/infer", {"x": image}, open_model=open_colours_alone)
    assert status == 422
    assert complaint in document["error"]


def picture(kind: str) -> bytes:
    """Left half green, right half blue."""
    image_module = pytest.importorskip("PIL.Image", reason="absent: pillow (extra vision)")
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :8, 1], pixels[:, 8:, 2] = 200, 100
    buffer = io.BytesIO()
    image_module.fromarray(pixels).save(buffer, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_picture_is_classified_and_segmented(kind: str) -> None:
    parts = {"open_model": open_colours, "decode_image": decode_image,
             "headers": {"content-type": f"image/{kind.lower()}"}}  # fmt: skip
    _, classes = ask("/v1/models/m:classify?k=2", picture(kind), **parts)
    assert [one["label"] for one in classes["classes"][0]] == ["green", "blue"]
    assert classes["classes"][0][0]["score"] == pytest.approx(100, abs=8)
    _, mask = ask("/v1/models/m:segment", picture(kind), **parts)
    assert (mask["height"], mask["width"], mask["labels"][1]) == (8, 16, "green")
    assert mask["masks"][0][0][:4] + mask["masks"][0][0][-4:] == [1] * 4 + [2] * 4


def test_picture_that_is_none_is_refused() -> None:
    parts = {"open_model": open_colours, "headers": {"content-type": "image/png"}}
    for body in (b"no picture", picture("PNG")[:60]):
        status, document = ask("/v1/models/m:classify", body, decode_image=decode_image, **parts)
        assert (status, "picture" in document["error"] or "PNG" in document["error"]) == (400, True)
    assert ask("/v1/models/m:classify", picture("PNG"), **parts)[0] == 501
    with pytest.raises(InputError):
        decode_image(b"GIF89a")


def test_only_who_has_a_key_is_answered() -> None:
    access = Access.of_keys([KEY, "# a remark"])
    body = {"instances": [[1, 2]]}
    for headers in (
        {}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {KEY}"}, {"x-api-key": ""}
    ):  # fmt: skip
        assert ask("/v1/models/m:predict", body, access=access, headers=headers)[0] == 401
    for headers in ({"authorization": f"Bearer {KEY}"}, {"x-api-key": KEY}):
        assert ask("/v1/models/m:predict", body, access=access, headers=headers)[0] == 200
    assert ask("/livez", method="GET", access=access)[0] == 200
    assert ask("/metrics", method="GET", access=access)[0] == 401
    with pytest.raises(InputError, match="too short"):
        Access.of_keys(["short"])


def test_sidecar_names_of_metrics_tell_the_same_counts() -> None:
    async def case() -> tuple[str, str]:
        server = InferenceServer(
            open_doubler, ServeOptions(), clock=FakeClock(), timer=time.perf_counter
        )
        await server.start([])
        async with Client(server.addresses[0]) as client:
            empty = (await client.request("GET", "/metrics")).body.decode()
            await server.models.load(Path("m"))
            for row in ([1, 2], [1, 2], [5000, 1]):
                await client.request("POST", "/infer", body=json.dumps({"x": row}).encode())
            full = (await client.request("GET", "/metrics")).body.decode()
        await server.close(drain_s=1)
        return empty, full

    empty, full = asyncio.run(case())
    assert "hailo_model_loaded 0\n" in empty
    for line in (
        'hailo_inference_requests_total{status="success",model="m"} 2',
        'hailo_inference_requests_total{status="error",model="m"} 1',
        'hailo_inference_duration_seconds_count{model="m"} 2',
        'hailo_model_loaded{model="m"} 1',
        'hailo_errors_total{error_type="input",model="m"} 1',
    ):
        assert f"{line}\n" in full
