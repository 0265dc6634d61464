"""Pruning, teaching and training on an integer grid, on networks that take milliseconds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from edgewright.errors import InputError, UnavailableError
from edgewright.runtimes.onnxruntime import OnnxRuntime
from edgewright.workbench.data import Dataset
from edgewright.workbench.optimize.chain import parse_chain
from edgewright.workbench.optimize.compress import Lessons, compressor, read_lessons
from edgewright.workbench.optimize.compress.grid import GridGraph, codebook, grid_of, with_weights
from edgewright.workbench.optimize.compress.pruning import without_channels, without_taps
from edgewright.workbench.optimize.compress.teaching import Course, lesson_loss, teach
from edgewright.workbench.optimize.inputs import input_arrays
from edgewright.workbench.optimize.quantise import static_int8
from edgewright.workbench.optimize.ranges import observe, ranges_by
from edgewright.workbench.optimize.rewrite import prepared
from edgewright.workbench.optimize.space import Space, chained_recipes, makers_of
from edgewright.workbench.optimize.variants import StaticInt8
from edgewright.workbench.recipes.base import REGRESSION
from edgewright.workbench.recipes.har import HarRecipe
from edgewright.workbench.recipes.har.tcn_vae import CausalBlock
from edgewright.workbench.train import RunOrigin, TrainOptions, train

RECIPE = StaticInt8(activations="u8", weights="s8", per_channel=True, reduce_range=True)


class Small(nn.Module):
    """Two residual branches and two answers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(6, 32, 5, padding=2)
        self.second = nn.Conv1d(32, 32, 3, padding=1)
        self.latent = nn.Linear(32, 8)
        self.classify = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps = torch.relu(self.first(x.transpose(1, 2)))
        latent = self.latent((maps + self.second(maps)).mean(dim=2))
        return latent, self.classify(latent)


@pytest.fixture
def example() -> tuple[torch.Tensor, ...]:
    return (torch.from_numpy(np.random.default_rng(0).normal(size=(2, 32, 6)).astype(np.float32)),)


def test_pruned_networks_keep_what_they_promise(example: tuple[torch.Tensor, ...]) -> None:
    pruned = without_channels(Small(), example, 0.5)

    assert isinstance(pruned, Small)
    assert pruned.first.out_channels == pruned.second.out_channels == 16
    assert [tuple(answer.shape) for answer in pruned(*example)] == [(2, 8), (2, 3)]


def test_a_network_that_cannot_be_followed_is_refused(example: tuple[torch.Tensor, ...]) -> None:
    class Fixed(Small):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            maps = self.first(x.transpose(1, 2)).reshape(-1, 32, 32)
            latent = self.latent(self.second(maps).mean(dim=2))
            return latent, self.classify(latent)

    with pytest.raises(UnavailableError, match="cannot be pruned"):
        without_channels(Fixed(), example, 0.5)


def test_taps_that_go_keep_the_view_and_a_constant_signal(
    example: tuple[torch.Tensor, ...],
) -> None:
    layer = nn.Sequential(nn.Conv1d(6, 4, 5, dilation=2))
    x = torch.ones(1, 6, 40)
    before = layer(x)
    thinned = without_taps(layer)

    assert (thinned[0].kernel_size, thinned[0].dilation) == ((3,), (4,))
    assert torch.allclose(thinned(x), before, atol=1e-5)


def test_no_taps_to_lose_is_said() -> None:
    with pytest.raises(UnavailableError, match="taps"):
        without_taps(nn.Sequential(nn.Linear(3, 3), nn.Conv1d(3, 3, 1)))


def _quantised(
    net: onnx.ModelProto, folder: Path
) -> tuple[onnx.ModelProto, dict[str, tuple[float, float]], np.ndarray]:
    x = np.random.default_rng(1).normal(size=(64, 32, 6)).astype(np.float32)
    graph = prepared(net)
    ranges = ranges_by("minmax", observe(graph, {"x": x}, OnnxRuntime().open))
    return graph, ranges, x


def _integers(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.name.endswith("_quantized") and tensor.data_type == onnx.TensorProto.INT8
    }


def test_the_grid_is_the_quantisers_own(conv_net: onnx.ModelProto, tmp_path: Path) -> None:
    graph, ranges, x = _quantised(conv_net, tmp_path)
    quantised = static_int8(graph, ranges, RECIPE)
    onnx.save(quantised, tmp_path / "q.onnx")
    session = OnnxRuntime().open(tmp_path / "q.onnx")
    wanted = session.run({"x": x})["y"]
    session.close()
    student = GridGraph(graph, grid_of(quantised, limit=64))

    found = student(torch.from_numpy(x)).detach().numpy()

    step = (ranges["y"][1] - ranges["y"][0]) / 255
    assert np.abs(found - wanted).max() <= 2 * step
    assert (found == wanted).mean() > 0.9


@pytest.mark.long
def test_what_was_trained_is_what_is_stored(conv_net: onnx.ModelProto, tmp_path: Path) -> None:
    """Shared and absent weights survive the quantiser: few distinct integers, many zeros."""
    graph, ranges, x = _quantised(conv_net, tmp_path)
    student = GridGraph(graph, grid_of(static_int8(graph, ranges, RECIPE), limit=64))
    student.thin(0.75)
    student.share(8)
    optimizer = torch.optim.SGD(student.parameters(), lr=1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        student(torch.from_numpy(x)).square().mean().backward()
        optimizer.step()

    again = static_int8(with_weights(graph, student.weights()), ranges, RECIPE)

    kept = _integers(again)
    assert len(kept) == 3
    for array in kept.values():
        assert len(np.unique(array)) <= 8
        assert (array == 0).mean() >= 0.7


def test_a_codebook_holds_both_ends_and_zero() -> None:
    integers = torch.from_numpy(np.random.default_rng(0).integers(-20, 21, 5000)).float()
    book = codebook(integers, values=16, limit=64).tolist()

    assert len(book) <= 16
    assert {-64.0, 0.0, 64.0} <= set(book)
    assert book == sorted(book)


def test_values_are_taught_as_values() -> None:
    taught = (torch.tensor([[1.0], [2.0]]),)
    right = lesson_loss(taught, taught, torch.tensor([1.0, 2.0]), REGRESSION)
    wrong = lesson_loss(
        (torch.tensor([[2.0], [2.0]]),), taught, torch.tensor([1.0, 2.0]), REGRESSION
    )

    assert right.item() == 0.0
    assert wrong.item() == pytest.approx(0.5)


@pytest.fixture
def recipe() -> HarRecipe:
    return HarRecipe().with_options({"widths": [16, 16], "latent": 8}, source="the test")


@pytest.fixture
def run(
    make_dataset: Callable[..., Dataset], recipe: HarRecipe, tmp_path: Path
) -> tuple[Path, HarRecipe, Dataset]:
    dataset = make_dataset(5)
    split = recipe.split(dataset)
    options = TrainOptions(epochs=1, batch_size=8, threads=1, averaging=0.5)
    train(
        recipe,
        recipe.cut(dataset, split.train),
        recipe.cut(dataset, split.val),
        options,
        tmp_path / "run",
        origin=RunOrigin(dataset=dataset.content_hash, split=split),
    )
    return tmp_path / "run", recipe, dataset


@pytest.fixture
def lessons(run: tuple[Path, HarRecipe, Dataset], tmp_path: Path) -> Lessons:
    from edgewright.workbench.data import DatasetStore, Lineage

    folder, _, dataset = run
    DatasetStore(tmp_path / ".edgewright" / "datasets").add(dataset, lineage=Lineage(command="t"))
    return read_lessons(folder, data=tmp_path)


def test_nobody_who_judges_teaches(lessons: Lessons) -> None:
    assert not set(lessons.train.group.tolist()) & set(lessons.held_out.group.tolist())


def test_other_data_than_the_runs_own_are_refused(
    run: tuple[Path, HarRecipe, Dataset], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="are wanted"):
        read_lessons(run[0], data=tmp_path)


@pytest.mark.long
def test_a_stopped_course_ends_with_the_same_numbers(lessons: Lessons, tmp_path: Path) -> None:
    course = Course(epochs=2, lr=1e-3)

    class StopError(Exception):
        pass

    def stop_in_the_second_epoch(share: float, text: str) -> None:
        if share >= 0.5:
            raise StopError

    def student() -> nn.Module:
        torch.manual_seed(7)
        return lessons.recipe.build(lessons.record.facts)

    whole, stopped = student(), student()
    teach(whole, lessons, course, checkpoint=tmp_path / "whole.pt", tell=lambda *_: None)
    with pytest.raises(StopError):
        teach(
            stopped,
            lessons,
            course,
            checkpoint=tmp_path / "part.pt",
            tell=stop_in_the_second_epoch,
        )
    resumed = student()
    teach(resumed, lessons, course, checkpoint=tmp_path / "part.pt", tell=lambda *_: None)

    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.long
def test_a_chain_leaves_what_the_search_can_measure(lessons: Lessons, tmp_path: Path) -> None:
    chain = parse_chain("prune=0.5,distil=1,qat=1,cluster=16")
    space = Space(
        source=onnx.ModelProto(),
        calibration=input_arrays(lessons.train),
        open_model=OnnxRuntime().open,
        points=lambda _: 0.0,
        max_drop=1.0,
    )

    made, refused = compressor(lessons, [chain])(space, tmp_path, lambda *_: None)

    assert refused == []
    assert [one.chain for one in made] == [part.name for part in chain.products]
    engines = {"onnx": OnnxRuntime()}
    for product in made:
        makers = makers_of(product, ("onnx",), engines, space)
        recipes = list(chained_recipes(product.chain, makers))
        assert len(recipes) == (1 if product.recipe else len(set(recipes)))
        path = tmp_path / "variant.onnx"
        path.write_bytes(makers["onnx"].make(recipes[0].then))  # type: ignore[union-attr]
        session = OnnxRuntime().open(path)
        answers = session.run(input_arrays(lessons.held_out))
        session.close()
        assert np.isfinite(answers["logits"]).all()
    shared = _integers(static_int8(prepared(made[-1].model), made[-1].ranges, made[-1].recipe))  # type: ignore[arg-type]
    assert all(len(np.unique(array)) <= 16 for array in shared.values())


def test_weight_norm_is_worked_in_before_anything_is_cut() -> None:
    from edgewright.workbench.convert.torch_onnx import plain_weights

    block = CausalBlock(6, 16, dilation=1, dropout=0.0).eval()
    plain = plain_weights(block)
    x = torch.randn(1, 6, 20)

    assert plain is not block
    assert not any("parametrizations" in name for name in plain.state_dict())
    assert torch.allclose(plain(x), block(x), atol=1e-6)
