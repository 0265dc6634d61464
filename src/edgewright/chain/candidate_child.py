"""A model's own process: `python -m edgewright.chain.candidate_child [--allow-hooks] FD PATH`.

It loads the unpacked bundle or bare engine file, says so, and answers requests over the socket it
was given, until the server lets it go or ends. Bundles are verified as they are opened.
"""

import socket
import sys
import time
from pathlib import Path

import msgspec

from edgewright.bundle import open_bundle
from edgewright.chain.child import ALLOW_HOOKS, die_with_parent, read_exactly
from edgewright.chain.engines import open_engine_file, open_model_of
from edgewright.device.serve.child_model import pack, unpack
from edgewright.errors import EdgewrightError, InputError
from edgewright.runtimes.model import LoadedModel
from edgewright.wire.candidate import HEAD_BYTES, Ask, Reply, decode_frame, encode_frame, frame_size


def answer_all(channel: socket.socket, path: Path, *, allow_hooks: bool = False) -> None:
    """Load, then answer until the other side closes."""
    try:
        if path.is_dir():
            bundle, contract = open_bundle(path), b""
            model = open_model_of(bundle, allow_hooks=allow_hooks)
        else:
            model = open_engine_file(path, None)
            contract = msgspec.json.encode(model.contract)
    except EdgewrightError as error:
        channel.sendall(encode_frame(Reply(error=str(error))))
        return
    channel.sendall(encode_frame(Reply(contract=contract)))
    while head := read_exactly(channel, HEAD_BYTES):
        frame = head + read_exactly(channel, frame_size(head))
        channel.sendall(encode_frame(_answer(model, decode_frame(frame, Ask))))


def _answer(model: LoadedModel, ask: Ask) -> Reply:
    start_s = time.perf_counter()
    try:
        outputs = model.predict_checked(unpack(ask.arrays))
    except InputError as error:
        return Reply(error=str(error), is_refusal=True)
    except EdgewrightError as error:
        return Reply(error=str(error))
    return Reply(arrays=pack(outputs), run_s=time.perf_counter() - start_s)


def main() -> None:
    """Answer on the descriptor that the command line names."""
    die_with_parent()
    *flags, number, path = sys.argv[1:]
    with socket.socket(fileno=int(number)) as channel:
        answer_all(channel, Path(path), allow_hooks=ALLOW_HOOKS in flags)


if __name__ == "__main__":
    main()
