"""Searching options with Optuna (extra `tune`): parallel, resumable, pruned.

The search looks at the people that are watched while training, never at the test people. Trials lie
in a journal that several processes append to; one that was killed in the middle of a trial is tried
again by whoever opens the study next.

    >>> space = read_space({"train.lr": {"low": 1e-4, "high": 1e-2, "log": True},
    ...                     "recipe.architecture": ["har-quick", "gru"]}, source="[tune.space]")
    >>> [each.key for each in space]
    ['recipe.architecture', 'train.lr']
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from edgewright.contract.decoding import convert
from edgewright.errors import GateError, InputError, ResourceError
from edgewright.workbench.train.record import Progress, RunRecord
from edgewright.workbench.train.scores import better

logger = logging.getLogger(__name__)

Value = str | int | float | bool
Attempt = Callable[[Mapping[str, Value], Callable[[Progress], None]], RunRecord]
"""Trains with these options (`recipe.key` and `train.key`) and tells how far it is."""

_STARTUP_TRIALS = 4
_STOPPED = "stopped"


class Between(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number between two others; a whole one when both are whole."""

    low: int | float
    high: int | float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"low {self.low:g} and high {self.high:g} make no range")


class Dimension(msgspec.Struct, frozen=True, kw_only=True):
    """One option and what it may be."""

    key: str
    among: tuple[Value, ...] | Between


class TrialResult(msgspec.Struct, frozen=True, kw_only=True):
    """One trial; `value` is the metric on the people watched, absent where nothing came out."""

    number: int
    state: str
    options: dict[str, Value]
    value: float | None
    epochs: int
    seconds: float
    parameters: int
    stopped: str = ""


class TuneReport(msgspec.Struct, frozen=True, kw_only=True):
    """A study: every trial, the best one, and the best one of each architecture."""

    study: str
    metric: str
    trials: tuple[TrialResult, ...]
    best: TrialResult | None
    best_of: dict[str, TrialResult]
    schema_version: int = 1


def read_space(raw: Mapping[str, Any], *, source: str) -> tuple[Dimension, ...]:
    """The dimensions of a search, from a parsed table, sorted by key.

    Raises:
        InputError: a key that is neither of the recipe nor of training, or no range.
    """
    found = []
    for key, among in sorted(raw.items()):
        if key.partition(".")[0] not in ("recipe", "train") or "." not in key:
            raise InputError(
                f"{source}: {key!r}: expected recipe.KEY or train.KEY", hint='like "train.lr"'
            )
        if isinstance(among, list) and among:
            found.append(Dimension(key=key, among=tuple(among)))
        elif isinstance(among, Mapping):
            between = convert(dict(among), Between, source=f"{source}: {key}")
            found.append(Dimension(key=key, among=between))
        else:
            raise InputError(
                f"{source}: {key}: expected a list of values, or low and high",
                hint='like ["adamw", "sgd"] or { low = 1e-4, high = 1e-2, log = true }',
            )
    if not found:
        raise InputError(f"{source}: nothing to search", hint="name an option and its values")
    return tuple(found)


class Search:
    """A study in a journal file, opened by one of possibly several processes."""

    def __init__(
        self, journal: Path, name: str, space: Sequence[Dimension], *, metric: str, seed: int = 0
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        journal.parent.mkdir(parents=True, exist_ok=True)
        self._space, self.metric, self.name = tuple(space), metric, name
        self._open: dict[int, optuna.Trial] = {}
        self._study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(journal))),
            study_name=name,
            direction="maximize",
            load_if_exists=True,
            sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=True),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_STARTUP_TRIALS, n_warmup_steps=2),
        )
        described = msgspec.json.encode([self._space, metric]).decode()
        known = self._study.user_attrs.get("space")
        if known is None:
            self._study.set_user_attr("space", described)
        elif known != described:
            raise InputError(
                f"study {name!r} searched something else before",
                hint="name another one: --study NAME",
            )

    def recover(self) -> int:
        """Trials that a killed process left are tried again; returns how many. Only for the first
        process of a study.
        """
        left = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for trial in left:
            self._study.tell(trial.number, state=TrialState.FAIL)
            if trial.params:
                self._study.enqueue_trial(trial.params)
        return len(left)

    def done(self) -> int:
        """Trials that came to an end."""
        states = (TrialState.COMPLETE, TrialState.PRUNED)
        return len(self._study.get_trials(deepcopy=False, states=states))

    def run(self, attempt: Attempt, *, until: int, tell: Callable[[str, float], None]) -> None:
        """Try until so many trials of the study are done, here or by other processes."""

        def objective(trial: optuna.Trial) -> float:
            options = {each.key: _suggested(trial, each) for each in self._space}

            def watch(progress: Progress) -> None:
                share = (self.done() + progress.step / max(progress.steps, 1)) / until
                tell(f"trial {trial.number}: epoch {progress.epoch}", min(share, 1.0))
                if progress.epoch_done is not None:
                    self._prune(trial, progress)

            try:
                record = attempt(options, watch)
            except (GateError, ResourceError, InputError) as error:
                trial.set_user_attr(_STOPPED, str(error))
                raise optuna.TrialPruned(str(error)) from error
            trial.set_user_attr("parameters", record.parameters)
            return score_of(record.val.headline, record.val.loss, self.metric)

        def stop_when_done(study: optuna.Study, _: FrozenTrial) -> None:
            if self.done() >= until:
                study.stop()

        if self.done() < until:
            self._study.optimize(objective, n_trials=until, callbacks=[stop_when_done])

    def begin(self) -> tuple[int, dict[str, Value]]:
        """A trial for somebody else to try: its number, and what to try."""
        trial = self._study.ask()
        self._open[trial.number] = trial
        return trial.number, {each.key: _suggested(trial, each) for each in self._space}

    def hear(self, number: int, *, epoch: int, value: float) -> bool:
        """How a begun trial does after an epoch; whether it is to be given up."""
        return _is_given_up(self._open[number], epoch=epoch, value=value)

    def end(self, number: int, *, value: float, parameters: int) -> None:
        """A begun trial came to its end."""
        trial = self._open.pop(number)
        trial.set_user_attr("parameters", parameters)
        self._study.tell(trial, value)

    def stop(self, number: int, *, why: str = "") -> None:
        """A begun trial was given up, or stopped for a reason."""
        trial = self._open.pop(number)
        if why:
            trial.set_user_attr(_STOPPED, why)
        self._study.tell(trial, state=TrialState.PRUNED)

    def fail(self, number: int) -> None:
        """A begun trial was lost: its options are tried again."""
        trial = self._open.pop(number)
        self._study.tell(trial, state=TrialState.FAIL)
        self._study.enqueue_trial(trial.params)

    def report(self) -> TuneReport:
        """What the study found so far.

        Raises:
            InputError: every trial was stopped, with the reason of the last one.
        """
        trials = tuple(
            self._result(trial)
            for trial in self._study.get_trials(deepcopy=False)
            if trial.state.is_finished()
        )
        whole = [each for each in trials if each.state == "complete" and each.value is not None]
        ranked = sorted(whole, key=lambda t: -better(self.metric, t.value or 0.0))
        best_of: dict[str, TrialResult] = {}
        for each in ranked:
            best_of.setdefault(str(each.options.get("recipe.architecture", "")), each)
        best_of.pop("", None)
        return TuneReport(
            study=self.name,
            metric=self.metric,
            trials=trials,
            best=ranked[0] if ranked else None,
            best_of=best_of,
        )

    def _prune(self, trial: optuna.Trial, progress: Progress) -> None:
        done = progress.epoch_done
        assert done is not None  # noqa: S101 - asked by the caller
        value = score_of(done.val, done.val_loss, self.metric)
        if _is_given_up(trial, epoch=done.epoch, value=value):
            raise optuna.TrialPruned

    def _result(self, trial: FrozenTrial) -> TrialResult:
        value = trial.value if trial.value is not None and math.isfinite(trial.value) else None
        began, ended = trial.datetime_start, trial.datetime_complete
        return TrialResult(
            number=trial.number,
            state=trial.state.name.lower(),
            options=dict(trial.params),
            value=None if value is None else better(self.metric, value),
            epochs=max(trial.intermediate_values, default=0),
            seconds=(ended - began).total_seconds() if began and ended else 0.0,
            parameters=int(trial.user_attrs.get("parameters", 0)),
            stopped=str(trial.user_attrs.get(_STOPPED, "")),
        )


def score_of(scores: Mapping[str, float], loss: float, metric: str) -> float:
    """What a search compares: more is better, whatever the metric."""
    return better(metric, loss if metric == "loss" else scores[metric])


def _is_given_up(trial: optuna.Trial, *, epoch: int, value: float) -> bool:
    trial.report(value, epoch)
    is_worse = bool(trial.should_prune())
    if is_worse:
        trial.set_user_attr(_STOPPED, f"worse than the median after epoch {epoch}")
    return is_worse


def _suggested(trial: optuna.Trial, dimension: Dimension) -> Value:
    among = dimension.among
    chosen: Value
    if isinstance(among, tuple):
        chosen = trial.suggest_categorical(dimension.key, list(among))
    elif isinstance(among.low, int) and isinstance(among.high, int):
        chosen = trial.suggest_int(dimension.key, among.low, among.high, log=among.log)
    else:
        low, high = float(among.low), float(among.high)
        chosen = trial.suggest_float(dimension.key, low, high, log=among.log)
    return chosen
