"""The contract that travels beside converted files, and the check that it is about this model."""

import numpy as np
import onnx

from edgewright.contract import Contract, encode_json
from edgewright.errors import InputError
from edgewright.runtimes.base import Array
from edgewright.steps import preprocess
from edgewright.workbench.convert.onnx_file import input_names, output_names

SUFFIX = ".contract.json"


def contract_bytes(contract: Contract, model: onnx.ModelProto, *, source: str) -> bytes:
    """The contract as a file that `bundle build --contract` reads.

    Raises:
        InputError: it names tensors that the model does not have.
    """
    given = set(preprocess(contract, zero_request(contract)))
    for what, wanted, there in (
        ("feeds", given, set(input_names(model))),
        ("reads", set(graph_outputs(contract)), set(output_names(model))),
    ):
        if wanted - there or (what == "feeds" and there - wanted):
            raise InputError(
                f"the contract {what} {sorted(wanted)}, {source} has {sorted(there)}",
                hint="name the model's own tensors in contract.toml",
            )
    return encode_json(contract)


def graph_outputs(contract: Contract) -> tuple[str, ...]:
    """The outputs that the graph itself gives; the others come from postprocessing."""
    made = {step.target for step in contract.postprocess if step.target != step.tensor}
    return tuple(tensor.name for tensor in contract.outputs if tensor.name not in made)


def zero_request(contract: Contract) -> dict[str, Array]:
    """Two rows of zeros for every input; free sizes are 2."""
    return {
        tensor.name: np.zeros(
            [size if isinstance(size, int) else 2 for size in tensor.shape],
            np.dtype(tensor.dtype),
        )
        for tensor in contract.inputs
    }
