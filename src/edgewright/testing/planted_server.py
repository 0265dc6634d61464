"""A V2 server that computes y = 2x and s = sum(x), with faults planted on request.

Run as a module: it prints its URL as one line and serves until it is ended. It stands for any
foreign V2 server, so it shares no code with ours but the HTTP transport.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator

from edgewright.clock import SystemClock
from edgewright.transports.http1 import Request, Response, start_server

METADATA = {
    "name": "double",
    "versions": ["1"],
    "platform": "planted",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [
        {"name": "y", "datatype": "FP32", "shape": [-1, 4]},
        {"name": "s", "datatype": "FP32", "shape": [-1, 1]},
    ],
}


class Model:
    def __init__(self, faults: argparse.Namespace) -> None:
        self.faults = faults
        self.count = 0
        self.leak: list[bytes] = []

    async def handle(self, request: Request) -> Response:
        if request.path == "/v2/models/double":
            return _json(200, METADATA)
        if request.path == "/v2/repository/index":
            return _json(200, [{"name": "double", "version": "1", "state": "READY"}])
        if request.path == "/v2/models/double/infer":
            return await self.infer(request)
        return _json(404, {"error": f"no {request.path}"})

    async def infer(self, request: Request) -> Response:
        faults = self.faults
        self.count += 1
        if faults.slow_ms:
            await asyncio.sleep(faults.slow_ms / 1e3)
        if faults.stall_every and self.count % faults.stall_every == 0:
            await asyncio.sleep(faults.stall_s)
        if faults.garbage:
            return Response(status=200, body=b"<html>all is well</html>")
        if faults.refuse_every and self.count % faults.refuse_every == 0:
            return _json(503, {"error": "busy"})
        if faults.hang_up_every and self.count % faults.hang_up_every == 0:
            return Response(status=200, stream=_half(), length=100)  # less than promised: cut off
        if faults.leak_bytes:
            self.leak.append(bytes(bytearray(faults.leak_bytes)))
        (tensor,) = json.loads(request.body)["inputs"]
        y = [2 * (value - faults.shift) * faults.gain for value in tensor["data"]]
        if faults.mistake_percent and sum(tensor["data"]) * 1e4 % 100 < faults.mistake_percent:
            y.reverse()
        if faults.nan_every and self.count % faults.nan_every == 0:
            y[1] = float("nan")
        rows = tensor["shape"][0]
        sums = [sum(tensor["data"][4 * row : 4 * row + 4]) for row in range(rows)]
        return _json(
            200,
            {
                "model_name": "double",
                "model_version": "1",
                "outputs": [
                    {"name": "y", "datatype": "FP32", "shape": tensor["shape"], "data": y},
                    {"name": "s", "datatype": "FP32", "shape": [rows, 1], "data": sums},
                ],
            },
        )


async def _half() -> AsyncIterator[bytes]:
    yield b"{"


def _json(status: int, value: object) -> Response:
    headers = {"content-type": "application/json"}
    return Response(status=status, body=json.dumps(value).encode(), headers=headers)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gain", type=float, default=1.0)
    parser.add_argument("--shift", type=float, default=0.0)
    parser.add_argument("--slow-ms", type=float, default=0.0)
    parser.add_argument("--stall-every", type=int, default=0)
    parser.add_argument("--stall-s", type=float, default=0.0)
    parser.add_argument("--mistake-percent", type=float, default=0.0)
    parser.add_argument("--nan-every", type=int, default=0)
    parser.add_argument("--refuse-every", type=int, default=0)
    parser.add_argument("--hang-up-every", type=int, default=0)
    parser.add_argument("--leak-bytes", type=int, default=0)
    parser.add_argument("--garbage", action="store_true")
    model = Model(parser.parse_args())
    server = await start_server(model.handle, clock=SystemClock())
    sys.stdout.write(f"{server.address}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.close()


if __name__ == "__main__":
    asyncio.run(main())
