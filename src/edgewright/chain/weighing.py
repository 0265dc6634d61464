"""How much memory a model file needs: a process of its own opens it, runs it, and is looked at.

The figure is the peak of that whole process, interpreter and engine included, as a device would see
it; of its children too, where an engine runs in one.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgewright._fs import read_limited, write_atomic
from edgewright._npz import decode_npz, encode_npz
from edgewright.chain.engines import ENGINE_BY_FORMAT, engine_named
from edgewright.errors import DeviceError, InputError
from edgewright.measure import read_tree
from edgewright.runtimes.base import Array, Session

LIMIT_S = 240.0
_PASSES = 20
_LIMIT_BYTES = 1 << 30


def weigh(engine: str, path: Path, *, inputs: Mapping[str, Array], threads: int) -> int:
    """Peak resident bytes of a process that loads a file and answers a few times. `engine` is an
    engine's name or a format's.

    Raises:
        DeviceError: the process failed; the message holds its last words.
    """
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        feeds = Path(folder) / "inputs.npz"
        write_atomic(feeds, encode_npz(dict(inputs)))
        name = ENGINE_BY_FORMAT.get(engine, engine)
        done = subprocess.run(
            [sys.executable, "-m", __name__, name, str(path), str(threads), str(feeds)],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    if done.returncode != 0:
        words = done.stderr.strip().splitlines() or ["it said nothing"]
        raise DeviceError(f"{path.name} cannot be weighed: {words[-1][:300]}")
    return int(done.stdout.strip().splitlines()[-1])


def fitting_feeds(session: Session, given: Mapping[str, Array]) -> dict[str, Array]:
    """One call's arrays, called and typed as a file's engine wants them; others may be there too.
    Where no name is known but their number is right they are taken in the order of the npz.

    Raises:
        InputError: there is no array for an input, or too few rows for one call.
    """
    names = [tensor.name for tensor in session.inputs]
    if not set(names) <= set(given) and len(given) != len(names):
        raise InputError(f"the model takes {names}, the npz holds {sorted(given)}")
    arrays = given if set(names) <= set(given) else dict(zip(names, given.values(), strict=True))
    feeds = {}
    for tensor in session.inputs:
        rows = (tensor.shape[0] if tensor.shape else None) or 1
        array = arrays[tensor.name][:rows]
        if len(array) < rows:
            raise InputError(f"input {tensor.name!r} takes {rows} rows at once, got {len(array)}")
        feeds[tensor.name] = np.ascontiguousarray(array, dtype=tensor.dtype)
    return feeds


def _main(engine: str, path: str, threads: str, feeds: str) -> None:
    given = decode_npz(read_limited(Path(feeds), limit_bytes=_LIMIT_BYTES), source=feeds)
    session = engine_named(engine).open(Path(path), threads=int(threads))
    fed = fitting_feeds(session, given)
    for _ in range(_PASSES):
        session.run(fed)
    peak = read_tree(os.getpid()).peak_rss_bytes
    session.close()
    print(peak)  # noqa: T201  # to the process that asked


if __name__ == "__main__":
    _main(*sys.argv[1:5])
