"""torch's files loaded again, to be compared to the model they were made from."""

import io
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch

from edgewright.runtimes.base import Array

Answer = Callable[[Mapping[str, Array]], Mapping[str, Array]]


def torchscript_answer(content: bytes, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Answer:
    """A TorchScript archive as a function of arrays."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.jit.load(io.BytesIO(content))  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return _answer(module, inputs, outputs)


def torch_export_answer(
    content: bytes, inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> Answer:
    """A torch.export archive as a function of arrays."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.export.load(io.BytesIO(content)).module()
    return _answer(module, inputs, outputs)


def _answer(module: Any, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Answer:
    def run(arrays: Mapping[str, Array]) -> dict[str, Array]:
        with torch.no_grad():
            results = module(*(torch.from_numpy(arrays[name]) for name in inputs))
        listed = results if isinstance(results, tuple) else (results,)
        return {name: value.numpy() for name, value in zip(outputs, listed, strict=True)}

    return run
