"""A search whose trials run on Ray Tune (extra `ray`), on this machine or on a cluster's.

The study stays the one journal of the project: Ray Tune asks it what to try next and tells it every
epoch, so that it is stopped, resumed and reported as without Ray. Workers read the project and its
data stage from the folder, which all machines of a cluster must see at the same path.
"""

import contextlib
import sys
from collections.abc import Callable
from typing import Any

import ray
import ray.tune
from ray.tune.search import ConcurrencyLimiter, Searcher

from edgewright.chain.ray_node import interruptible, ray_running
from edgewright.chain.tuning import TuneOrder, attempt_of
from edgewright.contract import decode_json, encode_json
from edgewright.errors import GateError, InputError, ResourceError
from edgewright.workbench.train import Progress
from edgewright.workbench.train.tuning import Search, score_of

Tell = Callable[[str, float], None]

_EPOCH, _VALUE, _PARAMETERS, _WHY = "epoch", "value", "parameters", "why"


def search_on_ray(order: TuneOrder, search: Search, *, tell: Tell) -> None:
    """Try until the study has so many trials, `order.jobs` at a time.

    Raises:
        UnavailableError: the cluster does not answer, or a node does not start here.
        ResourceError: a trial's process failed.
    """
    study = _Study(search, order, tell)
    with ray_running(order.jobs + 1, cluster=order.cluster):
        tuner = ray.tune.Tuner(
            ray.tune.with_resources(_try, {"cpu": 1}),
            tune_config=ray.tune.TuneConfig(
                search_alg=ConcurrencyLimiter(_Asking(study), order.jobs), num_samples=-1
            ),
            run_config=ray.tune.RunConfig(
                storage_path=str(order.desk), stop=_Judging(study), verbose=0
            ),
        )
        # Ray Tune prints what it is about to do, and stdout is for results.
        with interruptible(), contextlib.redirect_stdout(sys.stderr):
            tuner.fit()
    if study.fault:
        raise ResourceError(
            f"a trial on Ray failed: {study.fault}",
            hint="run the command again: it goes on where it was",
        )


class _Study:
    """The study, as Ray Tune's two ends share it: trials by Ray's names."""

    def __init__(self, search: Search, order: TuneOrder, tell: Tell) -> None:
        self.search = search
        self.order = order
        self._tell = tell
        self._numbers: dict[str, int] = {}
        self.fault = ""

    def ask(self, name: str) -> dict[str, Any] | str:
        """What a new trial is to try; the word that ends it all when there are enough."""
        if self.fault or self.search.done() >= self.order.trials:
            return str(Searcher.FINISHED)
        if self.search.done() + len(self._numbers) >= self.order.trials:
            return ""
        number, options = self.search.begin()
        self._numbers[name] = number
        order = encode_json(self.order).decode()
        return {"order": order, "options": options, "metric": self.search.metric}

    def is_over(self, name: str, told: dict[str, Any]) -> bool:
        """Hear of an epoch; whether the trial is to be stopped."""
        number = self._numbers.get(name)
        if number is None or _EPOCH not in told or _WHY in told or _PARAMETERS in told:
            return False
        share = min(self.search.done() / self.order.trials, 1.0)
        self._tell(f"trial {number}: epoch {told[_EPOCH]}", share)
        return self.search.hear(number, epoch=told[_EPOCH], value=told[_VALUE])

    def end(self, name: str, told: dict[str, Any] | None) -> None:
        """Hear how a trial ended."""
        number = self._numbers.pop(name, None)
        if number is None:
            return
        if told is None:
            self.fault = self.fault or f"trial {number} ended without a word"
            self.search.fail(number)
        elif _PARAMETERS in told:
            self.search.end(number, value=told[_VALUE], parameters=told[_PARAMETERS])
        else:
            self.search.stop(number, why=told.get(_WHY, ""))


class _Asking(Searcher):  # type: ignore[misc]  # Ray is read as untyped
    """Ray's questions. Ray keeps copies of it, which hold nothing: the journal keeps the study."""

    def __init__(self, study: _Study | None = None) -> None:
        super().__init__()
        self._study = study

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return _Asking, ()

    def suggest(self, trial_id: str) -> Any:
        return (self._study.ask(trial_id) or None) if self._study else Searcher.FINISHED

    def on_trial_complete(
        self,
        trial_id: str,
        result: dict[str, Any] | None = None,
        error: bool = False,  # noqa: FBT001, FBT002 - Ray's signature
    ) -> None:
        if self._study:
            self._study.end(trial_id, None if error else result)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to keep."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to fetch."""


class _Judging(ray.tune.Stopper):  # type: ignore[misc]  # likewise
    """Ray's reports; stops what the study gives up."""

    def __init__(self, study: _Study | None = None) -> None:
        self._study = study

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return _Judging, ()

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self._study is not None and self._study.is_over(trial_id, result)

    def stop_all(self) -> bool:
        return False


def _try(config: dict[str, Any]) -> None:
    """One trial, in a process of Ray's."""
    metric = config["metric"]
    attempt = attempt_of(decode_json(config["order"].encode(), TuneOrder, source="the order"))

    def watch(progress: Progress) -> None:
        done = progress.epoch_done
        if done is not None:
            value = score_of(done.val, done.val_loss, metric)
            ray.tune.report({_EPOCH: done.epoch, _VALUE: value})

    try:
        record = attempt(config["options"], watch)
    except (GateError, ResourceError, InputError) as error:
        ray.tune.report({_WHY: str(error)})
        return
    value = score_of(record.val.headline, record.val.loss, metric)
    ray.tune.report({_VALUE: value, _PARAMETERS: record.parameters})
