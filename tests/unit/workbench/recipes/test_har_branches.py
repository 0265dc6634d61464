"""Branches: one model whose answer is the mean of networks that learn apart."""

import pytest
import torch
from torch.nn import functional

from edgewright.contract import Channel
from edgewright.errors import EdgewrightError
from edgewright.workbench.recipes import ModelFacts, Moment
from edgewright.workbench.recipes.har import HarOptions, HarRecipe
from edgewright.workbench.recipes.har.branches import BranchedNetwork

CHANNELS = tuple(
    Channel(name=f"{sensor}_{axis}", unit=unit)
    for sensor, unit in (("acc", "g"), ("gyro", "rad/s"))
    for axis in "xyz"
)
FACTS = ModelFacts(length=40, channels=CHANNELS, labels=("a", "b", "c"), rate_hz=20.0)
RECIPE = HarRecipe(
    HarOptions(architecture="har-branches", branches=2, widths=(8, 12), latent=10, dropout=0.0)
)


@pytest.fixture
def network() -> BranchedNetwork:
    torch.manual_seed(1)
    network = RECIPE.build(FACTS)
    assert isinstance(network, BranchedNetwork)
    return network


def windows(count: int = 8) -> torch.Tensor:
    return torch.randn(count, 40, 6, generator=torch.Generator().manual_seed(2))


def test_the_answer_is_the_mean_and_the_latent_all_embeddings(network: BranchedNetwork) -> None:
    x = windows()
    (first, first_logits), (second, second_logits) = network.eval().each(x)
    latent, logits = network(x)
    assert latent.shape == (8, 10)
    assert torch.equal(latent, torch.cat([first, second], dim=1))
    assert torch.allclose(logits, (first_logits + second_logits) / 2)
    assert not torch.allclose(first_logits, second_logits)


def test_no_branch_learns_from_anothers_mistakes(network: BranchedNetwork) -> None:
    """A branch's gradient is that of its own loss, however wrong the other is."""
    x, target = windows(), functional.one_hot(torch.arange(8) % 3, 3).float()
    moment = Moment(epoch=0, epochs=1, generator=torch.Generator(), part=0, parts=1)
    gradients = []
    for offset in (0.0, 50.0):
        network.zero_grad()
        with torch.no_grad():
            network.branches[1].classify.bias[0] += offset
        RECIPE.loss(network, (x,), target, moment).backward()
        gradients.append(network.branches[0].classify.weight.grad.clone())
    assert gradients[0].abs().sum() > 0
    assert torch.equal(*gradients)


@pytest.mark.parametrize("branches", [0, 3])
def test_branches_that_do_not_divide_the_latent_are_refused(branches: int) -> None:
    raw = {"architecture": "har-branches", "branches": branches, "latent": 10}
    with pytest.raises(EdgewrightError, match=f"branches is {branches}"):
        HarRecipe().with_options(raw, source="edgewright.toml")


def test_the_full_size_keeps_to_its_budget() -> None:
    facts = ModelFacts(length=100, channels=CHANNELS, labels=tuple("abcdefghijkl"), rate_hz=50.0)
    options = HarOptions(architecture="har-branches", branches=3, latent=63, widths=(48, 64, 96))
    network = HarRecipe(options).build(facts)
    assert sum(each.numel() for each in network.parameters()) < 450_000
