from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from edgewright.errors import GateError, InputError
from edgewright.testing import FakeClock
from edgewright.workbench.data import Dataset, WindowSet
from edgewright.workbench.recipes.har import HarOptions, HarRecipe
from edgewright.workbench.train import (
    Progress,
    RunRecord,
    TrainOptions,
    evaluate,
    load_run,
    train,
)

OPTIONS = TrainOptions(epochs=3, batch_size=16, lr=3e-3, averaging=0.9, threads=1, device="cpu")
RECIPE = HarRecipe(HarOptions(widths=(8, 16), latent=8, hop_s=0.5))


@pytest.fixture
def two_sets(dataset: Dataset) -> tuple[WindowSet, WindowSet]:
    return RECIPE.cut(dataset, ("1", "2", "3")), RECIPE.cut(dataset, ("4", "5"))


class Stopped(Exception):  # noqa: N818 - it is no error
    """Raised in the middle of an epoch, where a power cut may come."""


def stop_in_epoch(epoch: int) -> object:
    def tell(progress: Progress) -> None:
        if progress.epoch == epoch and progress.epoch_done is None:
            raise Stopped

    return tell


def lasting(record: RunRecord) -> RunRecord:
    """The record without what a clock says."""
    return msgspec.structs.replace(record, seconds=0.0)


def test_a_small_network_learns_an_easy_task(
    tmp_path: Path, two_sets: tuple[WindowSet, WindowSet]
) -> None:
    options = msgspec.structs.replace(OPTIONS, epochs=20, lr=1e-2, mixup=0.0)
    record = train(RECIPE, *two_sets, options, tmp_path)
    assert record.val.accuracy > 0.9
    assert record.epochs[-1].train_loss < record.epochs[0].train_loss
    assert record.train_groups == ("1", "2", "3")
    assert record.ending == "all epochs"


def test_a_run_comes_back_from_disk(tmp_path: Path, two_sets: tuple[WindowSet, WindowSet]) -> None:
    record = train(RECIPE, *two_sets, OPTIONS, tmp_path)
    module, loaded = load_run(tmp_path)
    assert loaded == record
    assert not module.training
    assert evaluate(module, two_sets[1]) == record.val


def test_the_same_seed_gives_the_same_weights_and_another_one_others(
    tmp_path: Path, two_sets: tuple[WindowSet, WindowSet]
) -> None:
    first = train(RECIPE, *two_sets, OPTIONS, tmp_path / "a")
    torch.manual_seed(12345)
    second = train(RECIPE, *two_sets, OPTIONS, tmp_path / "b")
    other = train(RECIPE, *two_sets, msgspec.structs.replace(OPTIONS, seed=1), tmp_path / "c")
    assert lasting(first) == lasting(second)
    assert first.weights != other.weights


def test_training_leaves_the_callers_randomness_alone(
    tmp_path: Path, two_sets: tuple[WindowSet, WindowSet]
) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train(RECIPE, *two_sets, OPTIONS, tmp_path)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    "options",
    [
        OPTIONS,
        msgspec.structs.replace(OPTIONS, keep="best", optimizer="sgd", schedule="cosine"),
        msgspec.structs.replace(OPTIONS, optimizer="adam", mixup=0.0, patience=2),
    ],
    ids=["adamw", "sgd-best", "adam-patience"],
)
@pytest.mark.parametrize("stopped_in", [1, 2, 3])
def test_a_stopped_run_ends_with_the_same_numbers_when_it_is_resumed(
    tmp_path: Path,
    two_sets: tuple[WindowSet, WindowSet],
    options: TrainOptions,
    stopped_in: int,
) -> None:
    whole = train(RECIPE, *two_sets, options, tmp_path / "whole")
    with pytest.raises(Stopped):
        train(RECIPE, *two_sets, options, tmp_path / "cut", on_progress=stop_in_epoch(stopped_in))
    resumed = train(RECIPE, *two_sets, options, tmp_path / "cut", resume=True)
    assert lasting(resumed) == lasting(whole)


def test_dropout_and_sampling_resume_exactly_too(tmp_path: Path, dataset: Dataset) -> None:
    recipe = HarRecipe(HarOptions(architecture="tcn-vae", latent=8, hop_s=2.0))
    sets = recipe.cut(dataset, ("1", "2")), recipe.cut(dataset, ("4",))
    options = msgspec.structs.replace(OPTIONS, epochs=2, batch_size=6)
    whole = train(recipe, *sets, options, tmp_path / "whole")
    with pytest.raises(Stopped):
        train(recipe, *sets, options, tmp_path / "cut", on_progress=stop_in_epoch(2))
    resumed = train(recipe, *sets, options, tmp_path / "cut", resume=True)
    assert lasting(resumed) == lasting(whole)


def test_resuming_a_finished_run_trains_nothing(
    tmp_path: Path, two_sets: tuple[WindowSet, WindowSet]
) -> None:
    record = train(RECIPE, *two_sets, OPTIONS, tmp_path)
    seen: list[Progress] = []
    again = train(RECIPE, *two_sets, OPTIONS, tmp_path, resume=True, on_progress=seen.append)
    assert again == record
    assert seen == []


def test_resuming_with_other_options_or_data_is_refused(
    tmp_path: Path, two_sets: tuple[WindowSet, WindowSet], dataset: Dataset
) -> None:
    train(RECIPE, *two_sets, OPTIONS, tmp_path)
    other = msgspec.structs.replace(OPTIONS, lr=1e-3)
    with pytest.raises(InputError, match="other options or other data"):
        train(RECIPE, *two_sets, other, tmp_path, resume=True)
    fewer = RECIPE.cut(dataset, ("1", "2"))
    with pytest.raises(InputError, match="other options or other data"):
        train(RECIPE, fewer, two_sets[1], OPTIONS, tmp_path, resume=True)


def test_training_anew_forgets_the_old_run(
    tmp_path: Path, two_sets: tuple[WindowSet, WindowSet]
) -> None:
    train(RECIPE, *two_sets, OPTIONS, tmp_path)
    with pytest.raises(Stopped):
        train(RECIPE, *two_sets, OPTIONS, tmp_path, on_progress=stop_in_epoch(1))
    with pytest.raises(InputError, match="no finished run"):
        load_run(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 half"])
def test_a_damaged_checkpoint_is_refused(
    tmp_path: Path, two_sets: tuple[WindowSet, WindowSet], content: bytes
) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(InputError, match="not a file of weights"):
        train(RECIPE, *two_sets, OPTIONS, tmp_path, resume=True)


def test_weights_that_were_replaced_are_refused(
    tmp_path: Path, two_sets: tuple[WindowSet, WindowSet]
) -> None:
    train(RECIPE, *two_sets, OPTIONS, tmp_path / "a")
    train(RECIPE, *two_sets, msgspec.structs.replace(OPTIONS, seed=1), tmp_path / "b")
    (tmp_path / "a" / "model.pt").write_bytes((tmp_path / "b" / "model.pt").read_bytes())
    with pytest.raises(InputError, match=r"the weights are not those of run\.json"):
        load_run(tmp_path / "a")


def test_a_loss_that_explodes_stops_with_a_reason_and_keeps_the_last_checkpoint(
    tmp_path: Path, two_sets: tuple[WindowSet, WindowSet]
) -> None:
    class Exploding(HarRecipe):
        def loss(self, module, x, target, moment):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            loss = super().loss(module, x, target, moment)
            return loss * (float("nan") if moment.epoch == 1 else 1.0)

    recipe = Exploding(RECIPE.options)
    with pytest.raises(GateError, match=r"training loss in epoch 2.*nan.*lower lr"):
        train(recipe, *two_sets, OPTIONS, tmp_path)
    assert (tmp_path / "checkpoint.pt").is_file()
    assert not (tmp_path / "run.json").exists()


def test_training_stops_early_when_nothing_gets_better(
    tmp_path: Path, two_sets: tuple[WindowSet, WindowSet]
) -> None:
    options = msgspec.structs.replace(OPTIONS, epochs=30, lr=1e-9, patience=2, keep="best")
    record = train(RECIPE, *two_sets, options, tmp_path)
    assert record.ending == "no better epoch"
    assert len(record.epochs) < 10
    assert record.kept_epoch == len(record.epochs) - 2


def test_training_ends_once_it_is_good_enough_and_is_not_resumed(
    tmp_path: Path, two_sets: tuple[WindowSet, WindowSet]
) -> None:
    options = msgspec.structs.replace(OPTIONS, epochs=30, stop_at=0.05)
    record = train(RECIPE, *two_sets, options, tmp_path)
    assert record.ending == "good enough"
    assert record.epochs[-1].val["macro_f1"] >= 0.05
    assert all(epoch.val["macro_f1"] < 0.05 for epoch in record.epochs[:-1])
    again = train(RECIPE, *two_sets, options, tmp_path, resume=True)
    assert len(again.epochs) == len(record.epochs)


def test_the_best_epoch_is_kept_when_asked(
    tmp_path: Path, two_sets: tuple[WindowSet, WindowSet]
) -> None:
    options = msgspec.structs.replace(OPTIONS, epochs=6, keep="best")
    record = train(RECIPE, *two_sets, options, tmp_path)
    scores = [epoch.val["macro_f1"] for epoch in record.epochs]
    assert record.kept_epoch == 1 + scores.index(max(scores))
    assert record.val.macro_f1 == max(scores)


def test_progress_counts_up_and_says_how_long(
    tmp_path: Path, two_sets: tuple[WindowSet, WindowSet]
) -> None:
    clock, seen = FakeClock(), list[Progress]()

    def tell(progress: Progress) -> None:
        clock.advance(1.0)
        seen.append(progress)

    record = train(RECIPE, *two_sets, OPTIONS, tmp_path, on_progress=tell, clock=clock)
    assert [p.step for p in seen] == sorted(p.step for p in seen)
    assert seen[-1].step == seen[-1].steps
    assert seen[-1].eta_s == 0.0
    assert [p.epoch_done for p in seen if p.epoch_done] == list(record.epochs)
    assert record.seconds == 3.0


@pytest.mark.parametrize("rows", [1, 3])
def test_a_handful_of_windows_is_enough_to_run(
    tmp_path: Path, two_sets: tuple[WindowSet, WindowSet], rows: int
) -> None:
    both, val = two_sets
    few = both.take(np.array([0, len(both) - 1, 1, 2][: rows + 1]))
    record = train(RECIPE, few, val, OPTIONS, tmp_path)
    assert record.train_rows == rows + 1


def test_windows_that_cannot_be_learnt_from_are_refused(
    tmp_path: Path, two_sets: tuple[WindowSet, WindowSet]
) -> None:
    both, val = two_sets
    with pytest.raises(InputError, match="hold 1 class, expected two or more"):
        train(RECIPE, both.take(both.y == 0), val, OPTIONS, tmp_path)
    x = both.x.copy()
    x[2, 5, 1] = np.nan
    with pytest.raises(InputError, match="not finite"):
        train(RECIPE, replace(both, x=x), val, OPTIONS, tmp_path)
    with pytest.raises(InputError, match="do not fit"):
        train(RECIPE, both, replace(val, label_names=("a", "b")), OPTIONS, tmp_path)


def test_a_warning_of_the_windows_is_repeated_in_the_scores(
    tmp_path: Path, two_sets: tuple[WindowSet, WindowSet]
) -> None:
    record = train(RECIPE, two_sets[0], two_sets[1].labelled("LEAKS"), OPTIONS, tmp_path)
    assert record.val.warning == "LEAKS"


def test_an_absent_gpu_is_named(tmp_path: Path, two_sets: tuple[WindowSet, WindowSet]) -> None:
    if torch.cuda.is_available():
        record = train(RECIPE, *two_sets, msgspec.structs.replace(OPTIONS, device="cuda"), tmp_path)
        assert record.device.startswith("cuda")
        return
    from edgewright.errors import UnavailableError

    with pytest.raises(UnavailableError, match="--device cpu"):
        train(RECIPE, *two_sets, msgspec.structs.replace(OPTIONS, device="cuda"), tmp_path)
