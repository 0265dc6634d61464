"""Training: one readable loop in plain torch, and the record of what came out of it.

What is written is enough to make the run again: options, data hash, split, seed, versions, and the
scores of every epoch. A run that is killed resumes after its last whole epoch and ends with the
same numbers. Scores are on people that were not trained on, with an interval over people.

    >>> TrainOptions(epochs=0)
    Traceback (most recent call last):
    ...
    ValueError: epochs is 0, expected above 0
"""

from edgewright.workbench.train.evaluation import evaluate, evaluate_task, predict
from edgewright.workbench.train.loop import train
from edgewright.workbench.train.mask_metrics import MaskMetrics
from edgewright.workbench.train.metrics import ClassScore, GroupScore, Metrics, score
from edgewright.workbench.train.options import TrainOptions, train_options
from edgewright.workbench.train.record import EpochRecord, Progress, RunOrigin, RunRecord
from edgewright.workbench.train.runs import load_record, load_run, read_scores, weights_hash
from edgewright.workbench.train.scores import Scores
from edgewright.workbench.train.value_metrics import ValueMetrics

__all__ = [
    "ClassScore",
    "EpochRecord",
    "GroupScore",
    "MaskMetrics",
    "Metrics",
    "Progress",
    "RunOrigin",
    "RunRecord",
    "Scores",
    "TrainOptions",
    "ValueMetrics",
    "evaluate",
    "evaluate_task",
    "load_record",
    "load_run",
    "predict",
    "read_scores",
    "score",
    "train",
    "train_options",
    "weights_hash",
]
