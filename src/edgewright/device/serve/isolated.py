"""A model in a process of its own that may use so much memory. What uses more, crashes or hangs is
ended and started again; until it is back its requests are refused, and other models never notice.
"""

import logging
import threading
from collections.abc import Callable

from edgewright.contract import Contract
from edgewright.device.serve.child_model import (
    REFUSED,
    CandidateError,
    ChildModel,
    resident_mb,
)
from edgewright.device.serve.ports import Array, Arrays, Timer
from edgewright.errors import DeviceError, EdgewrightError, InputError, TransportError

logger = logging.getLogger(__name__)

WATCH_S = 0.05
PATIENCE_S = 10.0
PATIENCE_RUNS = 20.0
PAUSES_S = (0.1, 1.0, 5.0, 15.0, 30.0)
"""How long to wait before the first, second, ... start in a row."""
_SETTLED_S = 60.0
"""A child that lived this long begins with the first pause again."""

Start = Callable[[], ChildModel]
"""Starts a child that has loaded the model. Raises EdgewrightError."""


class RestartingError(TransportError):
    """The model's process ended and is being started again."""


class Isolated:
    """A `Model` behind a limit of memory."""

    def __init__(self, start: Start, *, limit_mb: float, timer: Timer) -> None:
        self.limit_mb = limit_mb
        self.restarts = 0
        self._start = start
        self._timer = timer
        self._patience_s: float | None = None
        self._child = start()
        self.contract: Contract = self._child.contract
        self._born_s = timer()
        self._row = 0
        used_mb = resident_mb(self._child.pid)
        if used_mb > limit_mb:
            self._child.close()
            raise DeviceError(
                f"the model uses {used_mb:.0f} MB once it is loaded, its limit is {limit_mb:g} MB",
                hint="raise the limit; it counts the whole process, interpreter and engine too",
            )
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="serve-isolated", daemon=True)
        self._thread.start()

    @property
    def used_mb(self) -> float:
        """Resident memory of its process now; 0 while there is none."""
        return 0.0 if self._child.broken else resident_mb(self._child.pid)

    def settle(self, pass_s: float) -> None:
        """From now on no pass may take longer than many times this."""
        self._patience_s = max(PATIENCE_S, PATIENCE_RUNS * pass_s)
        self._child.patience_s = self._patience_s

    def predict_checked(self, arrays: Arrays) -> dict[str, Array]:
        """The answer of the process.

        Raises:
            RestartingError: it is being started again.
            InputError: the contract's own steps refuse the request.
            DeviceError: the engine failed.
        """
        child = self._child
        try:
            return child.predict_checked(arrays)
        except CandidateError as error:
            if child.broken:
                raise RestartingError(
                    f"the model is being started again: {child.broken}", hint="ask again later"
                ) from error
            if error.kind == REFUSED:
                raise InputError(str(error)) from error
            raise

    def close(self) -> None:
        """End the process."""
        self._is_over.set()
        self._thread.join()
        self._child.close()

    def _watch(self) -> None:
        while not self._is_over.wait(WATCH_S):
            child = self._child
            used_mb = 0.0 if child.broken else resident_mb(child.pid)
            if used_mb > self.limit_mb:
                child.end(f"it used {used_mb:.0f} MB, its limit is {self.limit_mb:g} MB")
            if child.broken or child.has_ended():
                self._start_again(child)

    def _start_again(self, ended: ChildModel) -> None:
        lived_s = self._timer() - self._born_s
        self._row = 0 if lived_s > _SETTLED_S else min(self._row, len(PAUSES_S) - 1)
        pause_s = PAUSES_S[self._row]
        self._row += 1
        logger.warning("model ended: reason=%s pause_s=%g", ended.broken, pause_s)
        if self._is_over.wait(pause_s):
            return
        try:
            child = self._start()
        except (EdgewrightError, OSError) as error:
            self._born_s = self._timer()
            logger.warning("model cannot be started again: error=%s", error)
            return
        ended.close()
        if self._patience_s is not None:
            child.patience_s = self._patience_s
        self._born_s = self._timer()
        self.restarts += 1
        self._child = child
