"""LiteRT from ONNX: through torch into its makers' converter, in an environment of its own."""

from edgewright.contract import Contract
from edgewright.workbench.convert.artefact import Artefact, Job
from edgewright.workbench.convert.child_venv import LITERT, run_child
from edgewright.workbench.convert.lite_file import LiteModel
from edgewright.workbench.convert.litert_metadata import BLOCK, metadata_bytes, with_labels
from edgewright.workbench.convert.onnx_file import input_names, output_names
from edgewright.workbench.convert.prepare import with_batch, with_four_dimensions
from edgewright.workbench.convert.torch_files import torch_export_bytes


def litert_artefact(job: Job) -> Artefact:
    """`net.tflite` for one sample, in float32, with the ONNX model's names and layout at both ends.

    Raises:
        UnavailableError: the converter's environment is absent, or it cannot take the graph.
    """
    name, content = f"{job.stem}.tflite", litert_bytes(job)
    notes: tuple[str, ...] = ("one sample per call",)
    if job.contract is not None:
        content = _described(content, job.contract, job.stem)
        notes += ("carries names, ranges and labels as TensorFlow Lite Metadata",)
    return Artefact(name, {name: content}, notes)


def _described(content: bytes, contract: Contract, name: str) -> bytes:
    lite = LiteModel(content)
    graph = lite.graph
    inputs, outputs = (
        [_text(graph.tensors[index].name) for index in indices]
        for indices in (graph.inputs, graph.outputs)
    )
    lite.add_metadata(BLOCK, metadata_bytes(contract, inputs, outputs, name=name))
    return with_labels(lite.content(), contract.labels)


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def litert_bytes(job: Job) -> bytes:
    """The file's content; a source that is LiteRT already passes, with its weights inside."""
    if job.lite:
        return LiteModel(job.lite).content()
    made = run_child(
        LITERT,
        "litert_from_torch.py",
        {"model.pt2": torch_export_bytes(with_four_dimensions(with_batch(job.model)))},
        timeout_s=job.wishes.timeout_s,
    )
    lite = LiteModel(made["model.tflite"], source="the converter's file")
    lite.name_tensors(input_names(job.model), output_names(job.model))
    return lite.content()
