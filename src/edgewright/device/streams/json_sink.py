"""Results as JSON lines, into a file or an open stream such as stdout."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import msgspec

from edgewright._fs import file_errors, make_dirs
from edgewright.device.streams.base import Result


def encode_results(results: Sequence[Result]) -> bytes:
    """One result a line."""
    return b"".join(msgspec.json.encode(result) + b"\n" for result in results)


def _is_torn(path: Path) -> bool:
    """Whether the last line was not finished."""
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


class JsonFileSink:
    """Appends; a torn last line is the only thing that a power cut or a full disk can spoil: what
    comes after it stands on a line of its own.
    """

    wants_every = False

    def __init__(self, path: Path) -> None:
        self._path = path
        make_dirs(path.parent)
        with file_errors(path, doing="writing"):
            is_torn = path.is_file() and _is_torn(path)
            self._file = path.open("ab")
            if is_torn:
                self._file.write(b"\n")

    async def start(self) -> None:
        """It is open."""

    async def write(self, results: Sequence[Result]) -> None:
        with file_errors(self._path, doing="writing"):
            self._file.write(encode_results(results))
            self._file.flush()

    async def close(self) -> None:
        with file_errors(self._path, doing="writing"):
            self._file.close()


class JsonStreamSink:
    """Writes to a stream that somebody else opened and closes."""

    wants_every = False

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    async def start(self) -> None:
        """It is open."""

    async def write(self, results: Sequence[Result]) -> None:
        self._stream.write(encode_results(results))
        self._stream.flush()

    async def close(self) -> None:
        self._stream.flush()
