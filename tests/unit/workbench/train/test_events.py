from pathlib import Path

import pytest

pytest.importorskip("tensorboard", reason="absent: tensorboard (extra tensorboard)")

from edgewright.testing import FakeClock
from edgewright.workbench.train.events import Events
from edgewright.workbench.train.record import EpochRecord, Progress


def progress(step: int, done: EpochRecord | None = None) -> Progress:
    return Progress(
        epoch=1,
        epochs=1,
        step=step,
        steps=20,
        loss=2.0 / step,
        lr=0.01,
        rows_per_s=500.0,
        memory_mb=123,
        eta_s=9.0,
        epoch_done=done,
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_back_what_was_written(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = Events(tmp_path, clock=FakeClock())
    events(progress(10))
    done = EpochRecord(epoch=1, lr=0.01, train_loss=0.2, val_loss=0.3, val={"accuracy": 0.75})
    events(progress(20, done))
    events.close()
    read = EventAccumulator(str(tmp_path))
    read.Reload()
    assert [(e.step, e.value) for e in read.Scalars("train/loss")] == [(10, pytest.approx(0.2))]
    assert [(e.step, e.value) for e in read.Scalars("watched/accuracy")] == [(20, 0.75)]
    assert set(read.Tags()["scalars"]) == {
        "train/loss",
        "train/lr",
        "speed/rows_per_s",
        "memory/mb",
        "watched/loss",
        "watched/accuracy",
    }
