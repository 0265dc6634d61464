"""The learning rate as a pure function of the step, so that a resumed run has nothing to restore.

>>> options = TrainOptions(lr=1.0, schedule="cosine", warmup_share=0.5)
>>> [round(lr_at(step, steps_an_epoch=2, options=options), 3) for step in (0, 29, 44, 59)]
[0.033, 1.0, 0.552, 0.003]
"""

import math

from edgewright.workbench.train.options import TrainOptions

_START_SHARE = 0.04
_STEP_FACTOR = 0.1


def lr_at(step: int, *, steps_an_epoch: int, options: TrainOptions) -> float:
    """The learning rate of a step, counted from 0 over the whole run."""
    total = options.epochs * steps_an_epoch
    warm = round(options.warmup_share * total)
    after = (step - warm) / max(total - warm, 1)
    if step < warm:
        if options.schedule == "one-cycle":
            return options.lr * (_START_SHARE + (1 - _START_SHARE) * _rise(step / warm))
        return options.lr * (step + 1) / warm
    match options.schedule:
        case "constant":
            return options.lr
        case "step":
            return options.lr * _STEP_FACTOR ** int(after * 3)
        case "restarts":
            cycle = options.restart_epochs * steps_an_epoch
            return options.lr * (1 - _rise((step - warm) % cycle / cycle))
        case "one-cycle" | "cosine":
            return options.lr * (1 - _rise(after))


def _rise(share: float) -> float:
    """From 0 to 1 along half a cosine."""
    return 0.5 * (1 - math.cos(math.pi * share))
