"""A good client in a process of its own: asks one server again and again on one connection until
its standard input ends, then tells as JSON how often it was answered, what it missed, and how long
the slowest answer took. What bad neighbours do to their own process is not charged to the server.

    python bench/_serving_watch.py HOST PORT < request
"""

import asyncio
import json
import sys
import threading
import time

_EVERY_S = 0.02
_ANSWER_S = 5.0


class Watch:
    """What became of the requests so far."""

    def __init__(self, host: str, port: int, request: bytes) -> None:
        self.answered = 0
        self.missed: list[str] = []
        self.slowest_s = 0.0
        self._where = host, port
        self._request = request

    async def go_on(self) -> None:
        reader, writer = await asyncio.open_connection(*self._where)
        while True:
            started_s = time.perf_counter()
            try:
                async with asyncio.timeout(_ANSWER_S):
                    writer.write(self._request)
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
                    body = json.loads(await reader.readexactly(length))
                    ok = head.startswith(b"HTTP/1.1 200 ") and len(body["outputs"][0]["data"]) == 4
            except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
                self.missed.append(repr(error))
                writer.transport.abort()
                reader, writer = await asyncio.open_connection(*self._where)
                continue
            self.answered += ok
            if not ok:
                self.missed.append(head.decode(errors="replace")[:80])
            self.slowest_s = max(self.slowest_s, time.perf_counter() - started_s)
            await asyncio.sleep(_EVERY_S)


async def main(host: str, port: str) -> None:
    size = int(sys.stdin.buffer.readline())
    watch = Watch(host, int(port), sys.stdin.buffer.read(size))
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def wait_for_the_end() -> None:
        sys.stdin.buffer.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    watching = asyncio.create_task(watch.go_on())
    ending = asyncio.create_task(ended.wait())
    await asyncio.wait([watching, ending], return_when=asyncio.FIRST_COMPLETED)
    watching.cancel()
    if not ending.done():
        await watching  # it raised: nobody answers at all
    told = {"answered": watch.answered, "missed": watch.missed, "slowest_s": watch.slowest_s}
    print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
