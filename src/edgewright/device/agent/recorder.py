"""Where an update's steps go: the journal first, then the outbox that tells the fleet."""

from collections.abc import Callable

from edgewright.device.agent.journal import Journal
from edgewright.device.agent.outbox import Outbox
from edgewright.device.agent.progress import Progress
from edgewright.telemetry import Record


class Recorder:
    """Keeps every step for good; a step is in the outbox at the latest after the next start."""

    def __init__(self, journal: Journal, outbox: Outbox) -> None:
        self.journal = journal
        self.outbox = outbox
        self.on_step: Callable[[], None] = _nothing
        outbox.catch_up(journal.lines)

    def write(self, progress: Progress) -> None:
        """Keep one step.

        Raises:
            ResourceError: the journal cannot be written; the step did not happen.
        """
        self.outbox.add_step(self.journal.write(progress))
        self.on_step()

    def tell(self, make: Callable[[str, int], Record]) -> None:
        """Have the fleet told something beside the steps; `make` is given device and number.

        Raises:
            ResourceError: the outbox cannot be written.
        """
        self.outbox.add(make)
        self.on_step()


def _nothing() -> None:
    return
