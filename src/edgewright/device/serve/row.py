"""One row after another, in tensors that stay where they are: a lone client's way through a tiny
model, where making and wrapping arrays costs more than the model.
"""

import numpy as np
import orjson

from edgewright.device.serve.ports import Arrays, Bindable, Bound, Model
from edgewright.device.serve.tensors import InputForm
from edgewright.steps import compile_values

_NUMPY = orjson.OPT_SERIALIZE_NUMPY


class Row:
    """Takes one row's numbers and gives one row's text. Whatever is wrong is raised."""

    __slots__ = ("_accepts", "_buffer", "_numbers", "_place", "inputs", "outputs", "run")

    def __init__(self, bound: Bound, form: InputForm) -> None:
        (place,), (answer,) = bound.inputs.values(), bound.outputs.values()
        self.inputs: Arrays = bound.inputs
        self.outputs: Arrays = bound.outputs
        self._buffer = place.data.cast("B")
        self._place = place
        self._accepts = compile_values(form.tensor)
        self.run = bound.run
        """Let the model answer them."""
        self._numbers = answer.reshape(-1)

    def take(self, content: bytes) -> None:
        """Put packed numbers where the model reads them, if they are in contract."""
        self._buffer[:] = content
        if not self._accepts(self._place):
            raise ValueError("not in contract")

    def text(self) -> bytes:
        """The answer's numbers as JSON, without the brackets."""
        return orjson.dumps(self._numbers, option=_NUMPY)[1:-1]

    def copies(self) -> tuple[Arrays, Arrays]:
        """What was asked and answered, for whoever keeps it beyond the next row."""
        return (
            {name: array.copy() for name, array in self.inputs.items()},
            {name: array.copy() for name, array in self.outputs.items()},
        )


def bind_row(model: Model, form: InputForm, shape: tuple[int, ...]) -> Row | None:
    """A row of this shape through this model; None where the model has no such way."""
    if not isinstance(model, Bindable):
        return None
    bound = model.bind({form.name: np.zeros(shape, form.dtype)})
    if bound is None or len(bound.inputs) != 1 or len(bound.outputs) != 1:
        return None
    return Row(bound, form)
