"""Where an update's steps go: the journal first, then the outbox that tells the fleet. A step that
the outbox has no room for is told with the next one that it takes: it hinders no update, and no
start.
"""

import logging
from collections.abc import Callable

from edgewright.device.agent.journal import Journal
from edgewright.device.agent.outbox import Outbox
from edgewright.device.agent.progress import Progress
from edgewright.errors import ResourceError
from edgewright.telemetry import Record

_log = logging.getLogger(__name__)


class Recorder:
    """Keeps every step for good; a step is in the outbox as soon as that can be written."""

    def __init__(self, journal: Journal, outbox: Outbox) -> None:
        self.journal = journal
        self.outbox = outbox
        self.on_step: Callable[[], None] = _nothing
        self._catch_up()

    def write(self, progress: Progress) -> None:
        """Keep one step.

        Raises:
            ResourceError: the journal cannot be written; the step did not happen.
        """
        self.journal.write(progress)
        self._catch_up()
        self.on_step()

    def tell(self, make: Callable[[str, int], Record]) -> None:
        """Have the fleet told something beside the steps; `make` is given device and number.

        Raises:
            ResourceError: the outbox cannot be written.
        """
        self.outbox.add(make)
        self.on_step()

    def _catch_up(self) -> None:
        try:
            self.outbox.catch_up(self.journal.lines)
        except ResourceError as error:
            _log.warning("the fleet is told later: %s", error)


def _nothing() -> None:
    return
