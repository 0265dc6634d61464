"""A search that can be stopped, shared and asked what it found."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="absent: optuna (extra tune)")

from edgewright.errors import GateError, InputError
from edgewright.testing.recipes import ValueRecipe, value_samples
from edgewright.workbench.train import Progress, RunRecord, train, train_options
from edgewright.workbench.train.tuning import Search, read_space

SPACE = read_space(
    {"train.lr": {"low": 1e-4, "high": 1e-1, "log": True}, "train.optimizer": ["adamw", "sgd"]},
    source="test",
)


def attempts(folder: Path, seen: list[dict[str, object]]) -> Callable[..., RunRecord]:
    samples = value_samples(folder)

    def attempt(options: Mapping[str, object], watch: Callable[[Progress], None]) -> RunRecord:
        seen.append(dict(options))
        raw = {key.removeprefix("train."): value for key, value in options.items()}
        chosen = train_options(
            ValueRecipe(),
            {"epochs": 2, "batch_size": 60, "threads": 1, "device": "cpu", **raw},
            source="test",
        )
        out = folder / f"run-{len(seen)}"
        return train(ValueRecipe(), samples, samples, chosen, out, on_progress=watch)

    return attempt


def search(folder: Path, name: str = "s", metric: str = "mae") -> Search:
    return Search(folder / "journal.log", name, SPACE, metric=metric)


def test_a_study_goes_on_where_it_was(tmp_path: Path) -> None:
    seen: list[dict[str, object]] = []
    search(tmp_path).run(attempts(tmp_path, seen), until=2, tell=lambda *_: None)
    again = search(tmp_path)
    assert again.done() == 2
    again.run(attempts(tmp_path, seen), until=4, tell=lambda *_: None)
    report = again.report()
    assert len(seen) == len(report.trials) == 4
    assert report.best is not None
    assert report.best.value == min(t.value for t in report.trials if t.value is not None)
    assert report.best.parameters > 0


def test_a_trial_of_a_killed_process_is_tried_again(tmp_path: Path) -> None:
    seen: list[dict[str, object]] = []

    def killed(*_: object) -> RunRecord:
        raise KeyboardInterrupt

    first = search(tmp_path)
    left = first._study.ask()
    options = {d.key: left.suggest_categorical(d.key, list(d.among)) for d in SPACE[1:]}
    options["train.lr"] = left.suggest_float("train.lr", 1e-4, 1e-1, log=True)
    later = search(tmp_path)
    assert later.recover() == 1
    later.run(attempts(tmp_path, seen), until=1, tell=lambda *_: None)
    assert seen[0] == options


def test_a_trial_that_explodes_is_recorded_with_its_reason(tmp_path: Path) -> None:
    def exploding(*_: object) -> RunRecord:
        raise GateError("the training loss", measured=float("nan"), limit=1e6)

    study = search(tmp_path)
    study.run(exploding, until=2, tell=lambda *_: None)
    report = study.report()
    assert report.best is None
    assert all("training loss is nan" in trial.stopped for trial in report.trials)


def test_another_space_under_the_same_name_is_refused(tmp_path: Path) -> None:
    search(tmp_path)
    with pytest.raises(InputError, match="searched something else before"):
        search(tmp_path, metric="pearson")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({}, "nothing to search"),
        ({"lr": [1]}, r"expected recipe\.KEY or train\.KEY"),
        ({"train.lr": 3}, "expected a list of values"),
        ({"train.lr": {"low": 2, "high": 1}}, "make no range"),
        ({"train.lr": {"low": 1, "hihg": 2}}, "did you mean 'high'"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(raw: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_space(raw, source="[tune.space]")


def test_trials_that_somebody_else_tries_are_in_the_same_study(tmp_path: Path) -> None:
    study = search(tmp_path)
    good, options = study.begin()
    assert set(options) == {"train.lr", "train.optimizer"}
    assert not study.hear(good, epoch=1, value=-0.5)
    study.end(good, value=-0.25, parameters=33)
    bad, _ = study.begin()
    study.stop(bad, why="the loss is nan")
    lost, tried = study.begin()
    study.fail(lost)
    assert study.begin()[1] == tried
    report = search(tmp_path).report()
    assert [trial.state for trial in report.trials] == ["complete", "pruned", "fail"]
    assert report.best is not None
    assert (report.best.value, report.best.parameters, report.best.epochs) == (0.25, 33, 1)
    assert report.trials[1].stopped == "the loss is nan"
    assert search(tmp_path).done() == 2


def test_a_trial_that_is_worse_than_the_others_is_given_up(tmp_path: Path) -> None:
    study = search(tmp_path)
    for _ in range(5):
        number, _ = study.begin()
        assert not any(study.hear(number, epoch=epoch, value=1.0) for epoch in (1, 2, 3, 4))
        study.end(number, value=1.0, parameters=1)
    number, _ = study.begin()
    heard = [study.hear(number, epoch=epoch, value=0.0) for epoch in (1, 2, 3, 4)]
    assert heard[-1]
    study.stop(number)
    assert "worse than the median" in study.report().trials[-1].stopped
