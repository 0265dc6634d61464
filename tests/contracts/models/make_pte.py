"""Makes tiny.pte, the ExecuTorch program of the contract suite:
`python tests/contracts/models/make_pte.py` where the extra executorch is installed.
"""

import json
from pathlib import Path

import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower
from torch import nn

SIGNATURE = {
    "inputs": [{"name": "x", "dtype": "float32", "shape": [None, 3]}],
    "outputs": [{"name": "y", "dtype": "float32", "shape": [None, 2]}],
}


def main() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU()).eval()
    with torch.no_grad():
        model[0].weight[:] = torch.tensor([[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0]])
        model[0].bias[:] = torch.tensor([0.25, -0.25])
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(model, (torch.ones(2, 3),), dynamic_shapes=({0: batch},))
    lowered = to_edge_transform_and_lower(
        program,
        partitioner=[XnnpackPartitioner()],
        constant_methods={"edgewright_signature": json.dumps(SIGNATURE)},
    )
    (Path(__file__).parent / "tiny.pte").write_bytes(lowered.to_executorch().buffer)


if __name__ == "__main__":
    main()
