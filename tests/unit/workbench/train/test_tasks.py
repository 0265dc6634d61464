"""The same loop on values and on masks, from arrays on disk and in memory."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgewright.errors import InputError
from edgewright.testing.recipes import MaskRecipe, ValueRecipe, mask_samples, value_samples
from edgewright.workbench.data import SampleSet, is_on_disk
from edgewright.workbench.train import (
    MaskMetrics,
    TrainOptions,
    ValueMetrics,
    evaluate_task,
    load_record,
    load_run,
    train,
    train_options,
)

OPTIONS = {"epochs": 30, "batch_size": 16, "lr": 1e-2, "threads": 1, "device": "cpu"}


def options_for(recipe: ValueRecipe | MaskRecipe, **more: object) -> TrainOptions:
    return train_options(recipe, {**OPTIONS, **more}, source="test")


def parts(samples: SampleSet) -> tuple[SampleSet, SampleSet]:
    names = sorted(set(samples.group.tolist()))
    watched = np.isin(samples.group, names[-2:])
    return samples.take(~watched), samples.take(watched)


def test_values_are_learnt_from_two_inputs_of_which_one_lies_on_disk(tmp_path: Path) -> None:
    sets = parts(value_samples(tmp_path))
    assert is_on_disk(sets[0].inputs["features"])
    record = train(ValueRecipe(), *sets, options_for(ValueRecipe()), tmp_path / "run")
    assert isinstance(record.val, ValueMetrics)
    assert record.val.pearson > 0.95
    assert record.val.mae < 0.1
    assert set(record.epochs[-1].val) >= {"pearson", "mae", "spearman"}
    assert load_record(tmp_path / "run") == record
    module, _ = load_run(tmp_path / "run", recipe=ValueRecipe())
    assert evaluate_task(module, sets[1], ValueRecipe.task) == record.val


def test_an_array_on_disk_teaches_the_same_as_one_in_memory(tmp_path: Path) -> None:
    options = options_for(ValueRecipe(), epochs=3, mixup=0.2)
    disk = train(ValueRecipe(), *parts(value_samples(tmp_path)), options, tmp_path / "a")
    memory = train(
        ValueRecipe(), *parts(value_samples(tmp_path, on_disk=False)), options, tmp_path / "b"
    )
    assert disk.weights == memory.weights


def test_the_best_epoch_is_chosen_by_the_metric_that_was_named(tmp_path: Path) -> None:
    options = options_for(ValueRecipe(), epochs=8, keep="best", best_by="mae")
    record = train(ValueRecipe(), *parts(value_samples(tmp_path)), options, tmp_path / "run")
    errors = [epoch.val["mae"] for epoch in record.epochs]
    assert record.kept_epoch == 1 + errors.index(min(errors))


def test_a_metric_of_another_task_is_refused(tmp_path: Path) -> None:
    options = options_for(ValueRecipe(), best_by="macro_f1")
    with pytest.raises(InputError, match=r"'macro_f1' is no metric of regression; choose one of"):
        train(ValueRecipe(), *parts(value_samples(tmp_path)), options, tmp_path / "run")


def test_masks_are_learnt_and_unknown_pixels_count_nowhere(tmp_path: Path) -> None:
    recipe = MaskRecipe()
    options = options_for(recipe, averaging=0.0, lr=0.1, batch_size=4)
    record = train(recipe, *parts(mask_samples()), options, tmp_path)
    assert isinstance(record.val, MaskMetrics)
    assert record.val.miou > 0.9
    assert sum(sum(row) for row in record.val.confusion) == record.val.rows * 7 * 8


@pytest.mark.parametrize("key", ["mixup", "label_smoothing"])
def test_masks_cannot_be_mixed_or_smoothed(key: str) -> None:
    with pytest.raises(InputError, match=f"{key} is 0.2, but segmentation cannot use it"):
        options_for(MaskRecipe(), **{key: 0.2})


def test_targets_that_teach_nothing_are_refused(tmp_path: Path) -> None:
    one, other = parts(value_samples(tmp_path, on_disk=False))
    flat = SampleSet(one.inputs, np.full(len(one), 0.5, np.float32), one.group)
    with pytest.raises(InputError, match=r"all 160 training targets are 0\.5"):
        train(ValueRecipe(), flat, other, options_for(ValueRecipe()), tmp_path)
    broken = SampleSet(one.inputs, np.full(len(one), np.nan, np.float32), one.group)
    with pytest.raises(InputError, match=r"\(target\) hold values that are not finite"):
        train(ValueRecipe(), broken, other, options_for(ValueRecipe()), tmp_path)


def test_a_run_of_schema_1_is_still_read(tmp_path: Path) -> None:
    old = Path(__file__).parent / "run_schema_1.json"
    (tmp_path / "run.json").write_bytes(old.read_bytes())
    record = load_record(tmp_path)
    raw = msgspec.json.decode(old.read_bytes())
    assert record.train_rows == raw["train_windows"]
    assert record.epochs[0].val["macro_f1"] == raw["epochs"][0]["val_macro_f1"]
    assert record.val.headline["accuracy"] == raw["val"]["accuracy"]
