"""A contract as a TOML file that a person goes on with."""

import json
from collections.abc import Mapping

import msgspec
import numpy as np

from edgewright.contract import Contract, Tensor
from edgewright.runtimes.base import Array

_HEAD = """\
# What the model promises to whoever serves it. Written from the model's own tensors; go on here:
# - low and high of an input are enforced at the door: a request out of range is refused;
# - labels, with [[postprocess]] steps softmax, argmax and labels, turn scores into words;
# - [[preprocess]] steps run before the model, so that clients can send raw values.
# `edgewright run` refuses what does not fit the model.
schema_version = 1
metric = "accuracy"
"""


def contract_text(contract: Contract, samples: Mapping[str, Array]) -> str:
    """The contract as TOML, with what was seen in samples as remarks."""
    lines = [_HEAD]
    if contract.labels:
        lines.append(f"labels = {_value(list(contract.labels))}\n")
    for kind, tensors in (("inputs", contract.inputs), ("outputs", contract.outputs)):
        lines += [_tensor(kind, tensor, samples.get(tensor.name)) for tensor in tensors]
    for kind, steps in (("preprocess", contract.preprocess), ("postprocess", contract.postprocess)):
        for step in steps:
            fields = msgspec.to_builtins(step)
            lines.append(f"[[{kind}]]\n" + _table(fields))
    return "\n".join(lines)


def _tensor(kind: str, tensor: Tensor, seen: Array | None) -> str:
    fields = {"name": tensor.name, "dtype": tensor.dtype, "shape": list(tensor.shape)}
    text = f"[[{kind}]]\n" + _table(fields)
    if seen is not None and seen.dtype.kind in "iuf" and seen.size:
        low, high = float(np.min(seen)), float(np.max(seen))
        text += f"# seen in the samples: {low:g} to {high:g}\n# low = {low:g}\n# high = {high:g}\n"
    return text


def _table(fields: Mapping[str, object]) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in fields.items())


def _value(value: object) -> str:
    """TOML writes texts, numbers and lists of them as JSON does."""
    return json.dumps(value, ensure_ascii=False)
