from pathlib import Path

import numpy as np
import pytest

from edgewright._npz import encode_npz
from edgewright.errors import DeviceError, InputError
from edgewright.runtimes.base import EngineTensor
from edgewright.runtimes.reference import Graph, Layer, ReferenceRuntime, write_reference

torch = pytest.importorskip("torch", reason="absent: torch")


def run_layer(
    tmp_path: Path,
    op: str,
    inputs: list[np.ndarray],
    weights: dict[str, np.ndarray] | None = None,
    **numbers: float,
) -> np.ndarray:
    names = tuple(f"x{index}" for index in range(len(inputs)))
    graph = Graph(
        inputs=tuple(
            EngineTensor(name=name, dtype=str(array.dtype), shape=(None,) * array.ndim)
            for name, array in zip(names, inputs, strict=True)
        ),
        outputs=(EngineTensor(name="y", dtype="float32", shape=()),),
        layers=(
            Layer(
                op=op,
                inputs=names,
                output="y",
                weights={part: part for part in weights or {}},
                numbers=numbers,
            ),
        ),
    )
    write_reference(tmp_path / "layer.npz", graph, weights or {})
    session = ReferenceRuntime().open(tmp_path / "layer.npz")
    return session.run(dict(zip(names, inputs, strict=True)))["y"]


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("dilation", [1, 2, 4])
@pytest.mark.parametrize("stride", [1, 2])
def test_conv1d_is_what_torch_calls_so(tmp_path: Path, dilation: int, stride: int) -> None:
    x, weight, bias = random(2, 3, 20), random(4, 3, 3), random(4)
    padded = torch.nn.functional.pad(torch.tensor(x), (2, 1))
    want = torch.nn.functional.conv1d(
        padded, torch.tensor(weight), torch.tensor(bias), stride=stride, dilation=dilation
    )
    got = run_layer(
        tmp_path,
        "conv1d",
        [x],
        {"weight": weight, "bias": bias},
        stride=stride,
        dilation=dilation,
        pad_left=2,
        pad_right=1,
    )
    np.testing.assert_allclose(got, want.numpy(), atol=1e-5)


def test_batch_norm_linear_and_pooling_are_what_torch_calls_so(tmp_path: Path) -> None:
    x = random(2, 3, 9)
    norm = torch.nn.BatchNorm1d(3).eval()
    norm.running_mean += torch.tensor([0.1, -0.2, 0.3])
    norm.running_var *= 2.5
    weights = {
        "mean": norm.running_mean.numpy(),
        "var": norm.running_var.numpy(),
        "scale": norm.weight.detach().numpy(),
        "shift": norm.bias.detach().numpy(),
    }
    got = run_layer(tmp_path, "batch_norm", [x], weights, eps=norm.eps)
    np.testing.assert_allclose(got, norm(torch.tensor(x)).detach().numpy(), atol=1e-6)
    linear = torch.nn.Linear(9, 4)
    weights = {
        "weight": linear.weight.detach().numpy(),
        "bias": linear.bias.detach().numpy(),
    }
    got = run_layer(tmp_path, "linear", [x], weights)
    np.testing.assert_allclose(got, linear(torch.tensor(x)).detach().numpy(), atol=1e-6)
    got = run_layer(tmp_path, "max_pool1d", [x], size=2)
    np.testing.assert_array_equal(got, torch.nn.MaxPool1d(2)(torch.tensor(x)).numpy())


def test_small_layers_mean_what_they_say(tmp_path: Path) -> None:
    x, y = random(2, 3, 4), random(2, 3, 4)
    np.testing.assert_array_equal(run_layer(tmp_path, "add", [x, y]), x + y)
    np.testing.assert_array_equal(run_layer(tmp_path, "relu", [x]), np.where(x > 0, x, 0))
    np.testing.assert_allclose(
        run_layer(tmp_path, "sigmoid", [x]), torch.sigmoid(torch.tensor(x)).numpy(), atol=1e-6
    )
    np.testing.assert_array_equal(run_layer(tmp_path, "max", [x], axis=2), x.max(axis=2))
    np.testing.assert_allclose(run_layer(tmp_path, "mean", [x], axis=2), x.mean(axis=2), atol=1e-6)
    np.testing.assert_array_equal(
        run_layer(tmp_path, "swap", [x], first=1, second=2), x.transpose(0, 2, 1)
    )
    np.testing.assert_array_equal(
        run_layer(tmp_path, "concat", [x, y], axis=1), np.concatenate([x, y], axis=1)
    )
    weights = {"mean": random(4), "std": np.abs(random(4)) + 1}
    np.testing.assert_array_equal(
        run_layer(tmp_path, "affine", [x], weights), (x - weights["mean"]) / weights["std"]
    )


X = EngineTensor(name="x", dtype="float32", shape=(None, 2))
Y = EngineTensor(name="y", dtype="float32", shape=(None, 2))


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ((Layer(op="warp", inputs=("x",), output="y"),), "unknown layer 'warp'; known: add, "),
        ((Layer(op="relu", inputs=("z",), output="y"),), "before it exists"),
        ((Layer(op="relu", inputs=("x",), output="z"),), r"no layer writes the outputs \['y'\]"),
    ],
)
def test_graphs_that_make_no_sense_are_refused(layers: tuple[Layer, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Graph(inputs=(X,), outputs=(Y,), layers=layers)


@pytest.mark.parametrize(
    "content", [b"", b"text", encode_npz({"w": np.zeros(1)}), encode_npz({"graph": np.zeros(3)})]
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.npz").write_bytes(content)
    with pytest.raises(InputError):
        ReferenceRuntime().open(tmp_path / "m.npz")


def test_missing_weights_and_misfitting_weights_are_told_apart(tmp_path: Path) -> None:
    graph = Graph(
        inputs=(X,),
        outputs=(Y,),
        layers=(Layer(op="linear", inputs=("x",), output="y", weights={"weight": "w"}),),
    )
    write_reference(tmp_path / "m.npz", graph, {})
    with pytest.raises(InputError, match=r"no arrays for \['w'\]"):
        ReferenceRuntime().open(tmp_path / "m.npz")
    write_reference(tmp_path / "m.npz", graph, {"w": np.zeros((2, 3), np.float32)})
    with pytest.raises(DeviceError, match=r"layer 'y' \(linear\) failed"):
        ReferenceRuntime().open(tmp_path / "m.npz").run({"x": np.zeros((1, 2), np.float32)})
