"""Runs where Apache TVM is, until its input ends: for each line that it reads, what `model.so`
answers to the rows of `question.npz`, one at a time, as `answer.npz`. `argv` names the model's
inputs in order; the outputs are numbered.
"""

import os
import sys

sys.modules["torch"] = None  # type: ignore[assignment]  # TVM would load it, for seconds, and not use it

import numpy as np  # noqa: E402
import tvm  # noqa: E402
from tvm import relax  # noqa: E402


def main(names: list[str]) -> None:
    """Each answer is announced by a line of its own."""
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the library prints is no answer
    machine = relax.VirtualMachine(tvm.runtime.load_module("./model.so"), tvm.cpu())
    for _ in sys.stdin:
        with np.load("question.npz") as stored:
            arrays = [stored[name] for name in names]
        rows = [
            _answer(machine, [array[row : row + 1] for array in arrays])
            for row in range(len(arrays[0]))
        ]
        outputs = zip(*rows, strict=True)
        np.savez("answer.npz", *map(np.concatenate, outputs))
        print("answered", file=told, flush=True)


def _answer(machine: relax.VirtualMachine, row: list[np.ndarray]) -> list[np.ndarray]:
    result = machine["main"](*(tvm.runtime.tensor(array) for array in row))
    results = [result] if isinstance(result, tvm.runtime.Tensor) else list(result)
    return [one.numpy() for one in results]


main(sys.argv[1:])
