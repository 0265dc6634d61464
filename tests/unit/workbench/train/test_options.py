import pytest

from edgewright.errors import InputError
from edgewright.workbench.recipes.har import HarOptions, HarRecipe
from edgewright.workbench.train import train_options


def test_the_user_overrides_the_recipe_which_overrides_the_defaults() -> None:
    recipe = HarRecipe(HarOptions(architecture="tcn-vae"))
    options = train_options(recipe, {"epochs": 7}, source="[train]")
    assert (options.epochs, options.lr, options.batch_size) == (7, 3e-4, 64)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"epoch": 3}, r"\[train\]: unknown key 'epoch'; did you mean 'epochs'"),
        ({"epochs": 0}, "epochs is 0, expected above 0"),
        ({"lr": -1.0}, "lr is -1"),
        ({"averaging": 1.0}, "averaging is 1, expected 0 to below 1"),
        ({"schedule": "linear"}, "schedule"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_what_makes_no_sense_is_refused(raw: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        train_options(HarRecipe(), raw, source="[train]")
