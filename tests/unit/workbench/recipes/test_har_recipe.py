from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from edgewright.contract import Channel
from edgewright.errors import InputError
from edgewright.steps import check_inputs
from edgewright.workbench.data import Dataset
from edgewright.workbench.recipes import ModelFacts, Moment, find_recipe, recipe_names
from edgewright.workbench.recipes.har import HarOptions, HarRecipe
from edgewright.workbench.recipes.har.networks import shortest_window

CHANNELS = (
    *(Channel(name=f"acc_{axis}", unit="g") for axis in "xyz"),
    *(Channel(name=f"gyro_{axis}", unit="rad/s") for axis in "xyz"),
)
FACTS = ModelFacts(length=100, channels=CHANNELS, labels=tuple("abcdefg"), rate_hz=50.0)


ARCHITECTURES = ("har-quick", "tcn-vae", "gru", "cnn-lstm", "transformer")


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_the_recipe_is_found_by_its_entry_point() -> None:
    assert "har" in recipe_names()
    assert isinstance(find_recipe("har"), HarRecipe)


def test_an_unknown_recipe_gets_a_suggestion() -> None:
    with pytest.raises(InputError, match="did you mean 'har'"):
        find_recipe("har2")


def test_an_unknown_option_gets_a_suggestion() -> None:
    with pytest.raises(InputError, match=r"unknown key 'augment\.rotation'; did you mean"):
        HarRecipe().with_options({"augment": {"rotation": 5.0}}, source="edgewright.toml")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"window_s": 1.0, "hop_s": 2.0}, "hop_s is 2"),
        ({"widths": []}, "widths and latent"),
        ({"architecture": "cnn"}, "architecture"),
    ],
)
def test_options_that_make_no_sense_are_refused(raw: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        HarRecipe().with_options(raw, source="edgewright.toml")


def test_options_survive_being_written_into_a_record() -> None:
    recipe = HarRecipe().with_options({"labels": ["a"], "split": {"test": ["1"]}}, source="x")
    raw = msgspec.json.decode(msgspec.json.encode(recipe.options))
    assert HarRecipe().with_options(raw, source="run.json").options == recipe.options


def test_the_quick_network_has_its_stated_size() -> None:
    assert parameters(HarRecipe().build(FACTS)) == 170_439


def test_the_tcn_vae_has_its_stated_size() -> None:
    facts = ModelFacts(
        length=100,
        channels=(*CHANNELS, *(Channel(name=f"mag_{axis}", unit="uT") for axis in "xyz")),
        labels=tuple("abcdefghijklm"),
        rate_hz=50.0,
    )
    module = HarRecipe(HarOptions(architecture="tcn-vae")).build(facts)
    served = sum(parameters(part) for part in (module.encoder, module.mean, module.classify))
    assert served <= 450_000
    assert parameters(module) <= 1_200_000


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_module_gives_what_its_contract_promises(architecture: str) -> None:
    recipe = HarRecipe(HarOptions(architecture=architecture))
    contract = recipe.contract(FACTS)
    outputs = recipe.build(FACTS).eval()(torch.zeros(3, 100, 6))
    for name, output in zip(("latent", "logits"), outputs, strict=True):
        assert contract.output(name).fits(tuple(output.shape))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_weight_that_is_trained_gets_a_gradient(architecture: str) -> None:
    torch.manual_seed(0)
    recipe = HarRecipe(HarOptions(architecture=architecture))
    module = recipe.build(FACTS)
    target = torch.nn.functional.one_hot(torch.arange(4), 7).float()
    moment = Moment(epoch=5, epochs=10, generator=torch.Generator().manual_seed(0))
    recipe.loss(module, (torch.randn(4, 100, 6),), target, moment).backward()
    dead = [name for name, p in module.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []


def test_the_causal_network_does_not_see_the_future() -> None:
    torch.manual_seed(0)
    module = HarRecipe(HarOptions(architecture="tcn-vae")).build(FACTS).eval()
    x = torch.randn(1, 6, 100)
    changed = x.clone()
    changed[:, :, 60:] += 1.0
    before, after = module.encoder(x), module.encoder(changed)
    assert torch.equal(before[:, :, :60], after[:, :, :60])
    assert not torch.equal(before[:, :, 60:], after[:, :, 60:])


def test_normalisation_is_inside_and_comes_from_the_training_windows(dataset: Dataset) -> None:
    recipe = HarRecipe()
    windows = recipe.cut(dataset, ("1", "2"))
    module = recipe.build(recipe.facts(windows))
    recipe.fit(module, windows)
    normal = module.normalisation(torch.from_numpy(windows.x)).flatten(0, 1)
    assert torch.allclose(normal.mean(dim=0), torch.zeros(6), atol=1e-4)
    assert torch.allclose(normal.std(dim=0), torch.ones(6), atol=1e-3)


def test_a_channel_that_never_moves_does_not_divide_by_zero(dataset: Dataset) -> None:
    still = tuple(
        replace(r, samples=np.where(np.arange(6) == 3, 0, r.samples).astype(np.float32))
        for r in dataset.recordings
    )
    recipe = HarRecipe()
    windows = recipe.cut(replace(dataset, recordings=still), ("1",))
    module = recipe.build(recipe.facts(windows)).eval()
    recipe.fit(module, windows)
    assert torch.isfinite(module(torch.from_numpy(windows.x))[1]).all()


def test_the_contract_refuses_what_no_sensor_reads() -> None:
    contract = HarRecipe().contract(FACTS)
    x = np.zeros((1, 100, 6), np.float32)
    check_inputs(contract, {"x": x})
    x[0, 3, 4] = 36.0
    with pytest.raises(InputError, match="gyro_y"):
        check_inputs(contract, {"x": x})


def test_a_window_too_short_for_the_blocks_is_refused() -> None:
    with pytest.raises(InputError, match="make it 8 or more"):
        HarRecipe().build(msgspec.structs.replace(FACTS, length=7))


def test_windows_follow_the_seconds_of_the_options(dataset: Dataset) -> None:
    recipe = HarRecipe(HarOptions(window_s=1.28, hop_s=0.64, rate_hz=25.0))
    windows = recipe.cut(dataset, ("1",))
    assert windows.length == 32
    assert windows.rate_hz == 25.0


def test_the_split_follows_the_options(dataset: Dataset) -> None:
    raw = {"split": {"test": ["2"], "val_count": 0}}
    split = HarRecipe().with_options(raw, source="x").split(dataset)
    assert split.test == ("2",)
    assert split.val == ()
    assert split.train == ("1", "3", "4", "5")
    with pytest.raises(InputError, match="tests nobody"):
        HarRecipe().with_options({"split": {"test_count": 0}}, source="x").split(dataset)


def test_data_is_loaded_and_labels_are_picked(tmp_path: Path) -> None:
    recipe = HarRecipe(HarOptions(labels=("ROW", "PEN")))
    assert recipe.load_data(tmp_path).label_names == ("ROW", "PEN")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_window_too_short_for_a_network_is_refused_and_the_shortest_runs(
    architecture: str,
) -> None:
    options = HarOptions(architecture=architecture)
    shortest = shortest_window(options)
    facts = msgspec.structs.replace(FACTS, length=shortest)
    module = HarRecipe(options).build(facts).eval()
    assert torch.isfinite(module(torch.zeros(2, shortest, 6))[1]).all()
    if architecture != "tcn-vae":
        with pytest.raises(InputError, match=f"too short for {architecture}"):
            HarRecipe(options).build(msgspec.structs.replace(FACTS, length=shortest - 1))


def test_the_focal_loss_counts_easy_windows_less() -> None:
    target = torch.eye(2)
    sure, unsure = torch.eye(2) * 4.0, torch.eye(2) * 0.1
    moment = Moment(epoch=0, epochs=1, generator=torch.Generator())

    def loss(name: str, logits: torch.Tensor) -> float:
        recipe = HarRecipe(HarOptions(loss=name))
        return float(recipe.loss(lambda _: (logits,), (logits,), target, moment))

    assert loss("cross-entropy", sure) == pytest.approx(float(np.log(1 + np.exp(-4))), rel=1e-4)
    easier = loss("focal", sure) / loss("cross-entropy", sure)
    assert easier < 0.01 < loss("focal", unsure) / loss("cross-entropy", unsure)


def test_parts_of_a_batch_get_the_noise_of_the_whole() -> None:
    def drawn(part: int, parts: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(3)
        moment = Moment(epoch=0, epochs=1, generator=generator, part=part, parts=parts)
        return moment.normal(6 // parts, 4)

    assert torch.equal(torch.cat([drawn(0, 2), drawn(1, 2)]), drawn(0, 1))
