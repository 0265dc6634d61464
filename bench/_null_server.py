"""The least that a uvloop server can do: the same answer to whatever arrives. Prints its port."""

import asyncio
import sys

import uvloop

_BODY = (
    b'{"model_name":"mlp-16","model_version":"1","outputs":[{"name":"y","datatype":"FP32",'
    b'"shape":[1,4],"data":[0.2042245,-0.20562582,-0.02156131,-0.1696931]}]}'
)
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(_BODY),
    _BODY,
)


class Null(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = transport.write  # type: ignore[attr-defined]  # a stream's transport

    def data_received(self, data: bytes) -> None:
        self._write(_ANSWER)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Null, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
