"""TorchScript and exported programs become ONNX that answers alike; pickles are refused."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgewright.errors import InputError
from edgewright.workbench.given import read_model


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 3)

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.linear(samples)).mean(1)


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


SAMPLES = {"samples": np.random.default_rng(0).normal(size=(5, 4, 6)).astype(np.float32)}


@pytest.mark.timeout(400)
def test_torchscript_becomes_onnx(tmp_path: Path, net: Net) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(net, torch.zeros(2, 4, 6)), tmp_path / "net.pt")
    given = read_model(tmp_path / "net.pt", SAMPLES)
    assert given.engine == "onnx"
    assert "same answers on 8 samples" in given.how
    with pytest.raises(InputError, match=r"name the arrays like .* samples"):
        read_model(tmp_path / "net.pt", {"x": SAMPLES["samples"]})
    with pytest.raises(InputError, match="sample inputs are needed"):
        read_model(tmp_path / "net.pt", {})


@pytest.mark.timeout(400)
def test_an_exported_program_becomes_onnx(tmp_path: Path, net: Net) -> None:
    shapes = ({0: torch.export.Dim("rows")},)
    program = torch.export.export(net, (torch.zeros(4, 4, 6),), dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "net.pt2")
    assert read_model(tmp_path / "net.pt2", SAMPLES).engine == "onnx"


def test_pickled_weights_are_refused_unread(tmp_path: Path, net: Net) -> None:
    torch.save(net.state_dict(), tmp_path / "net.pt")
    with pytest.raises(InputError, match="pickled weights"):
        read_model(tmp_path / "net.pt", SAMPLES)
