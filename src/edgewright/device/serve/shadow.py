"""A model in another's shadow: it is asked what the other has answered, beside the serving, and
both answers are compared.

The event loop only drops a reference into a short queue; where that is full the pass goes by and is
counted, so that a slow shadow slows nobody.
"""

import contextlib
import logging
import queue
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from edgewright.contract import Contract
from edgewright.device.serve.passes import Mirror
from edgewright.device.serve.ports import Array, Arrays
from edgewright.device.serve.serving import ServedModel
from edgewright.device.serve.trial import BATCH, joins_rows
from edgewright.errors import EdgewrightError
from edgewright.evidence.parity import compare

logger = logging.getLogger(__name__)

WAITING_MOST = 4
KEPT_TIMES = 2048

_Mirrored = tuple[Arrays, Arrays, float]
Predict = Callable[[Arrays], Arrays]


class Comparing:
    """A thread that asks a model what another one answered. Its counts are changed in that thread,
    `skipped` in the event loop.
    """

    def __init__(
        self, contract: Contract, predict: Predict, *, note: Callable[[EdgewrightError], None]
    ) -> None:
        self.passes = self.agreed_passes = 0
        self.rows = self.agreed_rows = 0
        self.skipped = 0
        self.old_run_s: deque[float] = deque(maxlen=KEPT_TIMES)
        self._contract = contract
        self._predict = predict
        self._note = note
        self._is_over = False
        self._waiting: queue.Queue[_Mirrored | None] = queue.Queue(maxsize=WAITING_MOST)
        self._thread = threading.Thread(target=self._compare_all, name="serve-shadow", daemon=True)
        self._thread.start()

    def mirror(self, inputs: Arrays, outputs: Arrays, run_s: float) -> None:
        """The other model answered this; compare when there is time, else let it pass."""
        try:
            self._waiting.put_nowait((inputs, outputs, run_s))
        except queue.Full:
            self.skipped += 1

    def stop(self) -> None:
        """The thread ends after what it does now; mirrored passes that wait are dropped."""
        self._is_over = True
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join()

    def _compare_all(self) -> None:
        while (mirrored := self._waiting.get()) is not None and not self._is_over:
            inputs, outputs, run_s = mirrored
            self.old_run_s.append(run_s)
            try:
                answer = self._predict(inputs)
                agreed, rows = agreeing_rows(self._contract, outputs, answer)
            except EdgewrightError as error:
                self._note(error)
                continue
            self.passes += 1
            self.agreed_passes += agreed == rows
            self.rows += rows
            self.agreed_rows += agreed
        # Who is noted to holds this in turn: without the collector both would stay.
        del self._predict, self._note


class Shadow:
    """A loaded version that answers nobody and is compared with those that do."""

    def __init__(self, model: ServedModel) -> None:
        self.model = model
        self.failed = Counter[str]()
        servable = model.servable
        self.comparing = Comparing(
            servable.model.contract, servable.model.predict_checked, note=self._note_failure
        )

    def _note_failure(self, error: EdgewrightError) -> None:
        kind = type(error).__name__.removesuffix("Error").lower()
        if not self.failed[kind]:
            logger.warning(
                "shadow failed: model=%s version=%s error=%s",
                *(self.model.name, self.model.version, error),
            )
        self.failed[kind] += 1


def mirror_to(shadows: Sequence[Shadow]) -> Mirror | None:
    """One mirror for all of them; None without any."""
    mirrors = [shadow.comparing.mirror for shadow in shadows]
    if len(mirrors) < 2:
        return mirrors[0] if mirrors else None
    return partial(_mirror_to_all, mirrors)


def agreeing_rows(contract: Contract, old: Arrays, new: Arrays) -> tuple[int, int]:
    """On how many rows two models say the same, and how many there are; a model that has no rows of
    its own for each request gives one.
    """
    rows = len(next(iter(old.values()))) if joins_rows(contract) else 1
    if agrees(contract, old, new):
        return rows, rows
    if rows == 1 or any(len(new[name]) != len(array) for name, array in old.items()):
        return 0, rows
    each = (agrees(contract, _row(old, row), _row(new, row)) for row in range(rows))
    return sum(each), rows


def agrees(contract: Contract, old: Arrays, new: Arrays) -> bool:
    """Whether two models say the same: within the contract's tolerances, or, where an output holds
    scores, with the same best place.
    """
    if compare(old, new, contract.tolerances).ok:
        return True
    one_each = {tensor.name for tensor in contract.outputs if tensor.shape == (BATCH,)}
    return all(
        _same_choice(array, new[name], has_places=name not in one_each)
        for name, array in old.items()
    )


def is_compatible(old: Contract, new: Contract) -> bool:
    """Whether one may answer for the other: the same tensors at both doors."""
    return _doors(old) == _doors(new)


def _mirror_to_all(
    mirrors: Sequence[Mirror], inputs: Arrays, outputs: Arrays, run_s: float
) -> None:
    for mirror in mirrors:
        mirror(inputs, outputs, run_s)


def _row(arrays: Arrays, row: int) -> dict[str, Array]:
    return {name: array[row : row + 1] for name, array in arrays.items()}


def _doors(contract: Contract) -> tuple[tuple[str, str, tuple[int | str, ...]], ...]:
    return tuple((t.name, t.dtype, t.shape) for t in (*contract.inputs, *contract.outputs))


def _same_choice(old: Array, new: Array, *, has_places: bool) -> bool:
    """Without places a row is one number, and the last axis counts the rows."""
    if old.shape != new.shape:
        return False
    if old.dtype.kind != "f":
        return bool(np.array_equal(old, new))
    if not has_places or old.ndim == 0 or old.shape[-1] < 2:
        return False
    return bool(np.array_equal(old.argmax(axis=-1), new.argmax(axis=-1)))
