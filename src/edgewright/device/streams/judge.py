"""What a model says of one window or picture, and what is held to be true after it."""

from edgewright.device.streams.base import Array, Predictor, Result
from edgewright.device.streams.debounce import Held, Rule, advance
from edgewright.device.streams.plan import Answering, read_answer
from edgewright.errors import InputError


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
        self.judged = self.refused = self.changes = 0

    def judge(self, values: Array, *, start_s: float, end_s: float) -> Result:
        """The result of one window, or of one picture.

        Raises:
            DeviceError: the model cannot answer.
        """
        self.judged += 1
        label, score, refused, outputs = "", None, "", {}
        try:
            outputs = self._predictor.predict(
                {self._answering.tensor: values[None].astype(self._answering.dtype)}
            )
            label, score = read_answer(outputs, self._answering)
        except InputError as error:
            refused = str(error)
            self.refused += 1
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
