"""The least that a uvloop server around one ONNX Runtime session can do: it believes that every
request is whole and is `BODY_BYTES` of float32, and answers with the first output's bytes. Prints
its port.

    python bench/_bare_server.py MODEL.onnx BODY_BYTES SHAPE
"""

import asyncio
import sys

import numpy as np
import onnxruntime as ort
import uvloop


class Bare(asyncio.Protocol):
    def __init__(self, session: ort.InferenceSession, body_bytes: int, shape: list[int]) -> None:
        self._run = session._sess.run  # noqa: SLF001 - the least there is
        self._name = session.get_inputs()[0].name
        self._outputs = [session.get_outputs()[0].name]
        self._body_bytes = body_bytes
        self._shape = shape
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = transport.write  # type: ignore[attr-defined]  # a stream's transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        _, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator or len(body) < self._body_bytes:
            return
        values = np.frombuffer(body, np.float32).reshape(self._shape)
        (answer,) = self._run(self._outputs, {self._name: values}, None)
        content = answer.tobytes()
        self._write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(content), content))
        self._received = b""


async def main(model: str, body_bytes: str, shape: str) -> None:
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    sizes = [int(size) for size in shape.split(",")]
    server = await asyncio.get_running_loop().create_server(
        lambda: Bare(session, int(body_bytes), sizes), "127.0.0.1", 0
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(uvloop.run(main(*sys.argv[1:])))
