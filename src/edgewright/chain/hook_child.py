"""A hook's own process.

    python -m edgewright.chain.hook_child KIND MEMORY_MB SCRATCH_MB FD FOLDER

It reads the source, confines itself, runs it, says that it is ready, and answers frames of arrays
over the socket it was given. It dies with its parent.
"""

import socket
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgewright import _fs
from edgewright.bundle.hooks import SOURCE_LIMIT_BYTES
from edgewright.chain.child import die_with_parent, read_exactly
from edgewright.device.hooks.confinement import confine
from edgewright.device.hooks.process import SCRATCH, SOURCE
from edgewright.device.serve.child_model import pack, unpack
from edgewright.errors import EdgewrightError
from edgewright.wire.candidate import HEAD_BYTES, Ask, Reply, decode_frame, encode_frame, frame_size

WORDS = 300

Hook = Callable[[dict[str, Any]], Any]


def answer_all(channel: socket.socket, hook: Hook) -> None:
    """Answer until the other side closes."""
    while head := read_exactly(channel, HEAD_BYTES):
        frame = head + read_exactly(channel, frame_size(head))
        channel.sendall(encode_frame(_answer(hook, decode_frame(frame, Ask))))


def _load(source: bytes, kind: str) -> Hook:
    module = types.ModuleType(kind)
    exec(compile(source, f"{kind}.py", "exec"), module.__dict__)  # noqa: S102 - it is confined
    hook = getattr(module, kind, None)
    if not callable(hook):
        raise TypeError(f"it defines no function {kind!r}")
    return hook  # type: ignore[no-any-return]  # a function of somebody else's


def _answer(hook: Hook, ask: Ask) -> Reply:
    start_s = time.perf_counter()
    try:
        answer = hook(unpack(ask.arrays))
        arrays = {str(name): np.asarray(array) for name, array in dict(answer).items()}
        return Reply(arrays=pack(arrays), run_s=time.perf_counter() - start_s)
    except ValueError as error:
        return Reply(error=_words(error), is_refusal=True)
    except Exception as error:  # noqa: BLE001 - the top of somebody else's code
        return Reply(error=_words(error))


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:WORDS]


def main() -> None:
    """Confine, load, answer."""
    die_with_parent()
    kind, memory_mb, scratch_mb, number, folder = sys.argv[1:]
    place = Path(folder)
    with socket.socket(fileno=int(number)) as channel:
        try:
            source = _fs.read_limited(place / SOURCE, limit_bytes=SOURCE_LIMIT_BYTES)
            confine(place / SCRATCH, memory_mb=float(memory_mb), scratch_mb=float(scratch_mb))
            hook = _load(source, kind)
        except EdgewrightError as error:
            channel.sendall(encode_frame(Reply(error=str(error))))
            return
        except Exception as error:  # noqa: BLE001 - the top of somebody else's code
            channel.sendall(encode_frame(Reply(error=f"it cannot be loaded: {_words(error)}")))
            return
        channel.sendall(encode_frame(Reply()))
        answer_all(channel, hook)


if __name__ == "__main__":
    main()
