"""One JSON line for each request or gRPC call, written by a thread of its own into a file that is
turned over when it is large.

No header but the request's and the trace's id is written: keys and cookies never reach the file,
nor does what stands behind the path's question mark.
"""

import contextlib
import errno
import logging
import os
import queue
import re
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import orjson

from edgewright._fs import file_errors
from edgewright.device.serve.observing import Seen
from edgewright.errors import EdgewrightError

logger = logging.getLogger(__name__)

FLUSH_S = 0.2
LIMIT_BYTES = 16 << 20
_WAITING_MOST = 64
_CLOSE_S = 5.0
"""How long a disk that hangs may hold up the end, twice."""
_PATH_MOST = 256
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


class AccessLog:
    """An observer that writes lines. `lost` counts those that the disk was too slow for."""

    def __init__(
        self,
        path: Path | None,
        *,
        call_later: Callable[[float, Callable[[], None]], object],
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self.lost = 0
        self._path = path
        self._call_later = call_later
        self._limit_bytes = limit_bytes
        self._lines: list[bytes] = []
        self._is_stuck = False
        self._file = _opened(path)
        self._blocks: queue.Queue[bytes | None] = queue.Queue(_WAITING_MOST)
        self._thread = threading.Thread(target=self._write_all, name="serve-log", daemon=True)
        self._thread.start()

    def __call__(self, seen: Seen) -> None:
        if not self._lines:
            self._call_later(FLUSH_S, self.flush)
        self._lines.append(line_of(seen))

    def flush(self) -> None:
        """Hand what is new to the thread that writes."""
        lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            self._blocks.put_nowait(b"".join(lines))
        except queue.Full:
            self.lost += len(lines)
            logger.warning("access log is too slow: lost=%d", self.lost)

    def close(self) -> None:
        """Write what is left, as far as the disk takes it in time."""
        self.flush()
        with contextlib.suppress(queue.Full):
            self._blocks.put(None, timeout=_CLOSE_S)
        self._thread.join(_CLOSE_S)
        if self._thread.is_alive():
            logger.warning("access log cannot be ended: blocks=%d wait", self._blocks.qsize())
        elif self._path is not None:
            self._file.close()

    def _write_all(self) -> None:
        while (block := self._blocks.get()) is not None:
            try:
                self._turn_over(len(block))
                if self._file.write(block) != len(block):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self._file.flush()
            except (OSError, ValueError, EdgewrightError) as error:
                self.lost += block.count(b"\n")
                logger.warning("access log cannot be written: error=%s lost=%d", error, self.lost)

    def _turn_over(self, more_bytes: int) -> None:
        """Begin a new file beside the last one where this one would be too large. Where that cannot
        be done this one grows on.
        """
        if self._path is None or self._file.tell() + more_bytes <= self._limit_bytes:
            return
        try:
            with contextlib.suppress(FileNotFoundError):  # somebody else has moved it
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            fresh = _opened(self._path)
        except (OSError, EdgewrightError) as error:
            if not self._is_stuck:
                logger.warning("access log cannot be turned over: error=%s", error)
            self._is_stuck = True
            return
        self._is_stuck = False
        full, self._file = self._file, fresh
        full.close()


def line_of(seen: Seen) -> bytes:
    """A request as a line.

    >>> seen = Seen(wall_s=0.0, took_s=0.0015, peer="10.0.0.7:5", method="POST", path="/infer",
    ...     headers={"x-request-id": "r1"}, status=200, request_bytes=10, response_bytes=20)
    >>> line_of(seen).decode()[:64]
    '{"time":"1970-01-01T00:00:00.000000Z","peer":"10.0.0.7:5","metho'
    """
    fields: dict[str, object] = {
        "time": f"{datetime.fromtimestamp(seen.wall_s, UTC):%Y-%m-%dT%H:%M:%S.%f}Z",
        "peer": seen.peer,
        "method": seen.method,
        "path": seen.path[:_PATH_MOST],
        **({"grpc_status": seen.grpc_status} if seen.grpc_status else {"status": seen.status}),
        "ms": round(seen.took_s * 1e3, 3),
        "request_bytes": seen.request_bytes,
        "response_bytes": seen.response_bytes,
    }
    if seen.model:
        fields["model"] = seen.model[:_PATH_MOST]
    request_id = seen.headers.get("x-request-id")
    if request_id:
        fields["request_id"] = request_id[:_PATH_MOST]
    trace = _TRACEPARENT.fullmatch(seen.headers.get("traceparent", ""))
    if trace is not None:
        fields["trace_id"] = trace[1]
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)


def _opened(path: Path | None) -> BinaryIO:
    """The file to add to; standard output where there is none."""
    if path is None:
        return sys.stdout.buffer
    with file_errors(path, doing="opening"):
        return path.open("ab", buffering=0)
