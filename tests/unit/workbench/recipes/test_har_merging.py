"""One model for devices with all sensors and for devices with fewer."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgewright.contract import Channel
from edgewright.errors import InputError
from edgewright.workbench.data import Dataset, merge_datasets
from edgewright.workbench.recipes import ModelFacts
from edgewright.workbench.recipes.har import AugmentOptions, HarOptions, HarRecipe, augment

NINE = tuple(
    Channel(name=f"{sensor}_{axis}", unit=unit)
    for sensor, unit in (("acc", "g"), ("gyro", "rad/s"), ("mag", "uT"))
    for axis in "xyz"
)
FACTS = ModelFacts(length=100, channels=NINE, labels=("a", "b"), rate_hz=50.0)
TRIADS = ((0, 1, 2), (3, 4, 5), (6, 7, 8))
MASKING = HarOptions(masks_absent=True)


def windows(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 100, 9, generator=torch.Generator().manual_seed(0)) + 0.5


def test_sensors_that_are_absent_say_nothing(dataset: Dataset) -> None:
    recipe = HarRecipe(MASKING)
    module = recipe.build(FACTS).eval()
    module.normalisation.mean.fill_(3.0)
    x = windows()
    x[:, :, 6:] = 0.0
    normal = module.normalisation(x)
    assert torch.equal(normal[:, :, 6:], torch.zeros(4, 100, 3))
    assert torch.equal(normal[:, :, :6], (x - 3.0)[:, :, :6])


def test_one_zero_among_measured_samples_is_a_measurement() -> None:
    module = HarRecipe(MASKING).build(FACTS)
    module.normalisation.mean.fill_(3.0)
    x = windows()
    x[:, 10, 7] = 0.0
    assert module.normalisation(x)[0, 10, 7] == -3.0


def test_a_merged_set_is_cut_with_zeros_for_what_was_not_measured(dataset: Dataset) -> None:
    fewer = replace(
        dataset,
        recordings=tuple(replace(r, samples=r.samples[:, :3].copy()) for r in dataset.recordings),
        channels=dataset.channels[:3],
    )
    merged = merge_datasets({"six": dataset, "three": fewer}, {})
    cut = HarRecipe(MASKING).cut(merged, merged.subjects)
    of_three = np.char.startswith(cut.subject, "three")
    assert not cut.x[of_three][:, :, 3:].any()
    assert cut.x[~of_three][:, :, 3:].any(axis=(1, 2)).all()
    kept = HarRecipe().cut(merged, merged.subjects)
    assert np.isnan(kept.x[of_three][:, :, 3:]).all()


def test_normalisation_is_fitted_on_what_was_measured(dataset: Dataset) -> None:
    fewer = replace(
        dataset,
        recordings=tuple(replace(r, samples=r.samples[:, :3].copy()) for r in dataset.recordings),
        channels=dataset.channels[:3],
    )
    merged = merge_datasets({"six": dataset, "three": fewer}, {})
    recipe = HarRecipe(MASKING)
    both = recipe.cut(merged, merged.subjects)
    alone = recipe.cut(dataset, dataset.subjects)
    stats = []
    for cut in (both, alone):
        module = recipe.build(recipe.facts(cut))
        recipe.fit(module, cut)
        stats.append(module.normalisation)
    assert torch.allclose(stats[0].mean, stats[1].mean, atol=1e-5)
    assert torch.allclose(stats[0].std, stats[1].std, atol=1e-5)


def test_a_dropped_sensor_is_whole_and_never_the_last_one() -> None:
    options = AugmentOptions(rotation_deg=0, scaling=0, time_warp=0, shift=0, sensor_drop=0.9)
    x = windows(200)
    generator = torch.Generator().manual_seed(1)
    out = augment(x, options, triads=TRIADS, generator=generator)
    absent = torch.stack([(out[:, :, list(t)] == 0).all(dim=(1, 2)) for t in TRIADS], dim=1)
    assert set(absent.sum(dim=1).tolist()) == {0, 1}
    assert absent.float().mean() == pytest.approx(0.3, abs=0.05)
    partly = (out == 0).all(dim=1).sum(dim=1)
    assert set(partly.tolist()) == {0, 3}


def test_variations_leave_an_absent_sensor_absent() -> None:
    x = windows()
    x[:, :, 6:] = 0.0
    out = augment(x, AugmentOptions(), triads=TRIADS, generator=torch.Generator().manual_seed(2))
    assert not out[:, :, 6:].any()
    assert not torch.equal(out[:, :, :6], x[:, :, :6])


def test_a_recipe_merges_its_sources_by_name(tmp_path: Path) -> None:
    exercises = {name: name.lower() for name in ("PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW")}
    raw = {
        "merge": [
            {"name": "one", "source": "seglearn", "labels": exercises},
            {"name": "two", "source": "seglearn", "labels": {**exercises, "ROW": ""}},
        ]
    }
    recipe = HarRecipe().with_options(raw, source="edgewright.toml")
    dataset = recipe.load_data(tmp_path)
    assert len(dataset.recordings) == 280
    assert dataset.label_names == tuple(exercises.values())
    assert len(recipe.sources(tmp_path)) == 2
    counted = HarRecipe().with_options({**raw, "classes": 8}, source="edgewright.toml")
    with pytest.raises(InputError, match="lead to 7 classes, expected 8"):
        counted.load_data(tmp_path)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"classes": 3}, "nothing is merged"),
        ({"split": {"seed": -1}}, "seed is -1"),
        ({"split": {"test_count": -1}}, "test_count is -1"),
    ],
)
def test_counts_that_mean_nothing_are_refused(raw: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        HarRecipe().with_options(raw, source="edgewright.toml")


def test_a_sensor_that_no_window_has_is_masked_for_good(dataset: Dataset) -> None:
    recipe = HarRecipe(HarOptions(masks_absent=True, sensors=("acc", "gyro", "mag")))
    windows = recipe.cut(dataset, dataset.subjects)
    assert recipe.facts(windows).channels == NINE
    module = recipe.build(recipe.facts(windows)).eval()
    recipe.fit(module, windows)
    x = torch.from_numpy(windows.x[:4]).clone()
    sent = x.clone()
    sent[:, :, 6:] = 43.0
    assert torch.equal(module(sent)[0], module(x)[0])
    sent[:, :, :3] = 0.0
    assert not torch.equal(module(sent)[0], module(x)[0])


def test_sensors_may_also_leave_out_what_the_data_have(dataset: Dataset) -> None:
    recipe = HarRecipe(HarOptions(masks_absent=True, sensors=("gyro",)))
    cut = recipe.cut(dataset, dataset.subjects)
    assert [channel.name for channel in cut.channels] == ["gyro_x", "gyro_y", "gyro_z"]
    assert np.array_equal(cut.x, HarRecipe().cut(dataset, dataset.subjects).x[:, :, 3:])
