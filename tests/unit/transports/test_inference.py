"""The client against a server that answers what a test says, as bytes."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.clock import SystemClock
from edgewright.errors import DeviceError, InputError, TransportError
from edgewright.transports.http1 import Request, Response, start_server
from edgewright.transports.inference import AsyncInferenceClient
from edgewright.wire import v2

METADATA = {
    "name": "m",
    "versions": ["1"],
    "platform": "p",
    "inputs": [
        {"name": "x", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "n", "datatype": "INT8", "shape": [-1]},
        {"name": "s", "datatype": "BYTES", "shape": [-1]},
    ],
    "outputs": [{"name": "y", "datatype": "FP64", "shape": [-1]}],
}
INPUTS = {"x": [[1, 2.5]], "n": [3], "s": ["ä"]}


def good(request: Request) -> Response:
    """The shapes of the inputs, and their texts, as outputs."""
    if request.method == "GET":
        return Response(status=200, body=json.dumps(METADATA).encode())
    header_bytes = v2.parse_header_length(request.headers[v2.HEADER_LENGTH])
    message, contents = v2.split_request(request.body, header_bytes)
    outputs = (
        v2.InferOutput(name="y", datatype="FP64", shape=(1,)),
        v2.InferOutput(name="t", datatype="BYTES", shape=(1, 1)),
    )
    answer = v2.InferResponse(model_name="m", model_version="1", outputs=outputs, id=message.id)
    total = np.frombuffer(contents["x"], "<f4").sum() + np.frombuffer(contents["n"], "<i1").sum()
    body, length = v2.join_binary(answer, [np.float64(total).tobytes(), bytes(contents["s"])])
    return Response(status=200, headers={v2.HEADER_LENGTH: str(length)}, body=body)


def session(
    answer: Callable[[Request], Response],
    act: Callable[[AsyncInferenceClient], Awaitable[Any]],
    *,
    uds: Path | None = None,
    **options: Any,
) -> tuple[Any, list[Request]]:
    """What `act` came to, and what was asked."""
    asked: list[Request] = []

    async def handle(request: Request) -> Response:
        asked.append(request)
        return answer(request)

    async def case() -> Any:
        server = await start_server(handle, clock=SystemClock(), uds=uds)
        address = server.address if uds is None else f"unix:{uds}"
        try:
            async with AsyncInferenceClient(address, **options) as client:
                return await act(client)
        finally:
            await server.close(drain_s=0)

    return asyncio.run(case()), asked


@pytest.mark.parametrize("over_socket", [False, True])
def test_lists_become_what_the_model_declares_and_answers_arrays(
    tmp_path: Path, over_socket: bool
) -> None:
    answer, asked = session(
        good,
        lambda client: client.infer("m", INPUTS, request_id="7", deadline_s=0.5),
        uds=tmp_path / "s" if over_socket else None,
        api_key="k",
    )
    assert (answer.model, answer.version, answer.id) == ("m", "1", "7")
    assert (answer.outputs["y"].tolist(), answer.outputs["t"].tolist()) == ([6.5], [["ä"]])
    assert [request.headers["authorization"] for request in asked] == ["Bearer k"] * 2
    message, _ = v2.split_request(asked[1].body, int(asked[1].headers[v2.HEADER_LENGTH]))
    assert message.parameters == {"binary_data_output": True, "timeout": 500_000}


def test_metadata_is_asked_for_once() -> None:
    async def twice(client: AsyncInferenceClient) -> None:
        await client.infer("m", INPUTS)
        await client.infer("m", INPUTS)

    _, asked = session(good, twice)
    assert [request.method for request in asked] == ["GET", "POST", "POST"]


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        ({"x": [[1, 2]]}, r"takes \['n', 's', 'x'\], got \['x'\]"),
        ({**INPUTS, "n": [300]}, "'n' holds values that INT8 cannot"),
        ({**INPUTS, "n": [0.5]}, "'n' holds values that INT8 cannot"),
        ({**INPUTS, "x": [["a", "b"]]}, "'x' holds <U1, the model takes FP32"),
    ],
)
def test_what_the_model_cannot_take_is_refused_here(inputs: Any, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        session(good, lambda client: client.infer("m", inputs))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InputError),
        (401, InputError),
        (404, InputError),
        (429, TransportError),
        (503, TransportError),
        (504, TransportError),
        (500, DeviceError),
    ],
)
def test_a_status_says_who_must_act(status: int, kind: type[Exception]) -> None:
    def refuse(_: Request) -> Response:
        return Response(status=status, headers={"retry-after": "3"}, body=b'{"error":"because"}')

    with pytest.raises(kind, match=rf"because \({status}\)"):
        session(refuse, lambda client: client.metadata("a/b"))


def test_metadata_is_asked_for_again_after_a_refusal() -> None:
    def refuse_posts(request: Request) -> Response:
        return good(request) if request.method == "GET" else Response(status=400, body=b"{}")

    async def twice(client: AsyncInferenceClient) -> None:
        for _ in range(2):
            with pytest.raises(InputError):
                await client.infer("m", INPUTS)

    _, asked = session(refuse_posts, twice)
    assert [request.method for request in asked] == ["GET", "POST", "GET", "POST"]


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b'{"model_name":"m","outputs":[{}]}'])
def test_an_answer_of_another_protocol_is_no_result(body: bytes) -> None:
    def answer(request: Request) -> Response:
        return good(request) if request.method == "GET" else Response(status=200, body=body)

    with pytest.raises(TransportError, match="not one of the V2 protocol"):
        session(answer, lambda client: client.infer("m", INPUTS))


@pytest.mark.parametrize("status", [200, 503])
def test_readiness_is_an_answer_not_an_error(status: int) -> None:
    ready, _ = session(lambda _: Response(status=status), lambda client: client.is_ready("m"))
    assert ready is (status == 200)
