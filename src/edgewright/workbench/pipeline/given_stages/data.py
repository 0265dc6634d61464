"""data: the contract, the model and the samples belong together, shown by running them."""

from collections.abc import Mapping

import msgspec
import numpy as np

from edgewright._fs import write_atomic
from edgewright.contract import Contract, Tensor, encode_json
from edgewright.errors import DeviceError, InputError
from edgewright.runtimes.base import Array
from edgewright.runtimes.model import LoadedModel
from edgewright.workbench.given import GivenSamples
from edgewright.workbench.pipeline.given_stages.plan import GivenPlan
from edgewright.workbench.pipeline.manifests import hash_file
from edgewright.workbench.pipeline.stage import Facts, Stage, Workshop

PROBED = 64


class TensorSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One tensor of the contract, and what the samples showed of it."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    low: float | None = None
    high: float | None = None


class GivenReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at."""

    samples: int
    layout: str
    labels: str
    groups: int
    inputs: tuple[TensorSeen, ...]
    outputs: tuple[TensorSeen, ...]
    schema_version: int = 1


def data_stage(plan: GivenPlan) -> Stage:
    """The stage, bound to a project."""

    def reads() -> Mapping[str, str]:
        paths = {"model": plan.model, "data": plan.data, "contract": plan.contract_path}
        return {name: hash_file(path) for name, path in paths.items()}

    def run(workshop: Workshop) -> Facts:
        workshop.tell(0.0, "reading samples")
        contract, samples = plan.contract(), plan.samples()
        workshop.tell(0.4, "asking the model")
        answers = check_model(plan, contract, samples)
        report = GivenReport(
            samples=samples.count,
            layout=samples.layout,
            labels="" if samples.labels is None else str(samples.labels.dtype),
            groups=0 if samples.groups is None else len(np.unique(samples.groups)),
            inputs=tuple(_seen(t, samples.arrays[t.name]) for t in contract.inputs),
            outputs=tuple(_seen(t, answers[t.name]) for t in contract.outputs),
        )
        write_atomic(workshop.folder / "data.json", encode_json(report))
        return {
            "samples": samples.count,
            "layout": samples.layout,
            "labels": "given" if samples.labels is not None else "none",
            "model": hash_file(plan.model),
            "dataset": hash_file(plan.data),
        }

    return Stage(
        name="data",
        follows=(),
        rooms=(
            "steps",
            "runtimes",
            "workbench/given",
            "workbench/pipeline/given_stages/plan.py",
            "workbench/pipeline/given_stages/data.py",
        ),
        libraries=("numpy", "onnxruntime"),
        options={"recipe": plan.project.recipe},
        reads=reads,
        run=run,
    )


def check_model(plan: GivenPlan, contract: Contract, samples: GivenSamples) -> dict[str, Array]:
    """Ask the model twice; returns its answers.

    Raises:
        InputError: it does not keep the contract, is not finite, or answers differently each time.
    """
    model = LoadedModel(contract, plan.engine(plan.format).open(plan.model))
    try:
        request = samples.spread(PROBED).request(contract)
        once, again = model.predict(request), model.predict(request)
    except DeviceError as error:
        raise InputError(
            f"{plan.model.name} does not keep {plan.options.contract}: {error.message}",
            hint="mend the contract, or bring the model that it describes",
        ) from error
    finally:
        model.close()
    for name, array in once.items():
        if not np.array_equal(array, again[name]):
            raise InputError(
                f"{plan.model.name}: output {name!r} differs when the same input is asked twice",
                hint="export it in evaluation mode, without dropout or sampling",
            )
    return once


def _seen(tensor: Tensor, array: Array) -> TensorSeen:
    numbers = array.dtype.kind in "iuf" and array.size
    return TensorSeen(
        name=tensor.name,
        dtype=tensor.dtype,
        shape=tensor.shape,
        low=float(array.min()) if numbers else None,
        high=float(array.max()) if numbers else None,
    )
