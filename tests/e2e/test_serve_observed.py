"""What leaves a server about its requests: an access log, and spans at a real OTLP receiver."""

import asyncio
import importlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from edgewright.testing.bundles import MODEL, build_tiny
from edgewright.transports.http1 import Client

pytestmark = pytest.mark.timeout(120)

INFER = f"/v2/models/{MODEL}/infer"
BODY = json.dumps(
    {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}
).encode()
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Receiver:
    """Takes spans as a collector does: protobuf over HTTP."""

    def __init__(self) -> None:
        try:
            service = importlib.import_module(
                "opentelemetry.proto.collector.trace.v1.trace_service_pb2"
            )
        except ModuleNotFoundError:
            pytest.skip("absent: opentelemetry-exporter-otlp-proto-http (extra otel)")
        self.spans: list[Any] = []
        self.resources: list[Any] = []
        receiver = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["content-length"]))
                message = service.ExportTraceServiceRequest.FromString(content)
                for group in message.resource_spans:
                    receiver.resources.append(group.resource)
                    receiver.spans += [one for scope in group.scope_spans for one in scope.spans]
                answer = service.ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/v1/traces"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


def serve(folder: Path, *words: str) -> tuple["subprocess.Popen[bytes]", list[str]]:
    build_tiny(folder / "tiny.ewb")
    command = [sys.executable, "-m", "edgewright", "serve", str(folder / "tiny.ewb")]
    process = subprocess.Popen(
        [*command, "--http", "127.0.0.1:0", "--json", *words], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    return process, list(json.loads(process.stdout.readline())["addresses"])


def test_spans_reach_a_collector_and_join_the_callers_trace(
    receiver: Receiver, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    words = ("--otel", receiver.address, "--otel-share", "0", "--access-log", str(log))
    process, (address,) = serve(tmp_path, *words)

    async def case() -> None:
        async with Client(address) as client:
            for flags in ("01", "00"):
                headers = {"traceparent": f"00-{TRACE}-{PARENT}-{flags}", "x-request-id": "r7"}
                answer = await client.request("POST", INFER, headers=headers, body=BODY)
                assert answer.status == 200
            await client.request("POST", INFER, body=BODY)  # of no trace, and the share is 0
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            bad = await client.request("POST", INFER, headers=headers, body=b"{}")
            assert bad.status == 400

    begun_ns = time.time_ns()
    try:
        asyncio.run(case())
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0
    names = {span.name for span in receiver.spans}
    assert (len(receiver.spans), names) == (2, {"POST infer"})
    assert {span.trace_id.hex() for span in receiver.spans} == {TRACE}
    assert {span.parent_span_id.hex() for span in receiver.spans} == {PARENT}
    told = [{one.key: one.value for one in span.attributes} for span in receiver.spans]
    statuses = [one["http.response.status_code"].int_value for one in told]
    assert sorted(statuses) == [200, 400]
    assert told[0]["edgewright.model"].string_value == MODEL
    span = receiver.spans[0]
    assert begun_ns <= span.start_time_unix_nano < span.end_time_unix_nano <= time.time_ns()
    named = {one.key: one.value.string_value for one in receiver.resources[0].attributes}
    assert named["service.name"] == "edgewright"
    lines = [json.loads(line) for line in log.read_text(encoding="ascii").splitlines()]
    assert [line["status"] for line in lines] == [200, 200, 200, 400]
    assert (lines[0]["path"], lines[0]["trace_id"], lines[0]["request_id"]) == (INFER, TRACE, "r7")


def test_grpc_calls_are_in_spans_and_log_too(receiver: Receiver, tmp_path: Path) -> None:
    grpc = pytest.importorskip("grpc", reason="absent: grpcio (extra grpc)")
    messages = importlib.import_module("edgewright.wire.v2_grpc")
    log = tmp_path / "access.log"
    words = ("--otel", receiver.address, "--access-log", str(log), "--grpc", "127.0.0.1:0")
    process, (_, address) = serve(tmp_path, *words)
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4]}
    tensor["contents"] = {"fp32_contents": [1, 2, 3, 4]}
    trace = (("traceparent", f"00-{TRACE}-{PARENT}-01"),)
    try:
        with grpc.insecure_channel(address.removeprefix("grpc://")) as channel:
            infer = channel.unary_unary(f"/{messages.SERVICE}/ModelInfer")
            asked = {
                model: messages.MESSAGES["ModelInferRequest"](model_name=model, inputs=[tensor])
                for model in (MODEL, "no")
            }
            assert infer(asked[MODEL].SerializeToString(), metadata=trace, timeout=30)
            with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
                infer(asked["no"].SerializeToString(), metadata=trace, timeout=30)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert {span.name for span in receiver.spans} == {f"{messages.SERVICE}/ModelInfer"}
    told = [{one.key: one.value for one in span.attributes} for span in receiver.spans]
    codes = {
        one["edgewright.model"].string_value: one["rpc.grpc.status_code"].int_value for one in told
    }
    assert codes == {MODEL: 0, "no": 5}
    assert {span.parent_span_id.hex() for span in receiver.spans} == {PARENT}
    lines = [json.loads(line) for line in log.read_text(encoding="ascii").splitlines()]
    assert [(line["grpc_status"], line["model"], line["trace_id"]) for line in lines] == [
        ("OK", MODEL, TRACE),
        ("NOT_FOUND", "no", TRACE),
    ]


def test_a_collector_that_is_away_keeps_nobody_waiting(tmp_path: Path) -> None:
    process, (address,) = serve(tmp_path, "--otel", "http://127.0.0.1:9/v1/traces")

    async def case() -> None:
        async with Client(address) as client:
            assert (await client.request("POST", INFER, body=BODY)).status == 200

    try:
        asyncio.run(case())
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0
