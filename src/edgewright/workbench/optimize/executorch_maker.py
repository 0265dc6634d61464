"""Variants for ExecuTorch on CPUs: float, and integers by torchao's PT2E with XNNPACK's quantiser.

Loads torch and ExecuTorch, so it is imported only when ExecuTorch is searched.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
    XNNPACKQuantizer,
    get_symmetric_quantization_config,
)
from executorch.exir import to_edge_transform_and_lower
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from edgewright.errors import UnavailableError
from edgewright.workbench.convert.artefact import Job
from edgewright.workbench.convert.executorch_file import executorch_artefact
from edgewright.workbench.convert.prepare import with_batch, with_four_dimensions
from edgewright.workbench.convert.torch_files import exported
from edgewright.workbench.optimize.rewrite import prepared
from edgewright.workbench.optimize.space import Space
from edgewright.workbench.optimize.variants import ExecuTorchRecipe, VariantRecipe
from edgewright.workbench.verify import row_count

CALIBRATION_ROWS = 128


class ExecuTorchMaker:
    """Makes programs for one sample at a time."""

    format = "executorch"
    suffix = ".pte"

    def __init__(self, space: Space) -> None:
        self._model = prepared(space.source)
        self._calibration = space.calibration

    def recipes(self) -> Iterable[VariantRecipe]:
        """Float and integers."""
        yield ExecuTorchRecipe(kind="fp32")
        yield ExecuTorchRecipe(kind="int8 static")
        yield ExecuTorchRecipe(kind="int8 dynamic")

    def everything(self) -> Iterable[VariantRecipe]:
        """The same: there is no more."""
        return self.recipes()

    def make(self, recipe: VariantRecipe) -> bytes:
        """The program of a recipe; see `Maker.make`."""
        assert isinstance(recipe, ExecuTorchRecipe)  # noqa: S101  # this maker listed it
        if recipe.kind == "fp32":
            job = Job(stem="model", model=self._model)
            return next(iter(executorch_artefact(job).files.values()))
        return self._int8(is_dynamic=recipe.kind == "int8 dynamic")

    def _int8(self, *, is_dynamic: bool) -> bytes:
        program = exported(with_four_dimensions(with_batch(self._model)))
        with _quietly():
            settings = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=is_dynamic)
            quantiser = XNNPACKQuantizer().set_global(settings)
            watched = prepare_pt2e(program.module(), quantiser)
            with torch.inference_mode():
                for sample in self._samples():
                    watched(*sample)
            made: Any = convert_pt2e(watched)
            lowered = to_edge_transform_and_lower(
                torch.export.export(made, program.example_inputs[0]),
                partitioner=[XnnpackPartitioner()],
            )
            return bytes(lowered.to_executorch().buffer)

    def _samples(self) -> Iterator[tuple[torch.Tensor, ...]]:
        rows = min(CALIBRATION_ROWS, row_count(self._calibration))
        for row in range(rows):
            yield tuple(
                torch.from_numpy(np.ascontiguousarray(array[row : row + 1]))
                for array in self._calibration.values()
            )


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the toolchain's own words; what it refuses is said in ours."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UnavailableError(f"ExecuTorch cannot take this graph: {reason[0][:300]}") from error
    finally:
        logging.disable(level)
