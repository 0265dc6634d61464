"""What variants are judged on: the data, read and divided, and how answers become points."""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import numpy as np

from edgewright.errors import DeviceError, InputError
from edgewright.runtimes.base import Array, EngineTensor, Session
from edgewright.workbench.optimize.labelled import (
    Labelled,
    divide,
    read_calibration,
    read_evaluation,
)
from edgewright.workbench.optimize.options import OptimizeOptions
from edgewright.workbench.optimize.report import Split
from edgewright.workbench.optimize.trial import Judge
from edgewright.workbench.verify import choose_metric, pick_answer, run_rows

Tensors = tuple[tuple[EngineTensor, ...], tuple[EngineTensor, ...]]
"""The model's inputs and outputs."""


class SearchData(msgspec.Struct, frozen=True, kw_only=True):
    """What variants are judged on."""

    select: Labelled
    confirm: Labelled
    judge: Judge

    def points(self, answer: Callable[[Mapping[str, Array]], dict[str, Array]]) -> float:
        """The metric on the select set, of whatever answers."""
        answers = answer(self.select.inputs)[self.judge.output]
        metric = self.judge.metric
        return metric.value(metric.sample_scores(answers, self.select.labels))

    def one_row(self) -> dict[str, Array]:
        """A single sample."""
        return {name: array[:1] for name, array in self.select.inputs.items()}


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """All that the two files gave, and what the model takes and answers."""

    data: SearchData
    calibration: dict[str, Array]
    split: Split
    tensors: Tensors


def read_data(
    model: Path,
    calibration: Path,
    evaluation: Path,
    options: OptimizeOptions,
    open_file: Callable[[Path], Session],
) -> Evaluation:
    """The model answers the evaluation rows once, which shows what is judged.

    Raises:
        InputError: the data do not suit the model.
    """
    session = open_file(model)
    tensors = (session.inputs, session.outputs)
    try:
        calib = read_calibration(calibration, session.inputs)
        labelled = read_evaluation(evaluation, session.inputs)
        metric = choose_metric(labelled.labels, options.metric)
        answers = _asked(session, labelled, model, evaluation)
        output = pick_answer(answers, metric, labelled.labels)
    finally:
        session.close()
    _check_finite(answers[output], output, model)
    select, confirm, split = divide(labelled, np.random.default_rng(options.seed))
    data = SearchData(select=select, confirm=confirm, judge=Judge(metric=metric, output=output))
    return Evaluation(data=data, calibration=calib, split=split, tensors=tensors)


def _asked(session: Session, labelled: Labelled, model: Path, evaluation: Path) -> dict[str, Array]:
    try:
        return run_rows(session, labelled.inputs)
    except DeviceError as error:
        raise InputError(
            f"{model} does not answer the rows of {evaluation}: {error.message}",
            hint="are they what the model was made for?",
        ) from error


def _check_finite(answers: Array, output: str, model: Path) -> None:
    """Before anything is made: a search for what equals NaN would last minutes and find nothing."""
    if answers.dtype.kind == "f" and not np.isfinite(answers).all():
        finite = np.isfinite(answers.reshape(len(answers), -1)).all(axis=1)
        raise InputError(
            f"{model}: output {output!r} holds NaN or infinity in {np.sum(~finite)} of "
            f"{len(answers)} evaluation rows (first in row {int(np.argmin(finite))})",
            hint="mend the model first; there is nothing to compare variants with",
        )
