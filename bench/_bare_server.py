"""The least that a uvloop server around one ONNX Runtime session can do: it believes that every
request is whole and is `BODY_BYTES` of float32, and answers with the first output's bytes. Prints
its port.

    python bench/_bare_server.py MODEL.onnx BODY_BYTES SHAPE [bound]

With `bound` the session's tensors stay where they are.
"""

import asyncio
import sys

import numpy as np
import onnxruntime as ort
import uvloop

from edgewright.runtimes._onnxruntime_bound import BoundPass


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
        content = self._answer(body)
        self._write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(content), content))
        self._received = b""

    def _answer(self, body: bytes) -> bytes:
        values = np.frombuffer(body, np.float32).reshape(self._shape)
        (answer,) = self._run(self._outputs, {self._name: values}, None)
        return bytes(answer.tobytes())


class Bound(Bare):
    """The same in tensors that are wrapped once."""

    def __init__(self, session: ort.InferenceSession, body_bytes: int, shape: list[int]) -> None:
        super().__init__(session, body_bytes, shape)
        zeros = {self._name: np.zeros(shape, np.float32)}
        self._pass = BoundPass(session, zeros, {self._outputs[0]: session.run(None, zeros)[0]})
        self._place = self._pass.inputs[self._name].data.cast("B")

    def _answer(self, body: bytes) -> bytes:
        self._place[:] = body
        self._pass.run()
        return bytes(self._pass.outputs[self._outputs[0]].tobytes())


async def main(model: str, body_bytes: str, shape: str, way: str = "") -> None:
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    sizes = [int(size) for size in shape.split(",")]
    server = await asyncio.get_running_loop().create_server(
        lambda: (Bound if way else Bare)(session, int(body_bytes), sizes), "127.0.0.1", 0
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(uvloop.run(main(*sys.argv[1:])))
