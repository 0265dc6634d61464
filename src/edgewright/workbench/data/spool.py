"""Arrays that may be more than memory holds: what is added beyond a first block goes to a temporary
file without a name and comes back memory mapped.

    >>> import numpy as np
    >>> spool = Spool(block_bytes=16)
    >>> for n in range(3):
    ...     spool.add(np.full((2, 1), n, np.float32))
    >>> [part[:, 0].tolist() for part in spool.finish()]
    [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]
"""

import itertools
import tempfile
from pathlib import Path
from typing import IO

import numpy as np

from edgewright._fs import file_errors
from edgewright.workbench.data.recordings import Samples

BLOCK_BYTES = 64 * 2**20


class Spool:
    """Samples [time, channels] of any number of recordings, in the order they were added."""

    def __init__(self, *, block_bytes: int = BLOCK_BYTES) -> None:
        self._block_bytes = block_bytes
        self._waiting: list[Samples] = []
        self._waiting_bytes = 0
        self._done: list[Samples] = []
        self._file: IO[bytes] | None = None

    def add(self, samples: Samples) -> None:
        """Take one recording's samples over.

        Raises:
            ResourceError: the disk of the temporary folder is full.
        """
        self._waiting.append(samples)
        self._waiting_bytes += samples.nbytes
        if self._waiting_bytes >= self._block_bytes:
            self._write()

    def finish(self) -> list[Samples]:
        """All that was added; the file lives on in them."""
        self._done += self._waiting
        self._waiting = []
        if self._file is not None:
            self._file.close()
        return self._done

    def _write(self) -> None:
        folder = Path(tempfile.gettempdir())
        with file_errors(folder, doing="writing samples to"):
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - lives on in maps
            start = self._file.tell()
            for each in self._waiting:
                self._file.write(np.ascontiguousarray(each).data)
            self._file.flush()
            shape = (sum(map(len, self._waiting)), self._waiting[0].shape[1])
            block: Samples = np.zeros(shape, np.float32)
            if shape[0]:
                block = np.memmap(self._file, np.float32, mode="r", offset=start, shape=shape)
        edges = [0, *itertools.accumulate(map(len, self._waiting))]
        self._done += [block[a:b] for a, b in itertools.pairwise(edges)]
        self._waiting, self._waiting_bytes = [], 0
