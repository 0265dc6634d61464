"""Several models as one, as data: which there are, and which tensor goes where.

Values flow by name. The ensemble's contract says what a client sends and gets; its preprocess
steps run first, then the stages in their order, each reading tensors that are there by then and
adding its own, then the postprocess steps.
"""

from collections.abc import Mapping, Sequence

import msgspec

from edgewright.contract.model import Contract
from edgewright.contract.tensors import Tensor
from edgewright.errors import InputError

MOST_STAGES = 16


class Stage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model: its file, its inputs by the tensors they are fed from, its outputs by the names
    that they get. What is not named here has the same name on both sides.
    """

    model: str
    inputs: dict[str, str] = {}
    outputs: dict[str, str] = {}


class Ensemble(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an ensemble's file says; paths in it are relative to the file."""

    name: str
    contract: Contract
    stages: tuple[Stage, ...]
    version: str = "1"
    golden: str = ""

    def __post_init__(self) -> None:
        if not 1 <= len(self.stages) <= MOST_STAGES:
            raise ValueError(f"{len(self.stages)} stages, expected 1 to {MOST_STAGES}")
        if not self.name or not self.version:
            raise ValueError("name and version must not be empty")


def check_wiring(ensemble: Ensemble, parts: Sequence[Contract]) -> None:
    """Whether every tensor that is read is there by then, of a type and shape that fit.

    Raises:
        InputError: one is not; the message names stage and tensor.
    """
    contract = ensemble.contract
    known: dict[str, Tensor | None] = {tensor.name: tensor for tensor in contract.inputs}
    known |= dict.fromkeys(step.target for step in contract.preprocess)
    for number, (stage, part) in enumerate(zip(ensemble.stages, parts, strict=True), 1):
        where = f"stage {number} ({stage.model})"
        _check_names(where, stage, part)
        for tensor in part.inputs:
            source = stage.inputs.get(tensor.name, tensor.name)
            if source not in known:
                raise InputError(
                    f"{where} reads tensor {source!r}, which is not there by then",
                    hint=f"there are {sorted(known)}",
                )
            _check_fit(where, source, known[source], tensor)
        known |= {stage.outputs.get(tensor.name, tensor.name): tensor for tensor in part.outputs}
    known |= dict.fromkeys(step.target for step in contract.postprocess)
    for tensor in contract.outputs:
        if tensor.name not in known:
            raise InputError(
                f"output {tensor.name!r} is given by no stage and no step",
                hint=f"there are {sorted(known)}",
            )
        _check_fit("the contract", tensor.name, known[tensor.name], tensor)


def _check_names(where: str, stage: Stage, part: Contract) -> None:
    for kind, named, tensors in (
        ("input", stage.inputs, part.inputs),
        ("output", stage.outputs, part.outputs),
    ):
        names = {tensor.name for tensor in tensors}
        for name in named:
            if name not in names:
                raise InputError(
                    f"{where} has no {kind} {name!r}", hint=f"the model has {sorted(names)}"
                )


def _check_fit(where: str, name: str, given: Tensor | None, wanted: Tensor) -> None:
    """What a step made (None) is known only when it runs; the trial sees to that."""
    if given is None:
        return
    sizes_fit = len(given.shape) == len(wanted.shape) and all(
        isinstance(one, str) or isinstance(other, str) or one == other
        for one, other in zip(given.shape, wanted.shape, strict=True)
    )
    if given.dtype != wanted.dtype or not sizes_fit:
        raise InputError(
            f"{where}: tensor {name!r} is {given.dtype} {list(given.shape)}, expected "
            f"{wanted.dtype} {list(wanted.shape)}",
            hint="put a step or another stage between",
        )


def first_hand(ensemble: Ensemble, stage: Stage, part: Contract) -> bool:
    """Whether a stage reads only what the client sent, as it was sent: what it refuses then is the
    client's to mend.
    """
    made: set[str] = {step.target for step in ensemble.contract.preprocess}
    sent: Mapping[str, object] = {tensor.name: tensor for tensor in ensemble.contract.inputs}
    sources = {stage.inputs.get(tensor.name, tensor.name) for tensor in part.inputs}
    return sources <= sent.keys() - made
