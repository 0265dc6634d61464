"""TensorBoard events of a run (extra `tensorboard`)."""

from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from edgewright.clock import Clock, SystemClock
from edgewright.workbench.train.record import Progress


class Events:
    """Call it with every progress; it appends to an event file in the folder."""

    def __init__(self, folder: Path, *, clock: Clock | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = EventFileWriter(str(folder))
        self._clock = clock or SystemClock()

    def __call__(self, progress: Progress) -> None:
        if progress.epoch_done is None:
            values = {
                "train/loss": progress.loss,
                "train/lr": progress.lr,
                "speed/rows_per_s": progress.rows_per_s,
                "memory/mb": float(progress.memory_mb),
            }
        else:
            done = progress.epoch_done
            values = {"watched/loss": done.val_loss}
            values |= {f"watched/{name}": value for name, value in done.val.items()}
        summary = Summary(
            value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        )
        event = Event(wall_time=self._clock.wall_s(), step=progress.step, summary=summary)
        self._writer.add_event(event)

    def close(self) -> None:
        """Write what is waiting."""
        self._writer.close()
