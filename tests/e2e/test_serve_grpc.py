"""`edgewright serve --grpc` by a plain gRPC client: its own channel, messages from the table."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.testing.bundles import MODEL, build_tiny
from edgewright.testing.tls import certificate
from edgewright.transports.http1 import Client

grpc = pytest.importorskip("grpc", reason="absent: grpcio (extra grpc)")
messages = pytest.importorskip("edgewright.wire.v2_grpc", reason="absent: protobuf (extra grpc)")

pytestmark = pytest.mark.timeout(180)

TENSOR = {"name": "x", "datatype": "FP32", "shape": [1, 4]}
ROW = np.array([[1, 2, 3, 4]], np.float32)


class Caller:
    """Calls methods by name; a refusal is its status and message."""

    def __init__(self, address: str, credentials: Any = None, key: str = "") -> None:
        scheme, _, authority = address.partition("://")
        assert (scheme == "grpcs") == (credentials is not None)
        if credentials is None:
            self._channel = grpc.insecure_channel(authority)
        else:
            name = authority.replace("127.0.0.1", "localhost")
            self._channel = grpc.secure_channel(name, credentials)
        self._metadata = (("authorization", f"Bearer {key}"),) if key else ()

    def __call__(self, name: str, /, **fields: Any) -> Any:
        call = self._channel.unary_unary(f"/{messages.SERVICE}/{name}")
        request = messages.MESSAGES[f"{name}Request"](**fields).SerializeToString()
        try:
            answer = call(request, timeout=30, metadata=self._metadata)
        except grpc.RpcError as error:
            return error.code().name, error.details()
        return messages.MESSAGES[f"{name}Response"].FromString(answer)

    def stream(self, requests: list[dict[str, Any]]) -> list[Any]:
        call = self._channel.stream_stream(f"/{messages.SERVICE}/ModelStreamInfer")
        kind = messages.MESSAGES["ModelInferRequest"]
        answers = call(iter([kind(**r).SerializeToString() for r in requests]), timeout=30,
                       metadata=self._metadata)  # fmt: skip
        return [messages.MESSAGES["ModelStreamInferResponse"].FromString(a) for a in answers]

    def close(self) -> None:
        self._channel.close()


@contextmanager
def served(folder: Path, *words: str | Path) -> Iterator[tuple[str, str]]:
    """A server process: its HTTP address and its gRPC address."""
    build_tiny(folder / "tiny.ewb")
    command = [sys.executable, "-m", "edgewright", "serve", str(folder / "tiny.ewb"), "--json"]
    process = subprocess.Popen(
        [*command, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    http, grpc_address = json.loads(process.stdout.readline())["addresses"]
    yield http, grpc_address
    process.terminate()
    process.communicate(timeout=60)


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with served(tmp_path_factory.mktemp("grpc")) as (_, address):
        caller = Caller(address)
        yield caller
        caller.close()


def test_server_and_model_describe_themselves(call: Caller) -> None:
    assert call("ServerLive").live
    assert call("ServerReady").ready
    assert call("ModelReady", name=MODEL).ready
    assert "classification" in call("ServerMetadata").extensions
    metadata = call("ModelMetadata", name=MODEL)
    assert [(t.name, t.datatype, list(t.shape)) for t in metadata.inputs] == [
        ("x", "FP32", [-1, 4])
    ]
    config = call("ModelConfig", name=MODEL).config
    assert (config.input[0].data_type, list(config.input[0].dims)) == (11, [4])
    assert [model.state for model in call("RepositoryIndex").models] == ["READY"]


def test_raw_and_typed_contents_give_the_same_answer(call: Caller) -> None:
    raw = call("ModelInfer", model_name=MODEL, id="7", inputs=[TENSOR],
               raw_input_contents=[ROW.tobytes()])  # fmt: skip
    typed = call("ModelInfer", model_name=MODEL,
                 inputs=[{**TENSOR, "contents": {"fp32_contents": ROW.ravel()}}])  # fmt: skip
    assert (raw.id, typed.id, raw.model_name) == ("7", "", MODEL)
    assert raw.raw_output_contents == typed.raw_output_contents
    for output, content in zip(raw.outputs, raw.raw_output_contents, strict=True):
        if output.datatype == "FP32":
            assert np.isfinite(np.frombuffer(content, np.float32)).all()
            assert len(content) == 4 * int(np.prod(output.shape))
    assert call("ModelStatistics", name=MODEL).model_stats[0].inference_count >= 2


@pytest.mark.parametrize(
    ("fields", "code", "complaint"),
    [
        ({"model_name": "nope"}, "NOT_FOUND", "model 'nope' is unknown"),
        ({"model_name": MODEL}, "INVALID_ARGUMENT", "input 'x' is missing"),
        ({"inputs": [TENSOR], "raw_input_contents": [b"12"]}, "INVALID_ARGUMENT", "has 2 bytes"),
        ({"inputs": [{**TENSOR, "shape": [1, 5]}], "raw_input_contents": [bytes(20)]},
         "INVALID_ARGUMENT", "has shape [1, 5]"),
        ({"inputs": [TENSOR], "raw_input_contents": [ROW.tobytes()] * 2},
         "INVALID_ARGUMENT", "2 raw contents for 1 inputs"),
        ({"inputs": [TENSOR], "raw_input_contents": [np.float32([[np.nan] * 4]).tobytes()]},
         "INVALID_ARGUMENT", "is nan, expected a finite number"),
    ],
)  # fmt: skip
def test_bad_request_is_refused_by_name(
    call: Caller, fields: dict[str, Any], code: str, complaint: str
) -> None:
    status, message = call("ModelInfer", **{"model_name": MODEL, **fields})
    assert status == code
    assert complaint in message


def test_stream_answers_each_request_and_survives_a_bad_one(call: Caller) -> None:
    good = {"model_name": MODEL, "inputs": [TENSOR], "raw_input_contents": [ROW.tobytes()]}
    answers = call.stream([good, {"model_name": "nope"}, good])
    assert [bool(answer.error_message) for answer in answers] == [False, True, False]
    assert answers[0].infer_response.raw_output_contents


def test_loading_is_left_to_the_administrator(call: Caller) -> None:
    status, message = call("RepositoryModelLoad", model_name=MODEL)
    assert status == "PERMISSION_DENIED"
    assert "--admin" in message


def test_keys_and_client_certificates_hold_on_this_side_too(tmp_path: Path) -> None:
    both, _ = certificate(tmp_path)
    pem, key = both.read_bytes(), "a-key-that-is-long-enough"
    (tmp_path / "keys").write_text(key, encoding="ascii")
    proven = grpc.ssl_channel_credentials(pem, pem, pem)
    options = ("--tls-cert", both, "--tls-key", both, "--client-ca", both)
    with served(tmp_path, *options, "--api-keys", tmp_path / "keys") as (http, address):
        assert (http[:8], address[:8]) == ("https://", "grpcs://")
        stranger = Caller(address, grpc.ssl_channel_credentials(pem))
        assert stranger("ServerLive")[0] == "UNAVAILABLE"
        keyless = Caller(address, proven)
        assert keyless("ServerReady").ready
        for name, fields in (("ModelMetadata", {"name": MODEL}), ("ModelInfer", {})):
            assert keyless(name, **fields) == (
                "UNAUTHENTICATED",
                "the API key is missing or unknown",
            )
        with pytest.raises(grpc.RpcError, match="API key"):
            keyless.stream([{"model_name": MODEL}])
        known = Caller(address, proven, key)
        asked = {"model_name": MODEL, "inputs": [TENSOR], "raw_input_contents": [ROW.tobytes()]}
        assert known("ModelInfer", **asked).model_name == MODEL
        (answer,) = known.stream([asked])
        assert answer.infer_response.model_name == MODEL
        for caller in (stranger, keyless, known):
            caller.close()


def test_a_key_gets_the_same_version_over_grpc_and_http(tmp_path: Path) -> None:
    build_tiny(tmp_path / "2.ewb", version="2")
    words = (tmp_path / "2.ewb", "--split", f"{MODEL}=1:1,2:1", "--sticky-header", "x-device")
    keys = [f"device-{number}" for number in range(8)]
    with served(tmp_path, *words) as (http, address):
        call = Caller(address)
        over_grpc = [
            call(
                "ModelInfer",
                model_name=MODEL,
                inputs=[TENSOR],
                raw_input_contents=[ROW.tobytes()],
                parameters={"sticky_key": {"string_param": key}},
            ).model_version
            for key in keys
        ]
        call.close()

        async def over_http() -> list[str]:
            body = json.dumps({"inputs": [{**TENSOR, "data": ROW.ravel().tolist()}]}).encode()
            async with Client(http) as client:
                answers = [
                    await client.request(
                        "POST", f"/v2/models/{MODEL}/infer", headers={"x-device": key}, body=body
                    )
                    for key in keys
                ]
            return [json.loads(answer.body)["model_version"] for answer in answers]

        assert asyncio.run(over_http()) == over_grpc
        assert set(over_grpc) == {"1", "2"}
