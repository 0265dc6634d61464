"""Variants for OpenVINO: its float arithmetic, and integers by NNCF.

Loaded only when OpenVINO is searched. NNCF loads torch when it is there, so it is imported when the
first integer variant is made.
"""

import contextlib
import io
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from edgewright import _fs
from edgewright.errors import UnavailableError
from edgewright.runtimes.base import Array
from edgewright.runtimes.openvino_file import pack_parts
from edgewright.workbench.convert import cleaned, onnx_bytes
from edgewright.workbench.optimize.space import Space
from edgewright.workbench.optimize.variants import OpenVinoRecipe, VariantRecipe
from edgewright.workbench.verify import row_count

SUBSET_ROWS = 300
_LIMIT_BYTES = 2**31 - 1


class OpenVinoMaker:
    """Makes OpenVINO models."""

    format = "openvino"
    suffix = ".openvino.zip"

    def __init__(self, space: Space) -> None:
        self._source = onnx_bytes(cleaned(space.source))
        self._calibration = space.calibration
        self._points = space.points
        self._max_drop = space.max_drop
        self._core = ov.Core()

    def recipes(self) -> Iterable[VariantRecipe]:
        """Float first; accuracy control comes only to the rescue."""
        yield OpenVinoRecipe(kind="fp32")
        yield OpenVinoRecipe(kind="bf16")
        yield OpenVinoRecipe(kind="int8 nncf mixed")
        yield OpenVinoRecipe(kind="int8 nncf symmetric")

    def everything(self) -> Iterable[VariantRecipe]:
        """For an exhaustive search."""
        yield from self.recipes()
        yield OpenVinoRecipe(kind="int8 accuracy-control")

    def make(self, recipe: VariantRecipe) -> bytes:
        """Graph and weights in one file; see `Maker.make`."""
        assert isinstance(recipe, OpenVinoRecipe)  # noqa: S101  # this maker listed it
        match recipe.kind:
            case "fp32":
                return self._packed(self._model(), "f32")
            case "bf16":
                return self._packed(self._bf16(), "bf16")
            case "int8 nncf mixed" | "int8 nncf symmetric" | "int8 accuracy-control":
                return self._packed(self._int8(recipe.kind), "f32")
            case _:
                raise UnavailableError(f"{recipe.name} is no OpenVINO variant")

    def _model(self) -> ov.Model:
        try:
            return self._core.read_model(self._source)
        except RuntimeError as error:
            raise _refused("OpenVINO cannot take this graph", error) from error

    def _bf16(self) -> ov.Model:
        if "BF16" not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise UnavailableError("this CPU has no bfloat16 arithmetic")
        return self._model()

    def _int8(self, kind: str) -> ov.Model:
        with _quietly():
            import nncf  # noqa: PLC0415  # loads torch

            nncf.set_log_level(50)
            preset = nncf.QuantizationPreset.PERFORMANCE
            if kind == "int8 nncf mixed":
                preset = nncf.QuantizationPreset.MIXED
            samples = nncf.Dataset(list(self._samples()))
            subset = min(SUBSET_ROWS, row_count(self._calibration))
            settings = {"preset": preset, "subset_size": subset}
            model = self._model()
            try:
                if kind == "int8 accuracy-control":
                    return self._controlled(nncf, model, samples, settings)
                return nncf.quantize(model, samples, **settings)
            except Exception as error:
                raise _refused("NNCF refused", error) from error

    def _controlled(self, nncf: Any, model: ov.Model, samples: Any, settings: Any) -> ov.Model:
        def metric(compiled: ov.CompiledModel, _: Iterable[Any]) -> tuple[float, None]:
            names = [port.any_name for port in compiled.outputs]
            request = compiled.create_infer_request()

            def answer(arrays: Mapping[str, Array]) -> dict[str, Array]:
                results = request.infer(dict(arrays))
                return {name: np.array(results[at]) for at, name in enumerate(names)}

            return self._points(answer), None

        return nncf.quantize_with_accuracy_control(
            model, samples, samples, metric, max_drop=self._max_drop, **settings
        )

    def _samples(self) -> Iterator[dict[str, Array]]:
        rows = min(SUBSET_ROWS, row_count(self._calibration))
        for row in range(rows):
            yield {name: array[row : row + 1] for name, array in self._calibration.items()}

    def _packed(self, model: ov.Model, precision: str) -> bytes:
        model.set_rt_info(precision, ["edgewright", "precision"])
        with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
            path = Path(folder) / "model.xml"
            ov.save_model(model, path, compress_to_fp16=False)
            return pack_parts(
                _fs.read_limited(path, limit_bytes=_LIMIT_BYTES),
                _fs.read_limited(path.with_suffix(".bin"), limit_bytes=_LIMIT_BYTES),
            )


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """NNCF draws its own progress bars on standard output, where results belong."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _refused(what: str, error: Exception) -> UnavailableError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Exception from", "Check "))]
    reason = (told or lines or [type(error).__name__])[0][:300]
    return UnavailableError(f"{what}: {reason}")
