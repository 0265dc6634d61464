"""What the server says about itself and its models, in the protocol's words."""

from edgewright import __version__
from edgewright.contract import Tensor
from edgewright.device.serve.models import Models
from edgewright.device.serve.plan import MAX_ROWS
from edgewright.device.serve.serving import ServedModel
from edgewright.device.serve.trial import joins_rows
from edgewright.wire.v2 import (
    DATATYPES,
    Durations,
    InferStatistics,
    ModelMetadata,
    ModelStatistics,
    RepositoryModel,
    ServerMetadata,
    TensorMetadata,
)

_EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "statistics",
)


def server_metadata() -> ServerMetadata:
    """Who answers."""
    return ServerMetadata(name="edgewright", version=__version__, extensions=_EXTENSIONS)


def model_metadata(model: ServedModel, versions: tuple[str, ...]) -> ModelMetadata:
    """What a model takes and gives."""
    return ModelMetadata(
        name=model.name,
        versions=versions,
        platform=model.servable.platform,
        inputs=tuple(_tensor(tensor) for tensor in model.contract.inputs),
        outputs=tuple(_tensor(tensor) for tensor in model.contract.outputs),
    )


def model_config(model: ServedModel) -> dict[str, object]:
    """The model configuration that Triton's clients ask for."""
    is_batched = joins_rows(model.contract)
    return {
        "name": model.name,
        "platform": model.servable.platform,
        "backend": model.servable.platform.removesuffix("_onnx"),
        "version_policy": {"latest": {"num_versions": 1}},
        "max_batch_size": MAX_ROWS if is_batched else 0,
        "input": [_config_tensor(t, is_batched=is_batched) for t in model.contract.inputs],
        "output": [_config_tensor(t, is_batched=is_batched) for t in model.contract.outputs],
        "parameters": {
            "identity": {"string_value": model.servable.identity},
            "signed": {"string_value": str(model.servable.is_signed).lower()},
            "runs_inline": {"string_value": str(model.queue.plan.is_inline).lower()},
            "joined_rows": {"string_value": str(model.queue.plan.max_rows)},
        },
    }


def model_statistics(model: ServedModel) -> ModelStatistics:
    """What a model did since it was loaded."""
    tally = model.queue.tally
    stages = {name: _durations(tally.answered, found.total) for name, found in tally.stages.items()}
    return ModelStatistics(
        name=model.name,
        version=model.version,
        last_inference=int(tally.last_wall_s * 1000),
        inference_count=tally.rows,
        execution_count=tally.passes,
        inference_stats=InferStatistics(
            success=_durations(tally.answered, tally.requests.total),
            fail=_durations(tally.failures, 0.0),
            queue=stages["queue"],
            compute_input=stages["read"],
            compute_infer=stages["run"],
            compute_output=stages["write"],
        ),
        latency_ms=tally.quantiles_ms(),
    )


def repository_index(models: Models) -> list[RepositoryModel]:
    """Every model that is served, and every one that should be but is not."""
    served = [
        RepositoryModel(
            name=model.name,
            version=model.version,
            state="READY",
            reason=models.faults.get(model.name, ""),
        )
        for model in models
    ]
    names = {line.name for line in served}
    return served + [
        RepositoryModel(name=name, version="", state="UNAVAILABLE", reason=reason)
        for name, reason in models.faults.items()
        if name not in names
    ]


def _tensor(tensor: Tensor) -> TensorMetadata:
    return TensorMetadata(
        name=tensor.name, datatype=DATATYPES[tensor.dtype], shape=_shape(tensor.shape)
    )


def _config_tensor(tensor: Tensor, *, is_batched: bool) -> dict[str, object]:
    word = DATATYPES[tensor.dtype]
    return {
        "name": tensor.name,
        "data_type": "TYPE_STRING" if word == "BYTES" else f"TYPE_{word}",
        "dims": list(_shape(tensor.shape)[is_batched:]),
    }


def _shape(shape: tuple[int | str, ...]) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else -1 for size in shape)


def _durations(count: int, spent_s: float) -> Durations:
    return Durations(count=count, ns=int(spent_s * 1e9))
