"""Several models that answer as one: what a server asks is an ensemble like any model.

A part keeps its contract at its own doors. What a part refuses of the client's own tensors is the
client's to mend; what it refuses of another part's answer is a fault of the ensemble.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from edgewright.contract import Contract
from edgewright.contract.ensemble import Ensemble, Stage, check_wiring, first_hand
from edgewright.errors import DeviceError, InputError
from edgewright.runtimes.base import Array
from edgewright.steps import compile_checks, compile_postprocess, compile_preprocess

_Run = Callable[[Mapping[str, Array]], dict[str, Array]]


class Part(Protocol):
    """A model of an ensemble."""

    @property
    def contract(self) -> Contract:
        """What it takes and gives."""

    def predict_checked(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Its outputs for checked inputs."""

    def close(self) -> None:
        """Let go of its memory."""


class EnsembleModel:
    """Parts behind one contract."""

    def __init__(self, ensemble: Ensemble, parts: Sequence[Part]) -> None:
        check_wiring(ensemble, [part.contract for part in parts])
        self.contract = ensemble.contract
        self._parts = tuple(parts)
        self._check = compile_checks(self.contract)
        self._preprocess = compile_preprocess(self.contract)
        self._postprocess = compile_postprocess(self.contract)
        self._stages = [
            _stage(ensemble, number, stage, part)
            for number, (stage, part) in enumerate(zip(ensemble.stages, parts, strict=True), 1)
        ]

    def predict(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """The contract's outputs for one request.

        Raises:
            InputError: the request is out of contract; the message names the field.
            DeviceError: a part failed, or does not take what another gave.
        """
        self._check(arrays)
        return self.predict_checked(arrays)

    def predict_checked(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """The same for a request whose inputs were checked at the door already."""
        tensors = dict(self._preprocess(arrays))
        for run in self._stages:
            tensors |= run(tensors)
        return self._postprocess(tensors)

    def close(self) -> None:
        """Let go of all parts."""
        for part in self._parts:
            part.close()


def _stage(ensemble: Ensemble, number: int, stage: Stage, part: Part) -> _Run:
    sources = [(t.name, stage.inputs.get(t.name, t.name)) for t in part.contract.inputs]
    names = {t.name: stage.outputs.get(t.name, t.name) for t in part.contract.outputs}
    is_first_hand = first_hand(ensemble, stage, part.contract)
    check = compile_checks(part.contract)

    def run(tensors: Mapping[str, Array]) -> dict[str, Array]:
        try:
            feeds = {name: tensors[source] for name, source in sources}
            check(feeds)
            outputs = part.predict_checked(feeds)
        except (InputError, KeyError) as error:
            if is_first_hand and isinstance(error, InputError):
                raise
            raise DeviceError(
                f"stage {number} ({stage.model}) does not take what it is given: {error}",
                hint="check the ensemble's steps and the contracts of its parts",
            ) from error
        return {names[name]: array for name, array in outputs.items()}

    return run
