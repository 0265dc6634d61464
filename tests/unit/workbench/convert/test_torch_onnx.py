from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import weight_norm

from edgewright.errors import InputError
from edgewright.workbench.convert import read_onnx
from edgewright.workbench.convert.torch_onnx import export_onnx

EXAMPLE = {"x": np.linspace(-1, 1, 60, dtype=np.float32).reshape(1, 10, 6)}


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv1d(6, 4, 3, padding=1)
        self.norm = torch.nn.BatchNorm1d(4)
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop(torch.relu(self.norm(self.conv(x.transpose(1, 2))))).mean(-1)


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(0)
    return Net()


def test_an_export_keeps_its_promises(net: Net, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    net.train()
    record = export_onnx(net, EXAMPLE, path, inputs=("x",), outputs=("y",))
    assert record.opset == 20
    assert net.training, "the module's mode is given back"
    content = path.read_bytes()
    assert b"/" not in content.replace(b"com.microsoft/", b"") or b".py" not in content
    again = export_onnx(net, EXAMPLE, tmp_path / "n.onnx", inputs=("x",), outputs=("y",))
    assert again.sha256 == record.sha256
    assert sorted(tmp_path.iterdir()) == [path, tmp_path / "n.onnx"], "no weights beside it"
    batch = read_onnx(path).graph.input[0].type.tensor_type.shape.dim[0].dim_param
    assert batch == "batch"

    x = np.random.default_rng(0).normal(size=(5, 10, 6)).astype(np.float32)
    (got,) = ort.InferenceSession(content).run(["y"], {"x": x})
    with torch.no_grad():
        expected = net.eval()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_an_example_with_other_names_is_refused_before_anything_is_written(
    net: Net, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"holds \['x'\], the inputs are \['signal'\]"):
        export_onnx(net, EXAMPLE, tmp_path / "m.onnx", inputs=("signal",), outputs=("y",))
    assert not list(tmp_path.iterdir())


def test_a_module_that_cannot_be_exported_leaves_no_file(tmp_path: Path) -> None:
    class Branch(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if float(x.sum()) > 0 else -x

    with pytest.raises(InputError, match="cannot export Branch"):
        export_onnx(Branch(), EXAMPLE, tmp_path / "m.onnx", inputs=("x",), outputs=("y",))
    assert not list(tmp_path.iterdir())


def test_weights_that_a_norm_computes_are_shipped_as_numbers(tmp_path: Path) -> None:
    module = torch.nn.Sequential(weight_norm(torch.nn.Linear(4, 3)))
    rows = np.ones((2, 4), np.float32)
    expected = module(torch.from_numpy(rows)).detach().numpy()
    export_onnx(module, (rows,), tmp_path / "m.onnx", inputs=("x",), outputs=("y",))
    model = onnx.load(str(tmp_path / "m.onnx"))
    assert [node.op_type for node in model.graph.node] == ["Gemm"]
    session = ort.InferenceSession(model.SerializeToString())
    np.testing.assert_allclose(session.run(None, {"x": rows})[0], expected, rtol=1e-6)
    assert parametrize.is_parametrized(module[0])  # the module in training stays as it was
