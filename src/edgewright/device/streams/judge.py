"""What a model says of one window or picture, and what is held to be true after it.

A model that fails at one window says so in the result, and the stream goes on: a broker that keeps
messages would give the same one again after each start, for ever. One that fails at `MOST_FAILURES`
in a row ends the stream.
"""

import logging

from edgewright.device.streams.base import Array, Predictor, Result
from edgewright.device.streams.debounce import Held, Rule, advance
from edgewright.device.streams.plan import Answering, read_answer
from edgewright.errors import DeviceError, InputError

logger = logging.getLogger(__name__)

MOST_FAILURES = 10


class Judge:
    """One sensor, one model."""

    def __init__(
        self, answering: Answering, rule: Rule, predictor: Predictor, *, model: str, key: str
    ) -> None:
        self._answering = answering
        self._rule = rule
        self._predictor = predictor
        self._model = model
        self._key = key
        self._held = Held()
        self._failures = 0
        self._is_told = False
        self.judged = self.refused = self.changes = 0

    def judge(self, values: Array, *, start_s: float, end_s: float) -> Result:
        """The result of one window, or of one picture.

        Raises:
            DeviceError: the model cannot answer, time after time.
        """
        self.judged += 1
        label, score, refused, outputs = "", None, "", {}
        try:
            outputs = self._predictor.predict(
                {self._answering.tensor: values[None].astype(self._answering.dtype)}
            )
            label, score = read_answer(outputs, self._answering)
            self._failures = 0
        except InputError as error:
            refused = str(error)
            self.refused += 1
        except DeviceError as error:
            refused = str(error)
            self.refused += 1
            self._count_failure(error)
        before = self._held.label
        self._held = advance(self._held, label=label, score=score or 0.0, rule=self._rule)
        changed = self._held.label != before
        self.changes += changed
        return Result(
            model=self._model,
            key=self._key,
            start_s=start_s,
            end_s=end_s,
            label=label,
            score=score,
            state=self._held.label,
            changed=changed,
            refused=refused,
            outputs={} if label else {name: array[0].tolist() for name, array in outputs.items()},
        )

    def _count_failure(self, error: DeviceError) -> None:
        self._failures += 1
        if self._failures >= MOST_FAILURES:
            raise error
        if not self._is_told:
            self._is_told = True
            logger.warning("%s cannot answer a window: %s", self._model, error)
