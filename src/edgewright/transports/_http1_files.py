"""Files as answers: whole, by HEAD, or one range of them."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

from edgewright._fs import file_errors
from edgewright.transports.base import Request, Response

_CHUNK_BYTES = 256 << 10
_RANGE = re.compile(r"bytes=(?P<first>[0-9]{0,18})-(?P<last>[0-9]{0,18})")


def file_response(
    path: Path,
    request: Request,
    *,
    etag: str = "",
    content_type: str = "application/octet-stream",
) -> Response:
    """The answer to GET or HEAD for a file; honours one byte range, `If-Range` and
    `If-None-Match`.

    Raises:
        InputError: the file is absent.
    """
    with file_errors(path, doing="reading"):
        size = path.stat().st_size
    headers = {"content-type": content_type, "accept-ranges": "bytes"}
    if etag:
        headers["etag"] = f'"{etag}"'
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status=304, headers=headers)
    wanted = byte_range(_range_header(request, headers.get("etag", "")), size)
    if wanted is None:
        return Response(status=200, headers=headers, stream=_chunks(path, 0, size), length=size)
    first, last = wanted
    if first > last:
        headers["content-range"] = f"bytes */{size}"
        return Response(status=416, headers=headers)
    headers["content-range"] = f"bytes {first}-{last}/{size}"
    length = last - first + 1
    return Response(status=206, headers=headers, stream=_chunks(path, first, length), length=length)


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte of a Range header; first above last when none is in the file; None for
    no range, or one of a kind that may be ignored (RFC 9110, 14.2).

    >>> byte_range("bytes=2-", 10), byte_range("bytes=-3", 10), byte_range("bytes=10-", 10)
    ((2, 9), (7, 9), (10, 9))
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or (not match["first"] and not match["last"]):
        return None
    if not match["first"]:
        length = int(match["last"])
        return (max(0, size - length), size - 1) if length else (size, size - 1)
    first = int(match["first"])
    last = int(match["last"]) if match["last"] else size - 1
    if match["last"] and last < first:
        return None
    return (first, min(last, size - 1)) if first < size else (size, size - 1)


def _range_header(request: Request, etag: str) -> str:
    condition = request.headers.get("if-range")
    if request.method != "GET" or (condition is not None and condition != etag):
        return ""
    return request.headers.get("range", "")


async def _chunks(path: Path, offset: int, length: int) -> AsyncIterator[bytes]:
    with file_errors(path, doing="reading"):
        file = await asyncio.to_thread(path.open, "rb")
    with file:
        file.seek(offset)
        while length:
            with file_errors(path, doing="reading"):
                chunk = await asyncio.to_thread(file.read, min(length, _CHUNK_BYTES))
            if not chunk:
                return
            length -= len(chunk)
            yield chunk
