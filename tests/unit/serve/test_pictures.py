"""Pictures as files inside V2 requests, over HTTP and gRPC: the answer is that of their pixels."""

import asyncio
import base64
import gc
import io
import json
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.contract import Contract, Tensor
from edgewright.contract.steps import ChannelOrder, Resize
from edgewright.device.serve import InferenceServer, Servable, ServeOptions
from edgewright.device.serve.pictures import Encoded, Pictures
from edgewright.device.serve.refusal import RefusalError
from edgewright.errors import InputError
from edgewright.runtimes.base import Array, EngineTensor, Placement
from edgewright.runtimes.model import LoadedModel
from edgewright.testing import FakeClock
from edgewright.transports.http1 import Client
from edgewright.transports.inference import AsyncInferenceClient
from edgewright.wire.v2 import InferInput, InferRequest, join_binary, pack_strings

pillow = pytest.importorskip("PIL.Image", reason="absent: pillow (extra vision)")

IMAGE = Tensor(name="image", dtype="uint8", shape=("batch", "height", "width", 3))


class MeanSession:
    """The mean of each colour, of pictures that the contract's steps brought to 4 x 4, colours
    first.
    """

    placement = Placement(engine="numpy", device="CPU", precision="as-is", threads=1)
    inputs = (EngineTensor(name="image", dtype="uint8", shape=(None, 3, 4, 4)),)
    outputs = (EngineTensor(name="scores", dtype="float32", shape=(None, 3)),)

    def run(self, feeds: Any) -> dict[str, Array]:
        assert feeds["image"].shape[1:] == (3, 4, 4)
        return {"scores": feeds["image"].mean(axis=(2, 3)).astype(np.float32)}

    def close(self) -> None:
        pass


def open_colours(path: Path) -> Servable:
    contract = Contract(
        inputs=(IMAGE,),
        outputs=(Tensor(name="scores", dtype="float32", shape=("batch", 3)),),
        preprocess=(
            Resize(tensor="image", height=4, width=4),
            ChannelOrder(tensor="image", layout="chw"),
        ),
        labels=("red", "green", "blue"),
    )
    return Servable(name=path.stem, version="1", platform="numpy", identity="0" * 64,
                    model=LoadedModel(contract, MeanSession()))  # fmt: skip


def picture(*colour: int, size: tuple[int, int] = (8, 6), kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    pillow.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


def decode(content: bytes) -> Array:
    from edgewright.chain.images import decode_image

    return decode_image(content)


def on_server(
    act: Callable[[InferenceServer], Awaitable[Any]], *, decode_image: Any = decode, **parts: Any
) -> Any:
    async def case() -> Any:
        server = InferenceServer(open_colours, ServeOptions(), clock=FakeClock(),
                                 timer=time.perf_counter, decode_image=decode_image,
                                 **parts)  # fmt: skip
        await server.start([Path("colours")])
        try:
            return await act(server)
        finally:
            await server.close(drain_s=1)

    return asyncio.run(case())


def ask(document: dict[str, Any], binary: bytes = b"", **parts: Any) -> tuple[int, Any]:
    body = json.dumps(document).encode()
    headers = {"inference-header-content-length": str(len(body))} if binary else {}

    async def act(server: InferenceServer) -> tuple[int, Any]:
        async with Client(server.addresses[0]) as client:
            answer = await client.request(
                "POST", "/v2/models/colours/infer", body=body + binary, headers=headers
            )
        return answer.status, json.loads(answer.body)

    return on_server(act, **parts)  # type: ignore[no-any-return]


def tensor(data: Any, *, shape: list[int] | None = None, **members: Any) -> dict[str, Any]:
    return {"name": "image", "datatype": "BYTES", "shape": shape or [len(data)], "data": data,
            **members}  # fmt: skip


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


GREEN, BLUE = picture(0, 200, 0), picture(0, 10, 250)


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_base64_in_json_is_answered_as_its_pixels(shape: list[int]) -> None:
    status, answer = ask({"inputs": [tensor([text(GREEN), text(BLUE)], shape=shape)], "id": "7"})
    assert (status, answer["id"]) == (200, "7")
    assert answer["outputs"][0]["shape"] == [2, 3]
    assert answer["outputs"][0]["data"] == [0, 200, 0, 0, 10, 250]


def test_binary_pictures_are_answered_with_labels() -> None:
    content = pack_strings([picture(0, 200, 90, kind="JPEG")])
    declared = tensor([], shape=[1], parameters={"binary_data_size": len(content)})
    del declared["data"]
    wanted = {"name": "scores", "parameters": {"classification": 2}}
    status, answer = ask({"inputs": [declared], "outputs": [wanted]}, content)
    assert status == 200
    assert [line.split(":")[2] for line in answer["outputs"][0]["data"]] == ["green", "blue"]


def test_plain_pixels_still_are_a_tensor() -> None:
    pixels = np.full((1, 4, 4, 3), 7, np.uint8)
    document = {"name": "image", "datatype": "UINT8", "shape": [1, 4, 4, 3]}
    assert ask({"inputs": [{**document, "data": pixels.ravel().tolist()}]})[1]["outputs"][0][
        "data"
    ] == [7, 7, 7]


@pytest.mark.parametrize(
    ("declared", "complaint"),
    [
        (tensor([text(b"no picture")]), "not a picture that can be read"),
        (tensor(["*"]), "no base64"),
        (tensor([7]), "pictures in JSON are base64 texts"),
        (tensor([text(GREEN)], shape=[2]), "has shape [2] and 1 pictures"),
        (tensor([text(GREEN)] * 4, shape=[2, 2]), "has shape [2, 2] and 4 pictures"),
        (tensor([], shape=[0]), "has 0 pictures, expected 1 to 64"),
        (tensor([text(GREEN)] * 65), "has 65 pictures, expected 1 to 64"),
        (tensor([text(GREEN), text(picture(1, 2, 3, size=(5, 5)))]),
         "pictures of 5 x 5, 8 x 6 pixels in one request"),
        (tensor([text(GREEN)], name="other"), "input 'image' is missing"),
        (tensor([text(GREEN)], parameters={"shared_memory_region": "r"}), "shared memory"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused_by_name(declared: dict[str, Any], complaint: str) -> None:
    status, answer = ask({"inputs": [declared]})
    assert status == 400
    assert complaint in answer["error"]


def test_server_that_cannot_read_pictures_says_what_to_install() -> None:
    status, answer = ask({"inputs": [tensor([text(GREEN)])]}, decode_image=None)
    assert status == 501
    assert "edgewright[vision]" in answer["error"]


def test_rows_of_tensorflow_serving_may_be_pictures() -> None:
    async def act(server: InferenceServer) -> list[Any]:
        found = []
        async with Client(server.addresses[0]) as client:
            for row in ({"b64": text(GREEN)}, {"image": {"b64": text(GREEN)}}):
                body = json.dumps({"instances": [row, row]}).encode()
                for verb in ("predict", "classify?k=1"):
                    answer = await client.request("POST", f"/v1/models/colours:{verb}", body=body)
                    found.append(json.loads(answer.body))
        return found

    for plain, best in np.reshape(on_server(act), (2, 2)):
        assert plain == {"predictions": [[0, 200, 0]] * 2}
        assert [row[0]["label"] for row in best["classes"]] == ["green", "green"]


def test_typed_client_sends_files_as_they_are() -> None:
    async def act(server: InferenceServer) -> Any:
        async with AsyncInferenceClient(server.addresses[0]) as client:
            answer = await client.infer("colours", {"image": [GREEN, BLUE]})
        return answer.outputs["scores"].tolist()

    assert on_server(act) == [[0, 200, 0], [0, 10, 250]]


def test_request_is_answered_though_its_model_goes_while_the_picture_is_decoded() -> None:
    async def act(server: InferenceServer) -> tuple[int, bool]:
        body = json.dumps({"inputs": [tensor([text(GREEN)])]}).encode()
        async with Client(server.addresses[0]) as client:
            asked = asyncio.create_task(
                client.request("POST", "/v2/models/colours/infer", body=body)
            )
            assert await asyncio.to_thread(is_decoding.wait, 10)
            await server.models.unload("colours")
            may_go_on.set()
            return (await asked).status, not server.models.is_ready

    is_decoding, may_go_on = threading.Event(), threading.Event()

    def wait_and_decode(content: bytes) -> Array:
        is_decoding.set()
        assert may_go_on.wait(10)
        return decode(content)

    assert on_server(act, decode_image=wait_and_decode) == (200, True)


def test_grpc_takes_pictures_too() -> None:
    grpc = pytest.importorskip("grpc", reason="absent: grpcio (extra grpc)")
    from edgewright.chain.serving_grpc import grpc_listener
    from edgewright.transports.base import Limits
    from edgewright.wire.v2_grpc import MESSAGES, SERVICE

    async def act(server: InferenceServer) -> list[list[float]]:
        address = server.addresses[-1].removeprefix("grpc://")
        declared = {"name": "image", "datatype": "BYTES", "shape": [1]}
        answers = []
        async with grpc.aio.insecure_channel(address) as channel:
            call = channel.unary_unary(f"/{SERVICE}/ModelInfer")
            for fields in (
                {"inputs": [declared], "raw_input_contents": [pack_strings([GREEN])]},
                {"inputs": [{**declared, "contents": {"bytes_contents": [BLUE]}}]},
            ):
                request = MESSAGES["ModelInferRequest"](model_name="colours", **fields)
                answer = MESSAGES["ModelInferResponse"].FromString(
                    await call(request.SerializeToString(), timeout=30)
                )
                answers.append(np.frombuffer(answer.raw_output_contents[0], np.float32).tolist())
        return answers

    found = on_server(act, listen_also=grpc_listener(("127.0.0.1", 0), Limits()))
    assert found == [[0, 200, 0], [0, 10, 250]]


class HandWorkers:
    """Workers that work when told to."""

    def __init__(self) -> None:
        self.tasks: list[tuple[Callable[[], object], Callable[[object], None]]] = []

    def submit(self, work: Callable[[], object], done: Callable[[object], None]) -> None:
        self.tasks.append((work, done))

    def run_all(self) -> None:
        while self.tasks:
            work, done = self.tasks.pop(0)
            done(work())


def test_files_that_wait_and_pixels_that_live_are_bounded() -> None:
    workers = HandWorkers()
    pictures = Pictures(workers, lambda _: np.zeros((10, 10, 3), np.uint8), most_waiting=3,  # type: ignore[arg-type]
                        most_pixel_bytes=700)  # fmt: skip
    found: list[Any] = []
    pictures.decode([Encoded(0, (b"1", b"2"))], found.append)
    with pytest.raises(RefusalError, match="2 pictures wait") as caught:
        pictures.decode([Encoded(0, (b"3", b"4"))], found.append)
    assert (caught.value.status, caught.value.retry_after_s) == (429, 1)
    workers.run_all()
    assert found[0][0].shape == (2, 10, 10, 3)

    pictures.decode([Encoded(0, (b"1",))], found.append)
    workers.run_all()
    assert isinstance(found[1], RefusalError)
    assert "hold" in str(found[1])

    found.clear()  # what was decoded is not looked at any more
    gc.collect()
    pictures.decode([Encoded(0, (b"1",))], found.append)
    workers.run_all()
    assert found[0][0].shape == (1, 10, 10, 3)


def test_many_pictures_that_would_take_too_much_are_refused_after_the_first() -> None:
    workers, decoded = HandWorkers(), []

    def decode(file: bytes) -> Any:
        decoded.append(file)
        return np.zeros((10, 10, 3), np.uint8)

    pictures = Pictures(workers, decode, most_pixel_bytes=700)  # type: ignore[arg-type]
    pictures.decode([Encoded(0, (b"1", b"2", b"3"))], lambda _: None)
    with pytest.raises(InputError, match="3 pictures of 10 x 10 pixels"):
        workers.run_all()
    assert decoded == [b"1"]


def test_same_header_before_another_picture_is_another_picture() -> None:
    async def act(server: InferenceServer) -> list[Any]:
        found = []
        size = max(len(GREEN), len(BLUE))
        async with Client(server.addresses[0]) as client:
            for file in (GREEN, BLUE, GREEN):
                content = pack_strings([file.ljust(size, b"\0")])
                message = InferRequest(
                    inputs=(InferInput(name="image", shape=(1,), datatype="BYTES"),)
                )
                body, header_bytes = join_binary(message, [content])
                headers = {"inference-header-content-length": str(header_bytes)}
                answer = await client.request(
                    "POST", "/v2/models/colours/infer", body=body, headers=headers
                )
                found.append(json.loads(answer.body)["outputs"][0]["data"])
        return found

    assert on_server(act) == [[0, 200, 0], [0, 10, 250], [0, 200, 0]]
