"""A finished run as an ONNX graph with its contract."""

import tempfile
from pathlib import Path

import onnx

from edgewright.contract import Contract
from edgewright.steps import preprocess
from edgewright.workbench.convert.contract_file import graph_outputs, zero_request
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
    feeds = preprocess(contract, zero_request(contract))
    with tempfile.TemporaryDirectory(prefix="edgewright-") as name:
        path = Path(name) / "model.onnx"
        export_onnx(module, feeds, path, inputs=tuple(feeds), outputs=graph_outputs(contract))
        return read_onnx(path), contract
