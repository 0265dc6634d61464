"""The contract of one model, and the values it is made of."""

import msgspec

from edgewright.contract.steps import Labels, Step
from edgewright.contract.tensors import Tensor
from edgewright.errors import InputError

SCHEMA_VERSION = 1


class Tolerances(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """How far an engine may be from its reference. All hold together: cosine alone lies (FACTS: a
    scalar output has cosine 1.0 at any error; an untrained net had cosine 0.0003 at error
    1e-15). `mismatch_share` is for whole numbers: masks, where a pixel on a boundary may fall to
    either side.
    """

    max_abs: float = 1e-3
    max_rel: float = 1e-2
    cosine: float = 0.999
    norm_ratio: float = 1.05
    metric_drop_points: float = 0.5
    mismatch_share: float = 0.0


class Budgets(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Limits that a served model must keep; None means nobody asked."""

    latency_p95_ms: float | None = None
    throughput_rps: float | None = None
    memory_mb: float | None = None
    size_mb: float | None = None
    energy_mj: float | None = None


class Provenance(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Where the model came from: content hashes of what it was made of."""

    recipe: str = ""
    dataset: str = ""
    run: str = ""
    variant: str = ""
    split: str = ""


class Contract(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes in, what comes out, what happens between, and how well it must work.

    `inputs` is what a client sends (ranges are enforced there), `preprocess` turns it into what the
    engine takes, `postprocess` turns what the engine gives into `outputs`. The engine file
    describes its own tensors.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    preprocess: tuple[Step, ...] = ()
    postprocess: tuple[Step, ...] = ()
    labels: tuple[str, ...] = ()
    rate_hz: float | None = None
    metric: str = "accuracy"
    tolerances: Tolerances = Tolerances()
    budgets: Budgets = Budgets()
    targets: tuple[str, ...] = ()
    provenance: Provenance = Provenance()
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(
                f"schema_version is {self.schema_version}, this edgewright reads "
                f"{SCHEMA_VERSION}; install a newer one"
            )
        if not self.inputs or not self.outputs:
            raise ValueError("a contract needs at least one input and one output")
        for kind, tensors in (("input", self.inputs), ("output", self.outputs)):
            names = [tensor.name for tensor in tensors]
            if len(set(names)) != len(names):
                raise ValueError(f"{kind} names {names} are not unique")
        if any(isinstance(step, Labels) for step in self.postprocess) and not self.labels:
            raise ValueError("postprocess has a labels step, but the contract lists no labels")

    def input(self, name: str) -> Tensor:
        """The input of that name."""
        return _named(self.inputs, name, "input")

    def output(self, name: str) -> Tensor:
        """The output of that name."""
        return _named(self.outputs, name, "output")


def _named(tensors: tuple[Tensor, ...], name: str, kind: str) -> Tensor:
    for tensor in tensors:
        if tensor.name == name:
            return tensor
    raise InputError(
        f"{kind} {name!r} is not in the contract",
        hint=f"it has {[tensor.name for tensor in tensors]}",
    )
