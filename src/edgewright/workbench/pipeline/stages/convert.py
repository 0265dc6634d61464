"""convert: further files of the same model, for engines that want another format."""

from collections.abc import Callable
from typing import Protocol

from edgewright._fs import write_atomic
from edgewright.contract import encode_json
from edgewright.runtimes import Runtime
from edgewright.workbench.convert import convert
from edgewright.workbench.convert.formats import find_format
from edgewright.workbench.pipeline.project import Project
from edgewright.workbench.pipeline.searched import FP32_OUTPUT
from edgewright.workbench.pipeline.stage import Facts, Stage, Workshop


class Converting(Protocol):
    """The plan of any project whose optimize stage leaves an ONNX file."""

    @property
    def project(self) -> Project:
        """The project file."""

    @property
    def engine(self) -> Callable[[str], Runtime]:
        """The runtime of a format."""


def convert_stage(plan: Converting) -> Stage:
    """The stage, bound to a project."""
    formats = tuple(find_format(name).name for name in plan.project.convert.formats)

    def run(workshop: Workshop) -> Facts:
        if not formats:
            write_atomic(workshop.folder / "convert.json", encode_json({"files": []}))
            return {"formats": "none asked for"}
        workshop.tell(0.0, f"to {', '.join(formats)}")
        records = convert(
            workshop.output("optimize", FP32_OUTPUT),
            formats,
            workshop.folder,
            open_engine=plan.engine,
        )
        write_atomic(workshop.folder / "convert.json", encode_json({"files": records}))
        return {f"{record.format}_bytes": record.size_bytes for record in records}

    return Stage(
        name="convert",
        follows=("optimize",),
        rooms=("workbench/convert", "workbench/pipeline/stages/convert.py"),
        libraries=("onnx", "torch"),
        options=plan.project.convert,
        run=run,
    )
