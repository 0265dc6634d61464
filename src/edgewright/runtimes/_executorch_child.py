"""The process in which ExecuTorch runs one model: its Python binding loads all of torch, which the
process that asks must not carry.

Started as `python -m edgewright.runtimes._executorch_child FILE THREADS MEMORY_FD READ_FD WRITE_FD`
by `executorch.py`; it ends when the pipe that it reads is closed.
"""

import ctypes
import mmap
import os
import sys
import warnings
from typing import Any, BinaryIO

import msgspec
import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from executorch.extension.pybindings._C import (
        Verification,
        _get_registered_backend_names,
        _load_program,
        _threadpool_get_thread_count,
        _unsafe_reset_threadpool,
    )

from edgewright.runtimes._executorch_messages import (
    SIGNATURE_METHOD,
    Answered,
    Ask,
    Failed,
    Opened,
    Signature,
    framed,
    offsets,
    read_frame,
)
from edgewright.runtimes.base import EngineTensor

_FORWARD = "forward"
_DTYPES = {
    0: "uint8",
    1: "int8",
    2: "int16",
    3: "int32",
    4: "int64",
    5: "float16",
    6: "float32",
    7: "float64",
    11: "bool",
}
"""ExecuTorch's ScalarType, in numpy's words."""


class Model:
    """A loaded program and the memory it shares with whoever asks."""

    def __init__(self, path: str, threads: int, memory_fd: int) -> None:
        torch.set_num_threads(1)
        _unsafe_reset_threadpool(threads)
        self._program = _load_program(path, program_verification=Verification.InternalConsistency)
        self._method = self._program.load_method(_FORWARD)
        meta = self._program.method_meta(_FORWARD)
        ins = [meta.input_tensor_meta(i) for i in range(meta.num_inputs())]
        outs = [meta.output_tensor_meta(i) for i in range(meta.num_outputs())]
        self.slots = tuple(info.nbytes() for info in (*ins, *outs))
        self.signature = self._read_signature(ins, outs)
        self._offsets, size = offsets(self.slots)
        os.ftruncate(memory_fd, max(size, mmap.PAGESIZE))
        self._memory = mmap.mmap(memory_fd, max(size, mmap.PAGESIZE))

    def answer(self, ask: Ask) -> Answered:
        """One pass."""
        feeds = []
        for position, (tensor, shape) in enumerate(
            zip(self.signature.inputs, ask.shapes, strict=True)
        ):
            array = self._view(position, tensor.dtype, shape)
            feeds.append(torch.from_numpy(array))
        answers = self._method.call(feeds, clone_outputs=False)
        shapes = []
        first = len(self.signature.inputs)
        for position, (tensor, answer) in enumerate(
            zip(self.signature.outputs, answers, strict=True)
        ):
            array = answer.numpy()
            self._view(first + position, tensor.dtype, array.shape)[...] = array
            shapes.append(tuple(array.shape))
        return Answered(shapes=tuple(shapes))

    def _view(self, position: int, dtype: str, shape: tuple[int, ...]) -> Any:
        count = int(np.prod(shape, dtype=np.int64))
        flat = np.frombuffer(self._memory, dtype, count, self._offsets[position])
        return flat.reshape(shape)

    def _read_signature(self, ins: list[Any], outs: list[Any]) -> Signature:
        if SIGNATURE_METHOD in _method_names(self._program):
            (text,) = self._program.load_method(SIGNATURE_METHOD).call([])
            return msgspec.json.decode(text, type=Signature)
        return Signature(
            inputs=tuple(_tensor(f"input_{i}", info) for i, info in enumerate(ins)),
            outputs=tuple(_tensor(f"output_{i}", info) for i, info in enumerate(outs)),
        )


def main(path: str, threads: int, memory_fd: int, read_fd: int, write_fd: int) -> None:
    """Open, then answer until nobody asks any more."""
    with os.fdopen(read_fd, "rb") as asks, os.fdopen(write_fd, "wb", buffering=0) as answers:
        try:
            model = Model(path, threads, memory_fd)
        except Exception as error:  # noqa: BLE001  # the top of a process: told to whoever asked
            answers.write(framed(Failed(text=str(error))))
            return
        opened = Opened(
            signature=model.signature,
            slots=model.slots,
            threads=_threadpool_get_thread_count(),
            backends=_backends_in(path),
        )
        answers.write(framed(opened))
        _serve(model, asks, answers)


def _serve(model: Model, asks: BinaryIO, answers: Any) -> None:
    while frame := read_frame(asks):
        ask = msgspec.msgpack.decode(frame, type=Ask)
        try:
            reply: Answered | Failed = model.answer(ask)
        except Exception as error:  # noqa: BLE001  # the top of a process: told to whoever asked
            reply = Failed(text=str(error))
        answers.write(framed(reply))


def _backends_in(path: str) -> tuple[str, ...]:
    """The delegates that the program names and this build has."""
    with open(path, "rb") as file:  # noqa: PTH123  # beside mmap and descriptors
        content = file.read()
    known = _get_registered_backend_names()
    return tuple(name for name in known if name.encode() in content)


def _method_names(program: Any) -> list[str]:
    return [program.get_method_name(i) for i in range(program.num_methods())]


def _tensor(name: str, info: Any) -> EngineTensor:
    if info.dtype() not in _DTYPES:
        raise ValueError(f"{name} has type {info.dtype()}, which is not supported")
    return EngineTensor(name=name, dtype=_DTYPES[info.dtype()], shape=tuple(info.sizes()))


if __name__ == "__main__":
    if sys.platform == "linux":
        # Ends with its parent, however that ends (PR_SET_PDEATHSIG).
        ctypes.CDLL(None).prctl(1, 15)
    main(sys.argv[1], *(int(word) for word in sys.argv[2:6]))
