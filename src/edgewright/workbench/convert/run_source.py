"""A finished run as an ONNX graph with its contract."""

import tempfile
from pathlib import Path

import numpy as np
import onnx

from edgewright.contract import Contract
from edgewright.runtimes.base import Array
from edgewright.steps import preprocess
from edgewright.workbench.convert.onnx_file import read_onnx
from edgewright.workbench.convert.torch_onnx import export_onnx
from edgewright.workbench.recipes import find_recipe
from edgewright.workbench.train import load_run


def onnx_of_run(folder: Path) -> tuple[onnx.ModelProto, Contract]:
    """Export a run's module; inputs and outputs get the contract's names.

    Raises:
        InputError: no finished run, or torch cannot export it.
    """
    module, record = load_run(folder)
    recipe = find_recipe(record.recipe).with_options(record.recipe_options, source=str(folder))
    contract = recipe.contract(record.facts)
    feeds = preprocess(contract, _zeros(contract))
    with tempfile.TemporaryDirectory(prefix="edgewright-") as name:
        path = Path(name) / "model.onnx"
        export_onnx(module, feeds, path, inputs=tuple(feeds), outputs=graph_outputs(contract))
        return read_onnx(path), contract


def graph_outputs(contract: Contract) -> tuple[str, ...]:
    """The outputs that the graph itself gives; the others come from postprocessing."""
    made = {step.target for step in contract.postprocess if step.target != step.tensor}
    return tuple(tensor.name for tensor in contract.outputs if tensor.name not in made)


def _zeros(contract: Contract) -> dict[str, Array]:
    return {
        tensor.name: np.zeros(
            [size if isinstance(size, int) else 2 for size in tensor.shape],
            np.dtype(tensor.dtype),
        )
        for tensor in contract.inputs
    }
